"""Resources call the paths that the committed description has; waiting ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.sdk import DeploymentFailed, Rempart, WaitTimedOut

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "openapi.json"
Json = dict[str, Any]

# Every verb of the client, with arguments that reach the wire.
CALLS: dict[str, Callable[[Rempart], object]] = {
    "get_terms": lambda c: c.terms(),
    "sign_up": lambda c: c.sign_up({}),
    "get_caller": lambda c: c.caller(),
    "explain_permission": lambda c: c.permission("app", "read"),
    "get_my_organization": lambda c: c.organization(),
    "update_organization": lambda c: c.update_organization({}, version=1),
    "list_quotas": lambda c: c.quotas(),
    "list_projects": lambda c: list(c.projects.list()),
    "create_project": lambda c: c.projects.create({}),
    "get_project": lambda c: c.projects.get("x"),
    "update_project": lambda c: c.projects.update("x", {}, version=1),
    "delete_project": lambda c: c.projects.delete("x", version=1),
    "list_api_keys": lambda c: list(c.api_keys.list()),
    "create_api_key": lambda c: c.api_keys.create({}),
    "get_api_key": lambda c: c.api_keys.get("x"),
    "roll_api_key": lambda c: c.api_keys.roll("x", 1),
    "revoke_api_key": lambda c: c.api_keys.revoke("x"),
    "admin_list_api_keys": lambda c: list(c.operator_keys.list()),
    "admin_create_api_key": lambda c: c.operator_keys.create({}),
    "admin_get_api_key": lambda c: c.operator_keys.get("x"),
    "admin_roll_api_key": lambda c: c.operator_keys.roll("x", 1),
    "admin_revoke_api_key": lambda c: c.operator_keys.revoke("x"),
    "admin_recover_organization": lambda c: c.organizations.recover("x", "they lost their keys"),
    "rollback_service": lambda c: c.services.roll_back("x", "y"),
    "get_deployment_explanation": lambda c: c.deployments.explanation("x"),
    "list_audit_events": lambda c: list(c.audit_events.list()),
    "export_audit_events": lambda c: c.audit_events.export(),
    "verify_audit_events": lambda c: c.audit_events.verify(),
    "list_security_events": lambda c: list(c.security_events.list()),
    "report_security_events": lambda c: c.security_events.report([{}]),
    "admin_list_security_events": lambda c: list(c.platform_security_events.list()),
    "get_prices": lambda c: c.price_list(),
    "list_dead_deliveries": lambda c: list(c.deliveries.list()),
    "retry_dead_delivery": lambda c: c.deliveries.retry("evt_1", "consumer"),
    "retry_dead_deliveries": lambda c: c.deliveries.retry_all("consumer"),
    "admin_list_audit_events": lambda c: list(c.platform_audit_events.list()),
    "admin_export_audit_events": lambda c: c.platform_audit_events.export(),
    "admin_verify_audit_events": lambda c: c.platform_audit_events.verify(),
    "admin_list_organizations": lambda c: list(c.organizations.list()),
    "admin_create_organization": lambda c: c.organizations.create({}),
    "admin_get_organization": lambda c: c.organizations.get("x"),
    "admin_list_alike_organizations": lambda c: c.organizations.alike("x"),
    "admin_approve_organization": lambda c: c.organizations.approve("x", version=1),
    "admin_refuse_organization": lambda c: c.organizations.refuse("x", "why"),
    "admin_approve_tax_zone": lambda c: c.organizations.approve_tax_zone("x", "why"),
    "admin_suspend_organization": lambda c: c.organizations.suspend("x", "why"),
    "admin_resume_organization": lambda c: c.organizations.resume("x"),
    "admin_list_quotas": lambda c: c.organizations.quotas("x"),
    "admin_set_quota": lambda c: c.organizations.set_quota("x", "gpus", 1),
    "create_legal_entity": lambda c: c.legal_entities.create({}),
    "list_legal_entities": lambda c: list(c.legal_entities.list()),
    "get_legal_entity": lambda c: c.legal_entities.get("x"),
    "end_legal_entity": lambda c: c.legal_entities.end("x"),
    "create_holding": lambda c: c.holdings.create({}),
    "list_holdings": lambda c: list(c.holdings.list()),
    "get_holding": lambda c: c.holdings.get("x"),
    "end_holding": lambda c: c.holdings.end("x"),
    "create_certification": lambda c: c.certifications.create({}),
    "list_certifications": lambda c: list(c.certifications.list()),
    "get_certification": lambda c: c.certifications.get("x"),
    "end_certification": lambda c: c.certifications.end("x"),
    "create_datacenter": lambda c: c.datacenters.create({}),
    "list_datacenters": lambda c: list(c.datacenters.list()),
    "get_datacenter": lambda c: c.datacenters.get("x"),
    "update_datacenter": lambda c: c.datacenters.update("x", {}, version=1),
    "close_datacenter": lambda c: c.datacenters.close("x", version=1),
    "create_node_pool": lambda c: c.node_pools.create({}),
    "list_node_pools": lambda c: list(c.node_pools.list()),
    "get_node_pool": lambda c: c.node_pools.get("x"),
    "scale_node_pool": lambda c: c.node_pools.scale("x", 1, version=1),
    "delete_node_pool": lambda c: c.node_pools.delete("x", version=1),
    "list_nodes": lambda c: list(c.nodes.list(pool="x")),
    "get_node": lambda c: c.nodes.get("x"),
    "cordon_node": lambda c: c.nodes.cordon("x"),
    "uncordon_node": lambda c: c.nodes.uncordon("x"),
    "drain_node": lambda c: c.nodes.drain("x"),
    "replace_node": lambda c: c.nodes.replace("x", is_forced=True),
    "list_catalog_datacenters": lambda c: c.catalog.datacenters(),
    "list_catalog_regions": lambda c: c.catalog.regions(),
    "list_catalog_models": lambda c: c.catalog.models(),
    "get_catalog_model": lambda c: c.catalog.model("x"),
    "list_catalog_instances": lambda c: c.catalog.instance_types(),
    "list_apps": lambda c: list(c.apps.list()),
    "create_app": lambda c: c.apps.create({}),
    "get_app": lambda c: c.apps.get("x"),
    "update_app": lambda c: c.apps.update("x", {}, version=1),
    "delete_app": lambda c: c.apps.delete("x", version=1),
    "list_secrets": lambda c: list(c.secrets.list()),
    "create_secret": lambda c: c.secrets.create({}),
    "get_secret": lambda c: c.secrets.get("x"),
    "update_secret": lambda c: c.secrets.update("x", {}, version=1),
    "delete_secret": lambda c: c.secrets.delete("x", version=1),
    "list_services": lambda c: list(c.services.list()),
    "create_service": lambda c: c.services.create({}),
    "get_service": lambda c: c.services.get("x"),
    "replace_service": lambda c: c.services.replace("x", {}, version=1),
    "update_service": lambda c: c.services.update("x", {}, version=1),
    "delete_service": lambda c: c.services.delete("x", version=1),
    "pause_service": lambda c: c.services.pause("x"),
    "resume_service": lambda c: c.services.resume("x"),
    "redeploy_service": lambda c: c.services.redeploy("x"),
    "scale_service": lambda c: c.services.scale("x", 0, 1),
    "get_service_explanation": lambda c: c.services.explanation("x"),
    "list_service_cold_starts": lambda c: c.services.cold_starts("x"),
    "list_service_events": lambda c: list(c.services.events("x", types=["PLACED"])),
    "query_logs": lambda c: [c.services.logs("x", limit=5), c.instances.logs("x")],
    "list_deployments": lambda c: list(c.deployments.list()),
    "get_deployment": lambda c: c.deployments.get("x"),
    "cancel_deployment": lambda c: c.deployments.cancel("x"),
    "list_regional_deployments": lambda c: list(c.regional_deployments.list()),
    "get_regional_deployment": lambda c: c.regional_deployments.get("x"),
    "list_instances": lambda c: list(c.instances.list()),
    "get_instance": lambda c: c.instances.get("x"),
    "list_usages": lambda c: list(c.usages.list(since="2026-11-01T00:00:00Z", group_by=["project"])),
    "list_usage_details": lambda c: list(c.usages.details(service_id="x")),
    "ingest_usage_events": lambda c: c.usages.ingest([{}]),
    "list_organization_usages": lambda c: list(c.organizations.usages("x", until="2026-11-01T00:00:00Z")),
    "list_usage_conflicts": lambda c: list(c.usage_conflicts.list()),
    "get_costs": lambda c: c.costs.get(group_by="project"),
    "preview_costs": lambda c: c.costs.preview({"plan": "x"}, group_by="sku"),
    "list_credits": lambda c: c.costs.credits(),
    "get_plan": lambda c: c.costs.plan(),
    "list_budgets": lambda c: [list(c.budgets.list()), c.budgets.alerts()],
    "set_budget": lambda c: c.budgets.set({"amount": "0.01"}, version=1),
    "list_invoices": lambda c: list(c.invoices.list()),
    "get_invoice": lambda c: c.invoices.get("x"),
    "download_invoice": lambda c: c.invoices.download("x", "pdf"),
    "get_e_invoice": lambda c: c.invoices.e_invoice("x"),
    "list_payments": lambda c: list(c.payments.list()),
    "list_balances": lambda c: c.payments.balances(),
    "admin_list_invoices": lambda c: list(c.platform_invoices.list(state="HELD")),
    "admin_list_e_invoices": lambda c: list(c.platform_invoices.list_files(state="RENDER_FAILED")),
    "admin_get_invoice": lambda c: c.platform_invoices.get("x"),
    "admin_download_invoice": lambda c: c.platform_invoices.download("x", "xml"),
    "admin_close_period": lambda c: c.platform_invoices.close_period("x", "2026-10"),
    "admin_issue_invoice": lambda c: c.platform_invoices.issue("x"),
    "admin_retry_invoice": lambda c: c.platform_invoices.retry("x"),
    "admin_hold_invoice": lambda c: c.platform_invoices.hold("x", "why"),
    "admin_create_credit_note": lambda c: c.platform_invoices.credit_note("x", "why"),
    "admin_sell_deposit": lambda c: c.platform_invoices.sell_deposit("x", "10.00", "why"),
    "admin_record_vat_check": lambda c: c.platform_invoices.record_vat_check({}),
    "admin_get_seller": lambda c: c.platform_invoices.seller(),
    "admin_set_seller": lambda c: c.platform_invoices.set_seller({}, version=1),
    "admin_refund_payment": lambda c: c.platform_payments.refund("x", {}),
    "admin_list_payments": lambda c: list(c.platform_payments.list(organization_id="x")),
    "admin_receive_payment": lambda c: c.platform_payments.receive({}),
    "admin_match_payments": lambda c: c.platform_payments.match("x"),
    "admin_list_balances": lambda c: c.platform_payments.balances("x"),
    "list_skus": lambda c: c.prices.skus(),
    "create_sku": lambda c: c.prices.create_sku({}),
    "list_price_versions": lambda c: list(c.prices.list()),
    "create_price_version": lambda c: c.prices.create({}),
    "list_plans": lambda c: c.prices.plans(),
    "create_plan": lambda c: c.prices.create_plan({}),
    "admin_get_plan": lambda c: c.organizations.plan("x"),
    "admin_set_plan": lambda c: c.organizations.set_plan("x", "pro"),
    "admin_list_credits": lambda c: c.organizations.credits("x"),
    "admin_grant_credit": lambda c: c.organizations.grant_credit("x", {}),
    "list_ledger_accounts": lambda c: c.ledger.accounts(),
    "list_ledger_entries": lambda c: list(c.ledger.list(year=2026)),
    "get_accounting_entity": lambda c: c.ledger.entity(),
    "set_accounting_entity": lambda c: c.ledger.set_entity({}, version=1),
    "close_fiscal_year": lambda c: c.ledger.close_year(2026),
    "export_fec": lambda c: c.ledger.fec(2026),
    "get_clock": lambda c: c.clock(),
    "move_clock": lambda c: c.move_clock(1),
}
# An organization's key reads its own organization without naming it.
NOT_OFFERED = frozenset({"get_organization"})


@pytest.fixture(scope="module")
def document() -> Json:
    found: Json = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return found


def operations(document: Json) -> dict[str, tuple[str, str, Json]]:
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_the_client_offers_every_operation(document: Json) -> None:
    assert set(CALLS) == set(operations(document)) - NOT_OFFERED


@pytest.mark.parametrize("name", sorted(CALLS))
def test_each_verb_calls_its_operation_and_reads_its_answer(name: str, document: Json) -> None:
    method, path, operation = operations(document)[name]
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        code, reply = next(item for item in operation["responses"].items() if item[0].startswith("2"))
        schema = reply.get("content", {}).get("application/json", {}).get("schema")
        return httpx.Response(int(code), json=None if schema is None else least(document, schema))

    with Rempart("k", "http://api.test", transport=httpx.MockTransport(answer)) as client:
        CALLS[name](client)
    last = sent[-1]
    assert last.method == method
    assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), last.url.path), last.url.path
    known = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
    assert set(dict(last.url.params)) <= known
    assert ("If-Match" in last.headers) == ("412" in operation["responses"])


def least(document: Json, schema: Json) -> Any:
    """The least value that fits a schema of the description."""
    if "$ref" in schema:
        return least(document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    for variants in ("anyOf", "oneOf", "allOf"):
        if variants in schema:
            return None if {"type": "null"} in schema[variants] else least(document, schema[variants][0])
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: least(document, value) for name, value in schema.get("properties", {}).items()}
    return {"array": [], "string": "x", "boolean": False}.get(kind, 1)


def test_what_a_person_typed_stays_one_segment_of_the_path() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"app": {}})

    Rempart("k", "http://api.test", transport=httpx.MockTransport(answer)).apps.get("../api_keys?x=1")
    assert sent[0].url.raw_path == b"/v1/apps/..%2Fapi_keys%3Fx%3D1"


class TestWaiting:
    def test_it_returns_the_service_once_its_latest_deployment_is_good(self) -> None:
        told: list[str] = []
        client = server("PENDING", "PENDING", "STARTING", "SLEEPING")
        service = client.wait_for_service(
            "svc_1", timeout_seconds=5, poll_seconds=0, on_change=lambda d: told.append(d["status"])
        )
        assert service["id"] == "svc_1"
        assert told == ["PENDING", "STARTING", "SLEEPING"]

    @pytest.mark.parametrize("status", ["ERROR", "UNHEALTHY", "CANCELED", "STOPPED"])
    def test_it_gives_up_at_once_when_waiting_cannot_help(self, status: str) -> None:
        with pytest.raises(DeploymentFailed, match="no licence") as failed:
            server("PENDING", status).wait_for_service("svc_1", timeout_seconds=5, poll_seconds=0)
        assert (failed.value.status, failed.value.reasons) == (status, ["no licence"])

    def test_it_says_where_it_stood_when_time_was_up(self) -> None:
        with pytest.raises(WaitTimedOut, match="still PENDING; no licence"):
            server("PENDING").wait_for_service("svc_1", timeout_seconds=0)


def server(*statuses: str) -> Rempart:
    """A door whose deployment goes through these statuses and stays at the last."""
    left = list(statuses)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/services/svc_1":
            return httpx.Response(200, json={"service": {"id": "svc_1", "latest_deployment_id": "dep_1"}})
        assert request.url.path == "/v1/deployments/dep_1"
        status = left.pop(0) if len(left) > 1 else left[0]
        deployment = {"id": "dep_1", "status": status, "messages": ["no licence"]}
        return httpx.Response(200, json={"deployment": deployment})

    return Rempart("k", "http://api.test", transport=httpx.MockTransport(answer))
