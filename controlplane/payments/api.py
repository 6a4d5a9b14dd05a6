"""REST of payments: a tenant sees what it paid and owes; the platform records what the bank says."""

from __future__ import annotations

from fastapi import APIRouter, Response

from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require, require_platform
from controlplane.kernel.access import tenant_of
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.payments import schemas as wire
from controlplane.payments import service
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import EdgeDep, PagingDep

router = APIRouter(prefix="/v1", tags=["payments"])
admin_router = APIRouter(prefix="/v1/admin", tags=["admin: payments"])
_SCOPE = "payments"


@router.get("/payments", operation_id="list_payments", summary="List what we paid")
def list_payments(edge: EdgeDep, page: PagingDep) -> wire.PaymentList:
    require(edge.principal, Resource.INVOICE, Action.READ)
    tenant_id, after = tenant_of(edge.principal), edge.page_after(page, _SCOPE)
    found = edge.read(
        lambda uow: service.list_payments(uow, tenant_id=tenant_id, after=after, limit=page.limit)
    )
    cursor = edge.next_cursor(found, _SCOPE)
    return wire.PaymentList(
        payments=[wire.PaymentShape.of(payment) for payment in found.items],
        limit=page.limit,
        has_next=cursor is not None,
        next_cursor=cursor,
    )


@router.get("/balances", operation_id="list_balances", summary="List issued invoices with what is open")
def list_balances(edge: EdgeDep) -> wire.BalanceList:
    require(edge.principal, Resource.INVOICE, Action.READ)
    tenant_id = tenant_of(edge.principal)

    def query(uow: UnitOfWork) -> wire.BalanceList:
        today = uow.now.astimezone(PARIS).date()
        return wire.BalanceList(
            invoices=[wire.BalanceShape.of(item, today) for item in service.list_items(uow, tenant_id)]
        )

    return edge.read(query)


@admin_router.post(
    "/payments", operation_id="admin_receive_payment", summary="Record a payment that arrived",
    status_code=201, response_model=wire.ReceiptAnswer,
)  # fmt: skip
def receive_payment(body: wire.PaymentCreate, edge: EdgeDep) -> Response:
    require_platform(edge.principal)
    require(edge.principal, Resource.INVOICE, Action.CREATE)
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
