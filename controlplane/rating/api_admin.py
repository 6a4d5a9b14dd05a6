"""REST of the platform operator over prices: SKUs, price versions, plans, who has which plan, credits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from controlplane.identity.domain import Action, Principal, Resource
from controlplane.identity.service import require, require_platform
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.amounts import minor_of
from controlplane.plumbing.web import ERRORS, EdgeDep, PagingDep
from controlplane.rating import service
from controlplane.rating.schemas import (
    CreditAnswer,
    CreditCreate,
    CreditList,
    CreditShape,
    PlanAnswer,
    PlanList,
    PlanShape,
    PriceVersionAnswer,
    PriceVersionCreate,
    PriceVersionList,
    PriceVersionShape,
    SkuAnswer,
    SkuList,
    SkuShape,
    TenantPlanAnswer,
    TenantPlanSet,
    TenantPlanShape,
    parse_utc,
)

router = APIRouter(prefix="/v1/admin", tags=["admin: prices"], responses=ERRORS)
OrganizationRef = Annotated[str, Path(max_length=64, description="Id of an organization, `org_…`.")]
_SCOPE = "admin/price_versions"


def _check(principal: Principal, action: Action) -> None:
    """Tenants may read prices, but never by this door."""
    require_platform(principal)
    require(principal, Resource.PRICE, action)


@router.get("/skus", operation_id="list_skus", summary="List what is sold")
def list_skus(edge: EdgeDep) -> SkuList:
    _check(edge.principal, Action.READ)
    return SkuList(skus=[SkuShape.of(sku) for sku in edge.read(service.list_skus)])


@router.post(
    "/skus", operation_id="create_sku", summary="Add something that is sold", status_code=201,
    response_model=SkuAnswer,
)  # fmt: skip
def create_sku(body: SkuShape, edge: EdgeDep) -> Response:
    _check(edge.principal, Action.CREATE)
    return edge.write(
        lambda uow: SkuAnswer(
            sku=SkuShape.of(service.create_sku(uow, body.to_domain(), actor=edge.principal.actor))
        ),
        status=201,
    )


@router.get("/price_versions", operation_id="list_price_versions", summary="List prices, newest first")
def list_price_versions(edge: EdgeDep, paging: PagingDep) -> PriceVersionList:
    _check(edge.principal, Action.READ)
    after = edge.page_after(paging, _SCOPE)
    page = edge.read(lambda uow: service.list_versions(uow, after=after, limit=paging.limit))
    return PriceVersionList(
        price_versions=[PriceVersionShape.of(version) for version in page.items],
        limit=paging.limit,
        has_next=page.next_after is not None,
        next_cursor=edge.next_cursor(page, _SCOPE),
    )


@router.post(
    "/price_versions", operation_id="create_price_version", summary="Add a price; prices never change",
    status_code=201, response_model=PriceVersionAnswer,
)  # fmt: skip
def create_price_version(body: PriceVersionCreate, edge: EdgeDep) -> Response:
    _check(edge.principal, Action.CREATE)
    valid_from = parse_utc("valid_from", body.valid_from) or body.valid_from
    valid_to = parse_utc("valid_to", body.valid_to)
    return edge.write(
        lambda uow: PriceVersionAnswer(
            price_version=PriceVersionShape.of(
                service.create_version(
                    uow,
                    book=body.book,
                    sku=body.sku,
                    price=body.to_price(),
                    valid_from=valid_from,
                    valid_to=valid_to,
                    actor=edge.principal.actor,
                )
            )
        ),
        status=201,
    )


@router.get("/plans", operation_id="list_plans", summary="List plans")
def list_plans(edge: EdgeDep) -> PlanList:
    _check(edge.principal, Action.READ)
    return PlanList(plans=[PlanShape.of(plan) for plan in edge.read(service.list_plans)])


@router.post(
    "/plans", operation_id="create_plan", summary="Add a plan; plans never change", status_code=201,
    response_model=PlanAnswer,
)  # fmt: skip
def create_plan(body: PlanShape, edge: EdgeDep) -> Response:
    _check(edge.principal, Action.CREATE)
    return edge.write(
        lambda uow: PlanAnswer(
            plan=PlanShape.of(service.create_plan(uow, body.to_domain(), actor=edge.principal.actor))
        ),
        status=201,
    )


@router.get(
    "/organizations/{organization_id}/plan", operation_id="admin_get_plan",
    summary="Show the plan of an organization",
)  # fmt: skip
def get_plan(organization_id: OrganizationRef, edge: EdgeDep) -> TenantPlanAnswer:
    _check(edge.principal, Action.READ)
    tenant_id = TenantId.parse(organization_id)
    found = edge.read(lambda uow: service.find_tenant_plan(uow, tenant_id))
    return TenantPlanAnswer(tenant_plan=TenantPlanShape.of(found))


@router.put(
    "/organizations/{organization_id}/plan", operation_id="admin_set_plan",
    summary="Give an organization a plan", response_model=TenantPlanAnswer,
)  # fmt: skip
def set_plan(organization_id: OrganizationRef, body: TenantPlanSet, edge: EdgeDep) -> Response:
    _check(edge.principal, Action.UPDATE)
    tenant_id = TenantId.parse(organization_id)
    valid_from = parse_utc("valid_from", body.valid_from)
    return edge.write(
        lambda uow: TenantPlanAnswer(
            tenant_plan=TenantPlanShape.of(
                service.set_tenant_plan(
                    uow, tenant_id, body.plan, valid_from=valid_from, actor=edge.principal.actor
                )
            )
        )
    )


@router.get(
    "/organizations/{organization_id}/credits", operation_id="admin_list_credits",
    summary="List an organization's credits and what is left of each",
)  # fmt: skip
def list_credits(organization_id: OrganizationRef, edge: EdgeDep) -> CreditList:
    _check(edge.principal, Action.READ)
    tenant_id = TenantId.parse(organization_id)
    grants = edge.read(lambda uow: service.list_grants(uow, tenant_id))
    return CreditList(credits=[CreditShape.of(grant) for grant in grants])


@router.post(
    "/organizations/{organization_id}/credits", operation_id="admin_grant_credit",
    summary="Give an organization credit", status_code=201, response_model=CreditAnswer,
)  # fmt: skip
def grant_credit(organization_id: OrganizationRef, body: CreditCreate, edge: EdgeDep) -> Response:
    _check(edge.principal, Action.CREATE)
    tenant_id = TenantId.parse(organization_id)
    return edge.write(
        lambda uow: CreditAnswer(
            credit=CreditShape.of(
                service.grant_credit(
                    uow,
                    tenant_id,
                    kind=body.kind,
                    label=body.label,
                    amount_minor=minor_of(body.amount),
                    priority=body.priority,
                    effective_from=parse_utc("effective_from", body.effective_from),
                    expires_at=parse_utc("expires_at", body.expires_at),
                    actor=edge.principal.actor,
                )
            )
        ),
        status=201,
    )
