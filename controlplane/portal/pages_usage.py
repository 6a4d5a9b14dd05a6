"""What was used, what it costs so far, and budgets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from controlplane.kernel.period import PARIS
from controlplane.portal.format_rules import parse
from controlplane.portal.i18n import N_
from controlplane.portal.labels import METERS
from controlplane.portal.money_rules import bars, budget_use, parse_euros
from controlplane.portal.web import SignedIn, TenantDep
from controlplane.sdk import ApiError, Forbidden, Unauthenticated

router = APIRouter()
ROWS_MAX = 200


@router.get("/usage")
def show_usage(visit: TenantDep) -> Response:
    return _usage_page(visit)


@router.post("/usage/budget")
def set_budget(visit: TenantDep) -> Response:
    text = visit.field("amount")
    euros = parse_euros(text)
    if euros is None:
        wrong = N_("Write an amount in euros above zero, such as 500 or 499.90.")
        return _usage_page(visit, amount=text, wrong=wrong, status=422)
    project = visit.field("project_id") or None
    body = {"project_id": project, "amount": euros, "is_hard": visit.field("is_hard") == "yes"}
    try:
        visit.api.budgets.set(body)
    except (Unauthenticated, Forbidden):
        raise
    except ApiError as refused:
        if refused.status >= 500:
            raise
        return _usage_page(visit, amount=text, wrong=refused.message, status=refused.status)
    return visit.go("/usage", done="budget_set")


def _usage_page(visit: SignedIn, *, amount: str = "", wrong: str = "", status: int = 200) -> Response:
    meter = visit.request.query_params.get("meter", "")
    chosen = meter if meter in METERS else "output_tokens"
    cost = visit.allowed(visit.api.costs.get)
    by_service = visit.allowed(lambda: visit.api.costs.get(group_by="service"))
    budgets = visit.allowed(lambda: list(visit.api.budgets.list())) or []
    spent = "0.00" if cost is None else str(cost["net"])
    names = {each["id"]: each["name"] for each in visit.allowed(_named_services(visit)) or []}
    totals = visit.api.usages.page(limit=ROWS_MAX, group_by=["service"], granularity="total").items
    points = _daily(visit, chosen, cost)
    return visit.page(
        "usage.html",
        status=status,
        cost=cost,
        plan_title=_plan_title(visit, cost),
        by_service=by_service,
        service_names=names,
        budgets=[
            {**each, "use": budget_use(each, spent) if each["project_id"] is None else None}
            for each in budgets
        ],
        alerts=visit.allowed(visit.api.budgets.alerts) or [],
        totals=totals,
        meter=chosen,
        points=points,
        bars=bars(points),
        amount=amount,
        wrong=wrong,
        projects=visit.projects(),
    )


def _plan_title(visit: SignedIn, cost: Mapping[str, Any] | None) -> str:
    """The plan's title in the reader's language."""
    if cost is None:
        return ""
    plan = visit.allowed(visit.api.costs.plan)
    return str((plan or {}).get("plan", {}).get(f"title_{visit.language}") or cost["plan"])


def _named_services(visit: SignedIn) -> Any:
    return lambda: visit.api.services.page(limit=100).items


def _daily(visit: SignedIn, meter: str, cost: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return (day, quantity) of the running month; simulated use is left out, as it is not billed."""
    if cost is None:
        return []
    day, end = (parse(cost[name]).astimezone(PARIS).date() for name in ("period_start", "period_end"))
    used: dict[date, str] = {}
    for each in visit.api.usages.page(limit=ROWS_MAX, granularity="day", meter=meter).items:
        if not each["is_simulated"]:
            used[parse(each["start"]).astimezone(PARIS).date()] = each["quantity"]
    points = []
    while day < end:
        points.append((day.isoformat(), used.get(day, "0")))
        day += timedelta(days=1)
    return points
