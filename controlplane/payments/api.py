"""REST of payments: a tenant sees what it paid and owes; the platform records what the bank says."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require, require_platform
from controlplane.kernel.access import tenant_of
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.kernel.principal import Principal
from controlplane.payments import schemas as wire
from controlplane.payments import service
from controlplane.payments.domain import Payment
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import Edge, EdgeDep, PagingDep

router = APIRouter(prefix="/v1", tags=["payments"])
admin_router = APIRouter(prefix="/v1/admin", tags=["admin: payments"])
_SCOPE = "payments"
_ALL = "admin/payments"
OrganizationRef = Annotated[str, Path(max_length=64, description="Id of an organization, `org_…`.")]


@router.get("/payments", operation_id="list_payments", summary="List what we paid")
def list_payments(edge: EdgeDep, page: PagingDep) -> wire.PaymentList:
    require(edge.principal, Resource.INVOICE, Action.READ)
    tenant_id, after = tenant_of(edge.principal), edge.page_after(page, _SCOPE)
    found = edge.read(
        lambda uow: service.list_payments(uow, tenant_id=tenant_id, after=after, limit=page.limit)
    )
    return _to_list(edge, found, page.limit, _SCOPE)


@router.get("/balances", operation_id="list_balances", summary="List issued invoices with what is open")
def list_balances(edge: EdgeDep) -> wire.BalanceList:
    require(edge.principal, Resource.INVOICE, Action.READ)
    return _list_balances(edge, tenant_of(edge.principal))


@admin_router.post(
    "/payments", operation_id="admin_receive_payment", summary="Record a payment that arrived",
    status_code=201, response_model=wire.ReceiptAnswer,
)  # fmt: skip
def receive_payment(body: wire.PaymentCreate, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.CREATE)
    tenant_id, actor = TenantId.parse(body.organization_id), edge.principal.actor
    return edge.write(
        lambda uow: wire.ReceiptAnswer.of(
            service.receive_payment(
                uow,
                tenant_id,
                body.minor(),
                body.received_on,
                bank_reference=body.bank_reference,
                remittance=body.remittance,
                method=body.method,
                actor=actor,
            )
        ),
        status=201,
    )


@admin_router.get(
    "/payments", operation_id="admin_list_payments", summary="List payments of all organizations"
)
def admin_list(
    edge: EdgeDep,
    page: PagingDep,
    organization_id: Annotated[str | None, Query(max_length=40, description="Only of this one.")] = None,
) -> wire.PaymentList:
    _platform(edge.principal, Action.READ)
    after = edge.page_after(page, _ALL)
    tenant_id = None if organization_id is None else TenantId.parse(organization_id)
    found = edge.read(
        lambda uow: service.list_payments(uow, tenant_id=tenant_id, after=after, limit=page.limit)
    )
    return _to_list(edge, found, page.limit, _ALL)


@admin_router.get(
    "/organizations/{organization_id}/balances", operation_id="admin_list_balances",
    summary="List an organization's issued invoices with what is open",
)  # fmt: skip
def admin_balances(organization_id: OrganizationRef, edge: EdgeDep) -> wire.BalanceList:
    _platform(edge.principal, Action.READ)
    return _list_balances(edge, TenantId.parse(organization_id))


@admin_router.post(
    "/organizations/{organization_id}/payments/match", operation_id="admin_match_payments",
    summary="Settle open invoices with what earlier payments left over", response_model=wire.MatchAnswer,
)  # fmt: skip
def match_payments(organization_id: OrganizationRef, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.OPERATE)
    tenant_id, actor = TenantId.parse(organization_id), edge.principal.actor
    return edge.write(lambda uow: wire.MatchAnswer.of(service.spend_left_over(uow, tenant_id, actor=actor)))


@admin_router.post(
    "/organizations/{organization_id}/refunds", operation_id="admin_refund_payment",
    summary="Record that a customer's money was paid back", status_code=201, response_model=wire.RefundAnswer,
)  # fmt: skip
def refund_payment(organization_id: OrganizationRef, body: wire.RefundCreate, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.CREATE)
    tenant_id, actor = TenantId.parse(organization_id), edge.principal.actor

    def record(uow: UnitOfWork) -> wire.RefundAnswer:
        made = service.refund(
            uow, tenant_id, body.minor(), body.paid_on, bank_reference=body.bank_reference, actor=actor
        )
        return wire.RefundAnswer(refunds=[wire.RefundShape.of(one) for one in made])

    return edge.write(record, status=201)


def _list_balances(edge: Edge, tenant_id: TenantId) -> wire.BalanceList:
    def query(uow: UnitOfWork) -> wire.BalanceList:
        today = uow.now.astimezone(PARIS).date()
        return wire.BalanceList(
            invoices=[wire.BalanceShape.of(item, today) for item in service.list_items(uow, tenant_id)]
        )

    return edge.read(query)


def _to_list(edge: Edge, found: Page[Payment], limit: int, scope: str) -> wire.PaymentList:
    cursor = edge.next_cursor(found, scope)
    return wire.PaymentList(
        payments=[wire.PaymentShape.of(payment) for payment in found.items],
        limit=limit,
        has_next=cursor is not None,
        next_cursor=cursor,
    )


def _platform(principal: Principal, action: Action) -> None:
    require_platform(principal)
    require(principal, Resource.INVOICE, action)
