"""REST of costs and budgets: what a tenant sees of its month."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from controlplane.identity.domain import Action, Principal, Resource
from controlplane.identity.service import require, require_tenant
from controlplane.kernel.ids import ProjectId
from controlplane.kernel.period import Period
from controlplane.plumbing.amounts import minor_of
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import ERRORS, EdgeDep
from controlplane.rating import service
from controlplane.rating.domain import RatedPeriod
from controlplane.rating.line_rules import only_project
from controlplane.rating.schemas import CreditList, CreditShape, TenantPlanAnswer, TenantPlanShape
from controlplane.rating.schemas_costs import (
    BudgetAnswer,
    BudgetList,
    BudgetSet,
    BudgetShape,
    CostAnswer,
    CostGroup,
    CostPreview,
    CostShape,
)
from controlplane.rating.schemas_prices import PriceListOut, PriceListReply

router = APIRouter(tags=["costs"], responses=ERRORS)


@router.get("/v1/costs", operation_id="get_costs", summary="Cost of the running month, live")
def get_costs(
    edge: EdgeDep,
    group_by: Annotated[CostGroup, Query(description="What to sum by.")] = CostGroup.SKU,
) -> CostAnswer:
    require(edge.principal, Resource.COST, Action.READ)
    tenant_id = require_tenant(edge.principal)

    def query(uow: UnitOfWork) -> tuple[RatedPeriod, datetime]:
        return service.rate_period(uow, tenant_id, Period.month_of(uow.now), None), uow.now

    rated, now = edge.read(query)
    return CostAnswer(cost=CostShape.of(_visible(rated, edge.principal), group_by, now))


@router.post(
    "/v1/costs/preview",
    operation_id="preview_costs",
    summary="What the running month would cost by another plan or other usage",
)
def preview_costs(
    body: CostPreview,
    edge: EdgeDep,
    group_by: Annotated[CostGroup, Query(description="What to sum by.")] = CostGroup.SKU,
) -> CostAnswer:
    require(edge.principal, Resource.COST, Action.CREATE)
    tenant_id = require_tenant(edge.principal)
    usage = None if body.usage is None else [wish.to_domain() for wish in body.usage]

    def query(uow: UnitOfWork) -> tuple[RatedPeriod, datetime]:
        period = Period.month_of(uow.now)
        return service.preview(uow, tenant_id, period, plan_code=body.plan, usage=usage), uow.now

    rated, now = edge.read(query)
    shown = _visible(rated, edge.principal) if usage is None else rated
    return CostAnswer(cost=CostShape.of(shown, group_by, now))


@router.get("/v1/prices", operation_id="get_prices", summary="The price list of the organization's plan")
def get_prices(edge: EdgeDep) -> PriceListReply:
    require(edge.principal, Resource.PRICE, Action.READ)
    tenant_id = require_tenant(edge.principal)
    return PriceListReply(
        price_list=PriceListOut.of(edge.read(lambda uow: service.price_list(uow, tenant_id)))
    )


def _visible(rated: RatedPeriod, principal: Principal) -> RatedPeriod:
    """A key that is bound to a project sees what that project caused, and no credit of the organization."""
    if principal.project_id is None:
        return rated
    lines = only_project(rated.lines, str(principal.project_id))
    return replace(rated, lines=lines, credits=(), problems=())


@router.get("/v1/credits", operation_id="list_credits", summary="List credits and what is left of each")
def list_credits(edge: EdgeDep) -> CreditList:
    require(edge.principal, Resource.BUDGET, Action.READ)
    tenant_id = require_tenant(edge.principal)
    grants = edge.read(lambda uow: service.list_grants(uow, tenant_id))
    return CreditList(credits=[CreditShape.of(grant) for grant in grants])


@router.get("/v1/plan", operation_id="get_plan", summary="Show the plan that is in force")
def get_plan(edge: EdgeDep) -> TenantPlanAnswer:
    require(edge.principal, Resource.COST, Action.READ)
    tenant_id = require_tenant(edge.principal)
    found = edge.read(lambda uow: service.find_tenant_plan(uow, tenant_id))
    return TenantPlanAnswer(tenant_plan=TenantPlanShape.of(found))


@router.get("/v1/budgets", operation_id="list_budgets", summary="List budgets and this month's alerts")
def list_budgets(edge: EdgeDep) -> BudgetList:
    require(edge.principal, Resource.BUDGET, Action.READ)
    tenant_id = require_tenant(edge.principal)
    budgets, alerts = edge.read(
        lambda uow: (service.list_budgets(uow, tenant_id), service.list_alerts(uow, tenant_id))
    )
    return BudgetList.of(budgets, alerts)


@router.put(
    "/v1/budgets",
    operation_id="set_budget",
    summary="Set the monthly budget of the organization or of a project",
    response_model=BudgetAnswer,
)
def set_budget(body: BudgetSet, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.BUDGET, Action.UPDATE)
    tenant_id = require_tenant(edge.principal)
    project_id = None if body.project_id is None else ProjectId.parse(body.project_id)
    # The first budget has no version to name; a change has (service.set_budget refuses it otherwise).
    expected = edge.expected_version() if "If-Match" in edge.request.headers else None
    return edge.write(
        lambda uow: BudgetAnswer(
            budget=BudgetShape.of(
                service.set_budget(
                    uow,
                    tenant_id,
                    project_id,
                    minor_of(body.amount),
                    is_hard=body.is_hard,
                    expected_version=expected,
                    actor=edge.principal.actor,
                )
            )
        ),
        etag=lambda out: out.budget.version,
    )
