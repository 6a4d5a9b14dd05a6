"""The command's own tree, as typer built it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer.main

from controlplane.cli.main import app


@dataclass(frozen=True, slots=True)
class Command:
    """One command: `name` as it is typed after `rempart`, `parameters` with their help."""

    name: str
    help: str
    parameters: dict[str, str]


def walk() -> list[Command]:
    """Return every command, in the order of the help."""
    return list(_walk(typer.main.get_command(app), ()))


def _walk(node: Any, path: tuple[str, ...]) -> Iterator[Command]:
    inner = getattr(node, "commands", None)
    if inner is None:
        parameters = {parameter.name: parameter.help or "" for parameter in node.params}
        yield Command(" ".join(path), (node.help or "").strip(), parameters)
        return
    for name, child in inner.items():
        yield from _walk(child, (*path, name))


# What each command prints under `-o json`: a schema of docs/reference/openapi.json, in brackets when it is a list of
# them, or the fields of a document of the command's own.
PRINTS = {
    "login": "{api, file, key_id, role, organization_id, project_id, access_ends_at}",
    "logout": "{is_removed}",
    "whoami": "{api, organization, key_id, role, organization_id, project_id, access_ends_at}",
    "terms": "TermsShape",
    "signup": "SignupAnswer",
    "secrets-check": "{is_well_formed, kind, environment, last_four}",
    "logs": "[LogLine]",
    "events": "[ServiceEventOut]",
    "quotas": "[QuotaShape]",
    "context list": "[{name, api, is_current}]",
    "context use": "{name, is_current}",
    "organization get": "OrganizationShape",
    "organization update": "OrganizationShape",
    "admin organizations create": "SignupAnswer",
    "projects list": "[ProjectShape]",
    "projects get": "ProjectShape",
    "projects create": "ProjectShape",
    "projects delete": "{id, is_deleted}",
    "apps list": "[AppOut]",
    "apps get": "AppOut",
    "apps create": "AppOut",
    "apps rename": "AppOut",
    "apps delete": "{id, is_deleted}",
    "services list": "[ServiceOut]",
    "services get": "ServiceOut",
    "services deploy": "ServiceOut",
    "services pause": "ServiceOut",
    "services resume": "ServiceOut",
    "services redeploy": "ServiceOut",
    "services rollback": "ServiceOut",
    "services scale": "ServiceOut",
    "services delete": "ServiceOut",
    "services explain": "ExplanationReply",
    "services cold-starts": "[ColdStartOut]",
    "deployments list": "[DeploymentOut]",
    "deployments get": "DeploymentOut",
    "deployments cancel": "DeploymentOut",
    "deployments regions": "[RegionalDeploymentOut]",
    "instances list": "[InstanceOut]",
    "instances get": "InstanceOut",
    "secrets list": "[SecretOut]",
    "secrets get": "SecretOut",
    "secrets create": "SecretOut",
    "secrets update": "SecretOut",
    "secrets delete": "{id, is_deleted}",
    "keys list": "[ApiKeyShape]",
    "keys get": "ApiKeyShape",
    "keys create": "ApiKeyCreatedShape",
    "keys roll": "ApiKeyRolled",
    "keys revoke": "ApiKeyShape",
    "catalog models": "[ModelOut]",
    "catalog model": "ModelOut",
    "catalog instance-types": "[InstanceTypeOut]",
    "catalog datacenters": "[CatalogDatacenterOut]",
    "prices": "PriceListOut",
    "usage": "[UsageShape]",
    "costs show": "CostShape",
    "costs preview": "CostShape",
    "costs credits": "[CreditShape]",
    "costs plan": "TenantPlanShape",
    "budgets get": "BudgetShape",
    "budgets list": "[BudgetShape]",
    "budgets set": "BudgetShape",
    "invoices list": "[InvoiceShape]",
    "invoices get": "InvoiceShape",
    "invoices download": "{file, bytes}",
    "invoices status": "EInvoiceAnswer",
    "payments list": "[PaymentShape]",
    "payments balances": "[BalanceShape]",
    "audit list": "[ListedAuditEventShape]",
    "audit export": "{file, records}",
    "audit verify": "VerificationShape",
    "admin keys list": "[ApiKeyShape]",
    "admin keys get": "ApiKeyShape",
    "admin keys create": "ApiKeyCreatedShape",
    "admin keys roll": "ApiKeyRolled",
    "admin keys revoke": "ApiKeyShape",
    "admin organizations recover": "ApiKeyCreatedShape",
    "admin organizations list": "[OrganizationShape]",
    "admin organizations get": "OrganizationShape",
    "admin organizations alike": "[OrganizationShape]",
    "admin organizations approve": "OrganizationShape",
    "admin organizations refuse": "OrganizationShape",
    "admin organizations approve-tax-zone": "OrganizationShape",
    "admin organizations suspend": "OrganizationShape",
    "admin organizations resume": "OrganizationShape",
    "admin organizations quotas": "[QuotaShape]",
    "admin organizations set-quota": "QuotaShape",
    "admin datacenters list": "[DatacenterOut]",
    "admin datacenters get": "DatacenterOut",
    "admin datacenters add": "DatacenterOut",
    "admin datacenters update": "DatacenterOut",
    "admin datacenters close": "DatacenterOut",
    "admin pools list": "[NodePoolOut]",
    "admin pools get": "NodePoolOut",
    "admin pools add": "NodePoolOut",
    "admin pools scale": "NodePoolOut",
    "admin pools update": "NodePoolOut",
    "admin pools pause": "NodePoolOut",
    "admin pools resume": "NodePoolOut",
    "admin pools delete": "{name, is_deleted}",
    "admin nodes list": "[NodeOut]",
    "admin nodes get": "NodeOut",
    "admin nodes cordon": "NodeOut",
    "admin nodes uncordon": "NodeOut",
    "admin nodes drain": "NodeOut",
    "admin nodes replace": "NodeOut",
    "admin entities list": "[LegalEntityOut]",
    "admin entities get": "LegalEntityOut",
    "admin entities add": "LegalEntityOut",
    "admin entities end": "LegalEntityOut",
    "admin holdings list": "[HoldingOut]",
    "admin holdings get": "HoldingOut",
    "admin holdings add": "HoldingOut",
    "admin holdings end": "HoldingOut",
    "admin certifications list": "[CertificationOut]",
    "admin certifications get": "CertificationOut",
    "admin certifications add": "CertificationOut",
    "admin certifications end": "CertificationOut",
    "admin invoices list": "[InvoiceShape]",
    "admin invoices files": "[EInvoiceRowShape]",
    "admin invoices get": "InvoiceShape",
    "admin invoices close": "CloseAnswer",
    "admin invoices issue": "InvoiceShape",
    "admin invoices credit-note": "InvoiceShape",
    "admin invoices retry": "InvoiceShape",
    "admin invoices hold": "InvoiceShape",
    "admin invoices deposit": "InvoiceShape",
    "admin invoices download": "{file, bytes}",
    "admin seller get": "SellerShape",
    "admin seller set": "SellerShape",
    "admin vat-checks record": "VatAnswerReply",
    "admin payments list": "[PaymentShape]",
    "admin payments record": "ReceiptAnswer",
    "admin payments refund": "[RefundShape]",
    "admin payments match": "[SettledShape]",
    "admin payments balances": "[BalanceShape]",
    "admin ledger balances": "[AccountShape]",
    "admin ledger entries": "[EntryShape]",
    "admin ledger entity": "EntityOut",
    "admin ledger set-entity": "EntityOut",
    "admin ledger close-year": "FiscalYearShape",
    "admin fec download": "{file, bytes}",
    "admin skus list": "[SkuShape]",
    "admin skus add": "SkuShape",
    "admin prices list": "[PriceVersionShape]",
    "admin prices add": "PriceVersionShape",
    "admin plans list": "[PlanShape]",
    "admin plans add": "PlanShape",
    "admin plans get": "TenantPlanShape",
    "admin plans set": "TenantPlanShape",
    "admin credits list": "[CreditShape]",
    "admin credits grant": "CreditShape",
    "admin usage show": "[UsageShape]",
    "admin usage conflicts": "[UsageConflictShape]",
    "security-events list": "[SecurityEventShape]",
    "admin security-events list": "[SecurityEventShape]",
    "admin deliveries list": "[DeliveryOut]",
    "admin deliveries retry": "RetryOut",
    "admin clock show": "ClockOut",
    "admin clock move": "ClockOut",
    "admin audit list": "[ListedAuditEventShape]",
    "admin audit export": "{file, records}",
    "admin audit verify": "VerificationShape",
}
