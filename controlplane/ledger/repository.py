"""All SQL of the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from controlplane.kernel.ids import TenantId
from controlplane.ledger.domain import (
    Account,
    AccountingEntity,
    Balance,
    EntryLine,
    FiscalYear,
    JournalCode,
    JournalEntry,
    JournalEntryDraft,
    JournalEntryId,
)
from controlplane.ledger.models import (
    AccountingEntityRow,
    AccountRow,
    EntryLetteringRow,
    EntryLineRow,
    EntryNumberRow,
    FiscalYearRow,
    JournalEntryRow,
)
from controlplane.plumbing.database import UnitOfWork

READ_BATCH = 500


def list_accounts(uow: UnitOfWork) -> dict[str, Account]:
    rows = uow.session.scalars(select(AccountRow).order_by(AccountRow.code))
    return {row.code: Account(row.code, row.label, row.is_per_tenant, row.source) for row in rows}


def lock_key(uow: UnitOfWork, key: str) -> None:
    """Make another transaction that posts the same key wait until this one ends."""
    uow.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 706))"), {"key": key})


def lock_books(uow: UnitOfWork, *, is_exclusive: bool) -> None:
    """Posting shares the books; closing a year has them alone, so that no entry slips in behind its balances."""
    function = "pg_advisory_xact_lock" if is_exclusive else "pg_advisory_xact_lock_shared"
    uow.session.execute(text(f"SELECT {function}(706, 1)"))


def find_by_key(uow: UnitOfWork, key: str) -> tuple[JournalEntryId, str] | None:
    """The id and fingerprint of what was posted under a key."""
    row = uow.session.execute(
        select(JournalEntryRow.id, JournalEntryRow.fingerprint).where(JournalEntryRow.key == key)
    ).one_or_none()
    return None if row is None else (row.id, row.fingerprint)


def take_number(uow: UnitOfWork, journal: JournalCode, year: int) -> int:
    """Return the next EcritureNum; the row stays locked, and a rollback gives the number back."""
    number: int = uow.session.execute(
        upsert(EntryNumberRow)
        .values(journal=journal.value, year=year, last=1)
        .on_conflict_do_update(index_elements=["journal", "year"], set_={"last": EntryNumberRow.last + 1})
        .returning(EntryNumberRow.last)
    ).scalar_one()
    return number


def add_entry(
    uow: UnitOfWork,
    draft: JournalEntryDraft,
    *,
    fingerprint: str,
    number: int,
    dated_on: date,
    validated_on: date,
    tenant_labels: Mapping[TenantId, str],
) -> JournalEntryId:
    """Insert an entry with its lines; the database checks their sum when the transaction commits."""
    entry_id = JournalEntryId.new()
    values = {
        "id": entry_id,
        "key": draft.key,
        "fingerprint": fingerprint,
        "journal": draft.journal.value,
        "year": dated_on.year,
        "number": number,
        "occurred_on": dated_on,
        "piece_ref": draft.piece_ref,
        "piece_on": draft.document_on,
        "label": draft.label,
        "validated_on": validated_on,
        "posted_at": uow.now,
    }
    uow.session.execute(insert(JournalEntryRow).values(**values))
    lines = [
        {
            "entry_id": entry_id,
            "number": position,
            "account": line.account,
            "tenant_id": line.tenant_id,
            "tenant_label": "" if line.tenant_id is None else tenant_labels[line.tenant_id],
            "debit_minor": line.debit_minor,
            "credit_minor": line.credit_minor,
        }
        for position, line in enumerate(draft.lines, start=1)
    ]
    uow.session.execute(insert(EntryLineRow), lines)
    return entry_id


def check_now(uow: UnitOfWork) -> None:
    """Let the deferred checks speak here, where the caller can answer, instead of at the commit."""
    uow.session.execute(text("SET CONSTRAINTS journal_entry_sums_to_zero, entry_line_sums_to_zero IMMEDIATE"))
    uow.session.execute(text("SET CONSTRAINTS journal_entry_sums_to_zero, entry_line_sums_to_zero DEFERRED"))


def list_closed_years(uow: UnitOfWork) -> dict[int, FiscalYear]:
    rows = uow.session.scalars(select(FiscalYearRow))
    return {row.year: FiscalYear(row.year, row.closed_at) for row in rows}


def add_closed_year(uow: UnitOfWork, year: int, closed_at: datetime) -> None:
    uow.session.add(FiscalYearRow(year=year, closed_at=closed_at))
    uow.session.flush()


def list_years_with_entries(uow: UnitOfWork) -> list[int]:
    return list(uow.session.scalars(select(JournalEntryRow.year).distinct().order_by(JournalEntryRow.year)))


def sum_pieces(uow: UnitOfWork, account: str, piece_refs: Sequence[str]) -> int:
    """Debits less credits of an account in the entries that name these documents, opening entries left out."""
    return int(
        uow.session.scalar(
            select(func.coalesce(func.sum(EntryLineRow.debit_minor - EntryLineRow.credit_minor), 0))
            .join(JournalEntryRow, JournalEntryRow.id == EntryLineRow.entry_id)
            .where(
                EntryLineRow.account == account,
                JournalEntryRow.piece_ref.in_(piece_refs),
                JournalEntryRow.journal != JournalCode.AN.value,
            )
        )
        or 0
    )


def list_balances(
    uow: UnitOfWork, *, year: int | None = None, account: str | None = None, tenant_id: TenantId | None = None
) -> list[Balance]:
    """Debits less credits by account and tenant; of one year (its opening entry included) or of all time."""
    query = (
        select(
            EntryLineRow.account,
            EntryLineRow.tenant_id,
            func.max(EntryLineRow.tenant_label),
            func.sum(EntryLineRow.debit_minor - EntryLineRow.credit_minor),
        )
        .join(JournalEntryRow, JournalEntryRow.id == EntryLineRow.entry_id)
        .group_by(EntryLineRow.account, EntryLineRow.tenant_id)
        .order_by(EntryLineRow.account, EntryLineRow.tenant_id)
    )
    # Opening entries repeat what earlier years hold: over all years they would count twice.
    query = query.where(
        JournalEntryRow.journal != JournalCode.AN.value if year is None else JournalEntryRow.year == year
    )
    if account is not None:
        query = query.where(EntryLineRow.account == account)
    if tenant_id is not None:
        query = query.where(EntryLineRow.tenant_id == tenant_id)
    return [
        Balance(code, tenant, label, int(minor)) for code, tenant, label, minor in uow.session.execute(query)
    ]


def get_entries(uow: UnitOfWork, ids: Sequence[JournalEntryId]) -> dict[JournalEntryId, JournalEntry]:
    rows = uow.session.scalars(select(JournalEntryRow).where(JournalEntryRow.id.in_(ids)))
    return {entry.id: entry for entry in _with_lines(uow, rows)}


def list_entries(
    uow: UnitOfWork,
    *,
    after: UUID | None,
    limit: int,
    journal: JournalCode | None = None,
    year: int | None = None,
    tenant_id: TenantId | None = None,
) -> list[JournalEntry]:
    """Entries, newest first."""
    query = select(JournalEntryRow)
    if after is not None:
        query = query.where(JournalEntryRow.id < JournalEntryId(after))
    if journal is not None:
        query = query.where(JournalEntryRow.journal == journal.value)
    if year is not None:
        query = query.where(JournalEntryRow.year == year)
    if tenant_id is not None:
        of_tenant = select(EntryLineRow.entry_id).where(EntryLineRow.tenant_id == tenant_id)
        query = query.where(JournalEntryRow.id.in_(of_tenant))
    return _with_lines(uow, uow.session.scalars(query.order_by(JournalEntryRow.id.desc()).limit(limit)))


def walk_year(uow: UnitOfWork, year: int) -> Iterator[JournalEntry]:
    """A year in the FEC's order: opening balances, then by day of validation, journal and number."""
    is_later = JournalEntryRow.journal != JournalCode.AN.value
    ids = uow.session.scalars(
        select(JournalEntryRow.id)
        .where(JournalEntryRow.year == year)
        .order_by(is_later, JournalEntryRow.validated_on, JournalEntryRow.journal, JournalEntryRow.number)
    ).all()
    for start in range(0, len(ids), READ_BATCH):
        batch = ids[start : start + READ_BATCH]
        found = get_entries(uow, batch)
        yield from (found[entry_id] for entry_id in batch)


def _with_lines(uow: UnitOfWork, rows: Iterable[JournalEntryRow]) -> list[JournalEntry]:
    entries = list(rows)
    found = uow.session.execute(
        select(EntryLineRow, AccountRow.label, EntryLetteringRow.letter, EntryLetteringRow.lettered_on)
        .join(AccountRow, AccountRow.code == EntryLineRow.account)
        .outerjoin(
            EntryLetteringRow,
            (EntryLetteringRow.entry_id == EntryLineRow.entry_id)
            & (EntryLetteringRow.line_number == EntryLineRow.number),
        )
        .where(EntryLineRow.entry_id.in_([row.id for row in entries]))
        .order_by(EntryLineRow.entry_id, EntryLineRow.number)
    )
    lines: dict[JournalEntryId, list[EntryLine]] = {}
    for row, label, letter, lettered_on in found:
        lines.setdefault(row.entry_id, []).append(_to_line(row, label, letter, lettered_on))
    return [_to_entry(row, tuple(lines.get(row.id, ()))) for row in entries]


def list_letters(uow: UnitOfWork, account: str, tenant_id: TenantId) -> list[str]:
    return list(
        uow.session.scalars(
            select(EntryLetteringRow.letter)
            .where(EntryLetteringRow.account == account, EntryLetteringRow.tenant_id == tenant_id)
            .distinct()
        )
    )


def add_letters(
    uow: UnitOfWork,
    lines: Iterable[tuple[JournalEntryId, EntryLine]],
    *,
    tenant_id: TenantId,
    letter: str,
    lettered_on: date,
) -> None:
    for entry_id, line in lines:
        uow.session.add(
            EntryLetteringRow(
                entry_id=entry_id,
                line_number=line.number,
                tenant_id=tenant_id,
                account=line.account,
                letter=letter,
                lettered_on=lettered_on,
            )
        )
    uow.session.flush()


def find_entity(uow: UnitOfWork, *, is_locked: bool = False) -> AccountingEntityRow | None:
    query = select(AccountingEntityRow)
    return uow.session.scalars(query.with_for_update() if is_locked else query).one_or_none()


def add_entity(uow: UnitOfWork, siren: str, legal_name: str) -> AccountingEntityRow:
    row = AccountingEntityRow(siren=siren, legal_name=legal_name, version=1)
    uow.session.add(row)
    uow.session.flush()
    return row


def to_entity(row: AccountingEntityRow) -> AccountingEntity:
    return AccountingEntity(row.siren, row.legal_name, row.version)


def _to_line(row: EntryLineRow, label: str, letter: str | None, lettered_on: date | None) -> EntryLine:
    return EntryLine(
        number=row.number,
        account=row.account,
        account_label=label,
        debit_minor=row.debit_minor,
        credit_minor=row.credit_minor,
        tenant_id=row.tenant_id,
        tenant_label=row.tenant_label,
        letter=letter,
        lettered_on=lettered_on,
    )


def _to_entry(row: JournalEntryRow, lines: tuple[EntryLine, ...]) -> JournalEntry:
    return JournalEntry(
        id=row.id,
        key=row.key,
        journal=JournalCode(row.journal),
        year=row.year,
        number=row.number,
        occurred_on=row.occurred_on,
        piece_ref=row.piece_ref,
        piece_on=row.piece_on,
        label=row.label,
        validated_on=row.validated_on,
        posted_at=row.posted_at,
        lines=lines,
    )
