"""All SQL of the invoicing room."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from controlplane.invoicing.domain import (
    Invoice,
    InvoiceId,
    InvoiceKind,
    InvoiceLine,
    InvoiceState,
    Seller,
    VatCheckId,
    VatIdAnswer,
    VatIdStatus,
)
from controlplane.invoicing.mapping import (
    from_seller,
    to_answer,
    to_columns,
    to_invoice,
    to_line,
    to_line_columns,
    to_seller,
)
from controlplane.invoicing.models import (
    InvoiceLineRow,
    InvoiceRow,
    PeriodCloseRow,
    SellerRow,
    SeriesRow,
    VatCheckRow,
)
from controlplane.invoicing.numbering_rules import SeriesState
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.plumbing.database import UnitOfWork

# The first half of the advisory lock's key: one namespace for "what is billed to a tenant".
_BILLING_LOCK = 0x1A40
# Some four hundred documents ahead in the same line.
LINE_TIMEOUT_MS = 60_000


# The month that a supplementary invoice bills more for, by its start; null for every other document.
_SUPPLEMENT_OF = InvoiceRow.provenance["supplement_of"].astext


def lock_billing(uow: UnitOfWork, tenant_id: TenantId) -> None:
    """Let one transaction at a time bill a tenant; held to its end, so that locks are always taken in one order."""
    _wait_in_line(uow)
    number = int.from_bytes(tenant_id.value.bytes[-4:], "big", signed=True)
    uow.session.execute(
        text("SELECT pg_advisory_xact_lock(:space, :number)"), {"space": _BILLING_LOCK, "number": number}
    )


def _wait_in_line(uow: UnitOfWork) -> None:
    """Documents are made one after another under their locks: waiting for one's turn is no fault, so it may last."""
    uow.session.execute(text(f"SET LOCAL lock_timeout = {LINE_TIMEOUT_MS}"))
    uow.session.execute(text(f"SET LOCAL statement_timeout = {LINE_TIMEOUT_MS}"))


def find_seller(uow: UnitOfWork) -> tuple[Seller, int] | None:
    row = uow.session.get(SellerRow, True)
    return None if row is None else (to_seller(row.facts), row.version)


def save_seller(uow: UnitOfWork, seller: Seller) -> int:
    """Insert or replace the one seller; return its new version."""
    row = uow.session.get(SellerRow, True, with_for_update=True)
    facts = from_seller(seller)
    if row is None:
        row = SellerRow(is_only_row=True, facts=facts, version=1, changed_at=uow.now)
        uow.session.add(row)
    else:
        row.facts, row.version, row.changed_at = facts, row.version + 1, uow.now
    uow.session.flush()
    return row.version


def lock_series(uow: UnitOfWork, prefix: str, year: int) -> SeriesState:
    """Read a series under its lock; it is begun when it does not exist. The lock lasts to the commit."""
    uow.session.execute(
        upsert(SeriesRow).values(prefix=prefix, year=year, last_number=0).on_conflict_do_nothing()
    )
    row = uow.session.scalars(
        select(SeriesRow)
        .where(SeriesRow.prefix == prefix)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    return SeriesState(row.prefix, row.year, row.last_number, row.last_issued_on)


def save_series(uow: UnitOfWork, state: SeriesState) -> None:
    row = uow.session.get_one(SeriesRow, state.prefix)
    row.year, row.last_number, row.last_issued_on = state.year, state.last_number, state.last_issued_on
    uow.session.flush()


def add_invoice(uow: UnitOfWork, invoice: Invoice) -> None:
    uow.session.execute(
        insert(InvoiceRow).values(
            id=invoice.id,
            tenant_id=invoice.tenant_id,
            kind=invoice.kind,
            period_start=invoice.period.start,
            period_end=invoice.period.end,
            preceding_id=None if invoice.preceding is None else invoice.preceding.invoice_id,
            created_at=invoice.created_at,
            **to_columns(invoice),
        )
    )
    _add_lines(uow, invoice)


def save_invoice(uow: UnitOfWork, invoice: Invoice, *, series: SeriesState | None = None) -> None:
    """Write a draft again, or the issue itself; the database refuses a change of what is issued."""
    row = uow.session.get_one(InvoiceRow, invoice.id, with_for_update=True, populate_existing=True)
    if series is None:
        uow.session.execute(
            delete(InvoiceLineRow).where(
                InvoiceLineRow.tenant_id == invoice.tenant_id, InvoiceLineRow.invoice_id == invoice.id
            )
        )
        _add_lines(uow, invoice)
    for name, value in to_columns(invoice).items():
        setattr(row, name, value)
    if series is not None:
        row.series_prefix, row.series_year, row.series_number = series.prefix, series.year, series.last_number
    uow.session.flush()


def correct_buyer(uow: UnitOfWork, invoice: Invoice) -> None:
    """Correct the buyer of an issued invoice that has no file yet; the database refuses it for any other."""
    columns = to_columns(invoice)
    uow.session.execute(
        update(InvoiceRow)
        .where(InvoiceRow.id == invoice.id)
        .values({name: columns[name] for name in ("buyer", "version", "updated_at")})
    )


def _add_lines(uow: UnitOfWork, invoice: Invoice) -> None:
    rows = [to_line_columns(invoice, line) for line in invoice.lines]
    if rows:
        uow.session.execute(insert(InvoiceLineRow), rows)


def find_invoice(
    uow: UnitOfWork, invoice_id: InvoiceId, tenant_id: TenantId | None = None, *, is_locked: bool = False
) -> Invoice | None:
    """Read one invoice with its lines; `tenant_id` None is for the platform, which serves all tenants."""
    query = select(InvoiceRow).where(InvoiceRow.id == invoice_id).execution_options(populate_existing=True)
    if tenant_id is not None:
        query = query.where(InvoiceRow.tenant_id == tenant_id)
    row = uow.session.scalars(query.with_for_update() if is_locked else query).one_or_none()
    return None if row is None else _read(uow, [row])[0]


def find_period_invoice(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> Invoice | None:
    """A month's own invoice, issued or not; no supplementary one."""
    row = uow.session.scalars(
        select(InvoiceRow).where(
            InvoiceRow.tenant_id == tenant_id,
            InvoiceRow.period_start == period.start,
            InvoiceRow.kind == InvoiceKind.INVOICE,
            _SUPPLEMENT_OF.is_(None),
        )
    ).one_or_none()
    return None if row is None else _read(uow, [row])[0]


def find_biller(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> Invoice | None:
    """The issued invoice that billed a period: its own, or the last that billed it as a correction."""
    own = find_period_invoice(uow, tenant_id, period)
    if own is not None and own.is_issued:
        return own
    row = uow.session.scalars(
        select(InvoiceRow)
        .join(
            InvoiceLineRow,
            (InvoiceLineRow.tenant_id == InvoiceRow.tenant_id) & (InvoiceLineRow.invoice_id == InvoiceRow.id),
        )
        .where(
            InvoiceRow.tenant_id == tenant_id,
            InvoiceRow.kind == InvoiceKind.INVOICE,
            InvoiceRow.state == InvoiceState.ISSUED,
            InvoiceLineRow.period_start == period.start,
            InvoiceLineRow.is_correction,
        )
        .order_by(InvoiceRow.series_year.desc(), InvoiceRow.series_number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _read(uow, [row])[0]


def is_period_closed(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> bool:
    return uow.session.get(PeriodCloseRow, (tenant_id, period.start)) is not None


def add_period_close(
    uow: UnitOfWork, tenant_id: TenantId, period: Period, invoice_id: InvoiceId | None
) -> None:
    """Remember that a month was closed, also when nothing was used in it."""
    uow.session.add(
        PeriodCloseRow(
            tenant_id=tenant_id,
            period_start=period.start,
            period_end=period.end,
            invoice_id=invoice_id,
            closed_at=uow.now,
        )
    )
    uow.session.flush()


def list_closes(uow: UnitOfWork, tenant_id: TenantId) -> dict[datetime, InvoiceId | None]:
    """The months that were closed, by their start, with the invoice that came of it."""
    rows = uow.session.execute(
        select(PeriodCloseRow.period_start, PeriodCloseRow.invoice_id).where(
            PeriodCloseRow.tenant_id == tenant_id
        )
    )
    return {start.astimezone(UTC): invoice_id for start, invoice_id in rows}


def list_waiting_months(uow: UnitOfWork, tenant_id: TenantId) -> set[datetime]:
    """The starts of the months whose own invoice is drafted and not issued."""
    rows = uow.session.scalars(
        select(InvoiceRow.period_start)
        .join(PeriodCloseRow, PeriodCloseRow.invoice_id == InvoiceRow.id)
        .where(InvoiceRow.tenant_id == tenant_id, InvoiceRow.state != InvoiceState.ISSUED)
    )
    return {start.astimezone(UTC) for start in rows}


def list_closed_tenants(uow: UnitOfWork, period: Period) -> set[TenantId]:
    return set(
        uow.session.scalars(
            select(PeriodCloseRow.tenant_id).where(PeriodCloseRow.period_start == period.start)
        )
    )


def list_invoices(
    uow: UnitOfWork,
    *,
    tenant_id: TenantId | None,
    after: UUID | None,
    limit: int,
    states: Sequence[InvoiceState] = (),
) -> Sequence[Invoice]:
    """Newest first; a tenant's list, or all tenants' for the platform."""
    query = select(InvoiceRow).order_by(InvoiceRow.id.desc()).limit(limit)
    if tenant_id is not None:
        query = query.where(InvoiceRow.tenant_id == tenant_id)
    if states:
        query = query.where(InvoiceRow.state.in_(states))
    if after is not None:
        query = query.where(InvoiceRow.id < InvoiceId(after))
    return _read(uow, list(uow.session.scalars(query)))


def list_credit_notes(uow: UnitOfWork, original: Invoice) -> Sequence[Invoice]:
    rows = uow.session.scalars(
        select(InvoiceRow)
        .where(
            InvoiceRow.tenant_id == original.tenant_id,
            InvoiceRow.preceding_id == original.id,
            InvoiceRow.kind == InvoiceKind.CREDIT_NOTE,
        )
        .order_by(InvoiceRow.id)
    )
    return _read(uow, list(rows))


def find_waiting_reduction(uow: UnitOfWork, original: Invoice, period: Period) -> Invoice | None:
    """The credit note that a close made for a month that an invoice billed, and that is not issued yet."""
    row = uow.session.scalars(
        select(InvoiceRow).where(
            InvoiceRow.tenant_id == original.tenant_id,
            InvoiceRow.preceding_id == original.id,
            InvoiceRow.state != InvoiceState.ISSUED,
            InvoiceRow.provenance["reduction_of"].astext == period.start.isoformat(),
        )
    ).one_or_none()
    return None if row is None else _read(uow, [row])[0]


def find_waiting_supplement(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> Invoice | None:
    """The supplementary invoice that a close made for a month, and that is not issued yet."""
    row = uow.session.scalars(
        select(InvoiceRow).where(
            InvoiceRow.tenant_id == tenant_id,
            InvoiceRow.kind == InvoiceKind.INVOICE,
            InvoiceRow.state != InvoiceState.ISSUED,
            period.start.isoformat() == _SUPPLEMENT_OF,
        )
    ).one_or_none()
    return None if row is None else _read(uow, [row])[0]


def list_corrections(uow: UnitOfWork, tenant_id: TenantId, closed_with: datetime) -> Sequence[Invoice]:
    """The credit notes and supplementary invoices that the close of a month made, oldest first."""
    rows = uow.session.scalars(
        select(InvoiceRow)
        .where(
            InvoiceRow.tenant_id == tenant_id,
            InvoiceRow.provenance["closed_with"].astext == closed_with.isoformat(),
        )
        .order_by(InvoiceRow.id)
    )
    return _read(uow, list(rows))


def list_waiting(uow: UnitOfWork, limit: int) -> Sequence[InvoiceId]:
    """Invoices that should be issued and are not: held or failed, oldest touched first."""
    return list(
        uow.session.scalars(
            select(InvoiceRow.id)
            .where(InvoiceRow.state != InvoiceState.ISSUED, InvoiceRow.is_issue_wanted)
            .order_by(InvoiceRow.updated_at)
            .limit(limit)
        )
    )


def count_issued(uow: UnitOfWork, prefix: str, year: int) -> tuple[int, int]:
    """How many numbers of a series were given and the highest of them: equal when there is no gap."""
    count, highest = uow.session.execute(
        select(func.count(), func.coalesce(func.max(InvoiceRow.series_number), 0)).where(
            InvoiceRow.series_prefix == prefix, InvoiceRow.series_year == year
        )
    ).one()
    return int(count), int(highest or 0)


def add_vat_check(uow: UnitOfWork, tenant_id: TenantId, answer: VatIdAnswer) -> VatCheckId:
    check_id = VatCheckId.new()
    uow.session.add(
        VatCheckRow(
            id=check_id,
            tenant_id=tenant_id,
            vat_id=answer.vat_id,
            status=answer.status,
            checked_at=answer.checked_at,
            consultation_number=answer.consultation_number,
            source=answer.source,
            is_simulated=answer.is_simulated,
        )
    )
    uow.session.flush()
    return check_id


def find_last_asked_at(uow: UnitOfWork, tenant_id: TenantId, vat_id: str) -> datetime | None:
    """When a number was last asked about, whatever the answer."""
    return uow.session.scalar(
        select(func.max(VatCheckRow.checked_at)).where(
            VatCheckRow.tenant_id == tenant_id, VatCheckRow.vat_id == vat_id
        )
    )


def find_newest_vat_check(uow: UnitOfWork, tenant_id: TenantId, vat_id: str) -> VatIdAnswer | None:
    """The newest real answer, or the newest failure to get one when there is no answer at all."""
    row = uow.session.scalars(
        select(VatCheckRow)
        .where(VatCheckRow.tenant_id == tenant_id, VatCheckRow.vat_id == vat_id)
        .order_by((VatCheckRow.status == VatIdStatus.UNREACHABLE).asc(), VatCheckRow.checked_at.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else to_answer(row)


def _read(uow: UnitOfWork, rows: Sequence[InvoiceRow]) -> list[Invoice]:
    if not rows:
        return []
    found = uow.session.scalars(
        select(InvoiceLineRow)
        .where(InvoiceLineRow.invoice_id.in_([row.id for row in rows]))
        .order_by(InvoiceLineRow.invoice_id, InvoiceLineRow.position)
    )
    lines: dict[InvoiceId, list[InvoiceLine]] = {}
    for line in found:
        lines.setdefault(line.invoice_id, []).append(to_line(line))
    return [to_invoice(row, tuple(lines.get(row.id, ()))) for row in rows]
