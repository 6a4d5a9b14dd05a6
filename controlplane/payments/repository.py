"""All SQL of the payments room."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.ids import TenantId
from controlplane.payments.domain import Allocation, Payment, PaymentId, PaymentMethod, Refund
from controlplane.payments.models import AllocationRow, PaymentRow, RefundRow
from controlplane.plumbing.database import UnitOfWork


def add_payment(uow: UnitOfWork, payment: Payment) -> None:
    uow.session.add(
        PaymentRow(
            id=payment.id,
            tenant_id=payment.tenant_id,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            received_on=payment.received_on,
            method=payment.method,
            bank_reference=payment.bank_reference,
            remittance=payment.remittance,
            recorded_at=payment.recorded_at,
        )
    )
    uow.session.flush()


def add_allocation(uow: UnitOfWork, allocation: Allocation) -> None:
    uow.session.add(
        AllocationRow(
            id=allocation.id,
            tenant_id=allocation.tenant_id,
            payment_id=allocation.payment_id,
            invoice_id=allocation.invoice_id,
            amount_minor=allocation.amount_minor,
            vat_minor=allocation.vat_minor,
            allocated_on=allocation.allocated_on,
            allocated_at=allocation.allocated_at,
        )
    )
    uow.session.flush()


def find_by_reference(uow: UnitOfWork, bank_reference: str) -> Payment | None:
    row = uow.session.scalars(
        select(PaymentRow).where(PaymentRow.bank_reference == bank_reference)
    ).one_or_none()
    return None if row is None else to_payment(row)


def find_payment(uow: UnitOfWork, payment_id: PaymentId) -> Payment | None:
    row = uow.session.get(PaymentRow, payment_id)
    return None if row is None else to_payment(row)


def list_payments(
    uow: UnitOfWork, *, tenant_id: TenantId | None, after: UUID | None, limit: int
) -> Sequence[Payment]:
    query = select(PaymentRow).order_by(PaymentRow.id.desc()).limit(limit)
    if tenant_id is not None:
        query = query.where(PaymentRow.tenant_id == tenant_id)
    if after is not None:
        query = query.where(PaymentRow.id < PaymentId(after))
    return [to_payment(row) for row in uow.session.scalars(query)]


def list_allocations(
    uow: UnitOfWork,
    tenant_id: TenantId,
    *,
    payment_ids: Sequence[PaymentId] | None = None,
    invoice_ids: Sequence[InvoiceId] | None = None,
) -> Sequence[Allocation]:
    query = select(AllocationRow).where(AllocationRow.tenant_id == tenant_id).order_by(AllocationRow.id)
    if payment_ids is not None:
        query = query.where(AllocationRow.payment_id.in_(payment_ids))
    if invoice_ids is not None:
        query = query.where(AllocationRow.invoice_id.in_(invoice_ids))
    return [to_allocation(row) for row in uow.session.scalars(query)]


def add_refund(uow: UnitOfWork, refund: Refund) -> None:
    uow.session.add(
        RefundRow(
            id=refund.id,
            tenant_id=refund.tenant_id,
            payment_id=refund.payment_id,
            amount_minor=refund.amount_minor,
            paid_on=refund.paid_on,
            bank_reference=refund.bank_reference,
            recorded_at=refund.recorded_at,
        )
    )
    uow.session.flush()


def list_refunds(uow: UnitOfWork, tenant_id: TenantId, payment_ids: Sequence[PaymentId]) -> list[Refund]:
    rows = uow.session.scalars(
        select(RefundRow)
        .where(RefundRow.tenant_id == tenant_id, RefundRow.payment_id.in_(payment_ids))
        .order_by(RefundRow.id)
    )
    return [to_refund(row) for row in rows]


def list_refunds_by_reference(uow: UnitOfWork, bank_reference: str) -> list[Refund]:
    rows = uow.session.scalars(
        select(RefundRow).where(RefundRow.bank_reference == bank_reference).order_by(RefundRow.id)
    )
    return [to_refund(row) for row in rows]


def to_refund(row: RefundRow) -> Refund:
    return Refund(
        row.id,
        row.tenant_id,
        row.payment_id,
        row.amount_minor,
        row.paid_on,
        row.bank_reference,
        row.recorded_at,
    )


def to_payment(row: PaymentRow) -> Payment:
    return Payment(
        id=row.id,
        tenant_id=row.tenant_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
        received_on=row.received_on,
        method=PaymentMethod(row.method),
        bank_reference=row.bank_reference,
        remittance=row.remittance,
        recorded_at=row.recorded_at,
    )


def to_allocation(row: AllocationRow) -> Allocation:
    return Allocation(
        id=row.id,
        tenant_id=row.tenant_id,
        payment_id=row.payment_id,
        invoice_id=row.invoice_id,
        amount_minor=row.amount_minor,
        vat_minor=row.vat_minor,
        allocated_on=row.allocated_on,
        allocated_at=row.allocated_at,
    )
