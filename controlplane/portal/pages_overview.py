"""The first page after signing in."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from controlplane.portal.money_rules import budget_use
from controlplane.portal.web import SignedIn, SignedInDep
from controlplane.sdk.resources import Json, Page

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
        access_ends_at=api.caller()["access_ends_at"],
        **visit.project_choice(),
    )


def _operator_overview(visit: SignedIn) -> Response:
    api = visit.api
    # Not each of the operator's people may see all of it.
    pools = _items(visit.allowed(lambda: api.node_pools.page(limit=100)))
    return visit.page(
        "operator_overview.html",
        access_ends_at=api.caller()["access_ends_at"],
        datacenters=visit.allowed(lambda: list(api.datacenters.list())) or [],
        pools=pools,
        tenants=_items(visit.allowed(lambda: api.organizations.page(limit=5))),
        held=_items(visit.allowed(lambda: api.platform_invoices.page(limit=5, state="HELD"))),
        ready_nodes=sum(pool["ready_nodes"] for pool in pools),
        wanted_nodes=sum(pool["replicas"] for pool in pools),
    )


def _items(page: Page | None) -> list[Json]:
    return [] if page is None else list(page.items)
