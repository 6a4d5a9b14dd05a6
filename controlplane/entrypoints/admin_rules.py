"""Who may use which operation of the operator's door: one table, asked before a body is read. Pure.

A path that no row names is closed to everybody, so that a new operation is not open to all of the operator's people.
"""

from __future__ import annotations

from typing import Final

from controlplane.kernel.access import Action, Resource

ADMIN_PREFIX: Final = "/v1/admin/"

# The first part of the path that fits decides, longer ones before shorter ones.
RESOURCES: Final[tuple[tuple[str, Resource], ...]] = (
    ("organizations/{organization_id}/recovery_keys", Resource.API_KEY),
    ("organizations/{organization_id}/quotas", Resource.QUOTA),
    ("organizations/{organization_id}/usages", Resource.USAGE),
    ("organizations/{organization_id}/deposits", Resource.INVOICE),
    ("organizations/{organization_id}/balances", Resource.INVOICE),
    ("organizations/{organization_id}/payments", Resource.INVOICE),
    ("organizations/{organization_id}/refunds", Resource.INVOICE),
    ("organizations/{organization_id}/plan", Resource.PRICE),
    ("organizations/{organization_id}/credits", Resource.PRICE),
    ("organizations", Resource.ORGANIZATION),
    ("api_keys", Resource.OPERATOR_KEY),
    ("audit_events", Resource.AUDIT_EVENT),
    ("security_events", Resource.SECURITY_EVENT),
    ("legal_entities", Resource.LEGAL_ENTITY),
    ("holdings", Resource.LEGAL_ENTITY),
    ("certifications", Resource.CERTIFICATION),
    ("datacenters", Resource.DATACENTER),
    ("node_pools", Resource.NODE_POOL),
    ("nodes", Resource.NODE),
    ("usage_conflicts", Resource.USAGE),
    ("billing", Resource.INVOICE),
    ("invoices", Resource.INVOICE),
    ("e_invoices", Resource.INVOICE),
    ("vat_checks", Resource.INVOICE),
    ("seller", Resource.INVOICE),
    ("payments", Resource.INVOICE),
    ("skus", Resource.PRICE),
    ("price_versions", Resource.PRICE),
    ("plans", Resource.PRICE),
    ("ledger", Resource.LEDGER),
    ("fec", Resource.LEDGER),
    ("clock", Resource.CLOCK),
    ("deliveries", Resource.DELIVERY),
)
_ACTIONS: Final = {
    "GET": Action.READ,
    "HEAD": Action.READ,
    "POST": Action.CREATE,
    "PUT": Action.UPDATE,
    "PATCH": Action.UPDATE,
    "DELETE": Action.DELETE,
}
# Verbs on what exists; every other POST makes something.
_OPERATED: Final = (
    "/suspend",
    "/resume",
    "/approve",
    "/refuse",
    "/retry",
    "/recovery_keys",
    "/issue",
    "/hold",
    "/close",
    "/match",
    "/cordon",
    "/uncordon",
    "/drain",
    "/replace",
)
_UPDATED: Final = ("/roll",)
_DELETED: Final = ("/end",)


def right_of(method: str, path: str) -> tuple[Resource, Action] | None:
    """Return what an operation of the operator's door needs; `path` is its route's. None: nobody has it."""
    inner = path.removeprefix(ADMIN_PREFIX)
    for prefix, resource in RESOURCES:
        if inner == prefix or inner.startswith(f"{prefix}/"):
            return resource, _action(method, path)
    return None


def _action(method: str, path: str) -> Action:
    if method == "POST":
        for ends, action in (
            (_OPERATED, Action.OPERATE),
            (_UPDATED, Action.UPDATE),
            (_DELETED, Action.DELETE),
        ):
            if path.endswith(ends):
                return action
    return _ACTIONS[method]
