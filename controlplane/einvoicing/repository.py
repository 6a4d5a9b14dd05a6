"""All SQL of the e-invoicing room."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select

from controlplane.einvoicing.domain import (
    ArchivedFile,
    EInvoice,
    EInvoiceState,
    FileKind,
    LifeCycle,
    Status,
    StatusId,
)
from controlplane.einvoicing.models import ArchiveRow, EInvoiceRow, StatusRow
from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import UnitOfWork


def find_einvoice(
    uow: UnitOfWork, tenant_id: TenantId, invoice_id: InvoiceId, *, is_locked: bool = False
) -> EInvoice | None:
    row = uow.session.get(
        EInvoiceRow, (tenant_id, invoice_id), with_for_update=is_locked or None, populate_existing=True
    )
    return None if row is None else to_einvoice(row)


def save_einvoice(uow: UnitOfWork, einvoice: EInvoice) -> None:
    row = uow.session.get(EInvoiceRow, (einvoice.tenant_id, einvoice.invoice_id))
    if row is None:
        row = EInvoiceRow(
            tenant_id=einvoice.tenant_id, invoice_id=einvoice.invoice_id, created_at=einvoice.created_at
        )
        uow.session.add(row)
    row.state, row.profile, row.message = einvoice.state, einvoice.profile, einvoice.message
    row.flow_id, row.updated_at = einvoice.flow_id, einvoice.updated_at
    uow.session.flush()


def list_einvoices(uow: UnitOfWork, invoice_ids: Sequence[InvoiceId]) -> Sequence[EInvoice]:
    rows = uow.session.scalars(select(EInvoiceRow).where(EInvoiceRow.invoice_id.in_(invoice_ids)))
    return [to_einvoice(row) for row in rows]


def page_einvoices(
    uow: UnitOfWork, *, state: EInvoiceState | None, after: UUID | None, limit: int
) -> Sequence[EInvoice]:
    query = select(EInvoiceRow).order_by(EInvoiceRow.invoice_id.desc()).limit(limit)
    if state is not None:
        query = query.where(EInvoiceRow.state == state)
    if after is not None:
        query = query.where(EInvoiceRow.invoice_id < InvoiceId(after))
    return [to_einvoice(row) for row in uow.session.scalars(query)]


def count_state(uow: UnitOfWork, state: EInvoiceState) -> int:
    return uow.session.scalar(select(func.count()).where(EInvoiceRow.state == state)) or 0


def list_by_state(uow: UnitOfWork, states: Sequence[EInvoiceState], limit: int) -> Sequence[EInvoice]:
    rows = uow.session.scalars(
        select(EInvoiceRow).where(EInvoiceRow.state.in_(states)).order_by(EInvoiceRow.updated_at).limit(limit)
    )
    return [to_einvoice(row) for row in rows]


def add_file(uow: UnitOfWork, file: ArchivedFile) -> None:
    uow.session.add(
        ArchiveRow(
            tenant_id=file.tenant_id,
            invoice_id=file.invoice_id,
            kind=file.kind,
            content=file.content,
            sha256=file.sha256,
            archived_at=file.archived_at,
        )
    )
    uow.session.flush()


def find_file(
    uow: UnitOfWork, tenant_id: TenantId, invoice_id: InvoiceId, kind: FileKind
) -> ArchivedFile | None:
    row = uow.session.get(ArchiveRow, (tenant_id, invoice_id, kind))
    if row is None:
        return None
    return ArchivedFile(
        row.tenant_id, row.invoice_id, FileKind(row.kind), bytes(row.content), row.sha256, row.archived_at
    )


def add_status(uow: UnitOfWork, status: Status) -> None:
    uow.session.add(
        StatusRow(
            id=status.id,
            tenant_id=status.tenant_id,
            invoice_id=status.invoice_id,
            code=int(status.code),
            reason=status.reason,
            source=status.source,
            amount_minor=status.amount_minor,
            is_simulated=status.is_simulated,
            occurred_at=status.occurred_at,
        )
    )
    uow.session.flush()


def list_statuses(uow: UnitOfWork, tenant_id: TenantId, invoice_id: InvoiceId) -> Sequence[Status]:
    rows = uow.session.scalars(
        select(StatusRow)
        .where(StatusRow.tenant_id == tenant_id, StatusRow.invoice_id == invoice_id)
        .order_by(StatusRow.id)
    )
    return [
        Status(
            id=StatusId(row.id.value),
            tenant_id=row.tenant_id,
            invoice_id=row.invoice_id,
            code=LifeCycle(row.code),
            reason=row.reason,
            source=row.source,
            amount_minor=row.amount_minor,
            is_simulated=row.is_simulated,
            occurred_at=row.occurred_at,
        )
        for row in rows
    ]


def to_einvoice(row: EInvoiceRow) -> EInvoice:
    return EInvoice(
        tenant_id=row.tenant_id,
        invoice_id=row.invoice_id,
        state=EInvoiceState(row.state),
        profile=row.profile,
        message=row.message,
        flow_id=row.flow_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
