"""The first page after signing in."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from controlplane.portal.money_rules import budget_use
from controlplane.portal.web import SignedIn, SignedInDep

router = APIRouter()
SERVICES_SHOWN = 8
INVOICES_SHOWN = 3


@router.get("/")
def show_overview(visit: SignedInDep) -> Response:
    return _operator_overview(visit) if visit.who.is_operator else _tenant_overview(visit)


def _tenant_overview(visit: SignedIn) -> Response:
    api = visit.api
    services = visit.allowed(lambda: api.services.page(limit=SERVICES_SHOWN))
    cost = visit.allowed(api.costs.get)
    budgets = visit.allowed(lambda: list(api.budgets.list()))
    invoices = visit.allowed(lambda: api.invoices.page(limit=INVOICES_SHOWN))
    whole = next((each for each in budgets or [] if each["project_id"] is None), None)
    return visit.page(
        "overview.html",
        services=None if services is None else services.items,
        has_more=services is not None and services.next_cursor is not None,
        cost=cost,
        budget=None if whole is None or cost is None else budget_use(whole, cost["net"]),
        invoices=None if invoices is None else invoices.items,
    )


def _operator_overview(visit: SignedIn) -> Response:
    api = visit.api
    pools = api.node_pools.page(limit=100).items
    return visit.page(
        "operator_overview.html",
        datacenters=list(api.datacenters.list()),
        pools=pools,
        tenants=api.organizations.page(limit=5).items,
        held=api.platform_invoices.page(limit=5, state="HELD").items,
        ready_nodes=sum(pool["ready_nodes"] for pool in pools),
        wanted_nodes=sum(pool["replicas"] for pool in pools),
    )
