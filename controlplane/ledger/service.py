"""Use cases of the ledger: post, match, close a year, read, export. All run in platform transactions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from uuid import UUID

from stdnum.fr import siren as siren_number

from controlplane.audit import service as audit
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput, NotFound
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.ledger import entry_rules, fec_rules, repository
from controlplane.ledger.domain import (
    Account,
    AccountingEntity,
    Balance,
    FiscalYear,
    JournalCode,
    JournalEntry,
    JournalEntryDraft,
    JournalEntryId,
    LedgerConflict,
    PostStatus,
)
from controlplane.ledger.events import FiscalYearClosed
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.versions import check_version
from controlplane.tenancy import service as tenancy

__all__ = [
    "close_year",
    "find_by_key",
    "get_balance",
    "get_entity",
    "get_entry",
    "get_piece_balance",
    "letter",
    "list_accounts",
    "list_balances",
    "list_entries",
    "post",
    "post_once",
    "set_entity",
    "walk_fec",
]


def today(uow: UnitOfWork) -> date:
    """The day in Paris of this transaction: the books' calendar is the seller's."""
    return uow.now.astimezone(PARIS).date()


def post(uow: UnitOfWork, entry: JournalEntryDraft) -> JournalEntryId:
    """Book an entry; the same key with the same content returns the entry that exists.

    Errors: LedgerConflict for a known key with other content, LedgerRefused for an entry that no book may hold.
    An entry of a closed year is dated on the first open day and keeps its document's date.
    """
    return post_once(uow, entry)[0]


def post_once(uow: UnitOfWork, entry: JournalEntryDraft) -> tuple[JournalEntryId, PostStatus]:
    """As `post`, and say whether the entry is new (CREATED) or was there (EXISTS)."""
    if entry.journal is JournalCode.AN:
        raise InvalidInput("Opening balances are written by closing a year.")
    return _post(uow, entry)


def _post(uow: UnitOfWork, entry: JournalEntryDraft) -> tuple[JournalEntryId, PostStatus]:
    repository.lock_books(uow, is_exclusive=False)
    repository.lock_key(uow, entry.key)
    digest = entry_rules.fingerprint(entry)
    known = repository.find_by_key(uow, entry.key)
    if known is not None:
        if known[1] != digest:
            raise LedgerConflict(f"An entry with key '{entry.key}' was posted before with other content.")
        return known[0], PostStatus.EXISTS
    day = today(uow)
    entry_rules.check_draft(entry, repository.list_accounts(uow), day)
    dated_on = entry_rules.booking_day(entry.occurred_on, repository.list_closed_years(uow))
    tenants = {line.tenant_id for line in entry.lines if line.tenant_id is not None}
    labels = {tenant: tenancy.get_tenant(uow, tenant).billing_party.legal_name for tenant in sorted(tenants)}
    entry_id = repository.add_entry(
        uow,
        entry,
        fingerprint=digest,
        # The number is taken inside this transaction: a rollback must leave no gap (LPF A47 A-1 VII).
        number=repository.take_number(uow, entry.journal, dated_on.year),
        dated_on=dated_on,
        validated_on=day,
        tenant_labels=labels,
    )
    repository.check_now(uow)
    return entry_id, PostStatus.CREATED


def find_by_key(uow: UnitOfWork, key: str) -> JournalEntry | None:
    found = repository.find_by_key(uow, key)
    return None if found is None else get_entry(uow, found[0])


def get_entry(uow: UnitOfWork, entry_id: JournalEntryId) -> JournalEntry:
    found = repository.get_entries(uow, [entry_id])
    if entry_id not in found:
        raise NotFound(f"There is no journal entry {entry_id}.")
    return found[entry_id]


def list_accounts(uow: UnitOfWork) -> Sequence[Account]:
    return list(repository.list_accounts(uow).values())


def list_entries(
    uow: UnitOfWork,
    *,
    after: UUID | None,
    limit: int,
    journal: JournalCode | None = None,
    year: int | None = None,
    tenant_id: TenantId | None = None,
) -> Page[JournalEntry]:
    found = repository.list_entries(
        uow, after=after, limit=limit + 1, journal=journal, year=year, tenant_id=tenant_id
    )
    return Page.of(found, limit, lambda entry: entry.id.value)


def list_balances(uow: UnitOfWork, *, year: int | None = None) -> Sequence[Balance]:
    """Debits less credits of every account and tenant; of one year or of all."""
    return repository.list_balances(uow, year=year)


def get_balance(uow: UnitOfWork, account: str, tenant_id: TenantId | None = None) -> int:
    """Debits less credits of an account (of one tenant in it) over all time, in cents."""
    return sum(b.minor for b in repository.list_balances(uow, account=account, tenant_id=tenant_id))


def get_piece_balance(uow: UnitOfWork, account: str, piece_refs: Sequence[str]) -> int:
    """Debits less credits of an account in the entries that name these documents (PieceRef), in cents."""
    return repository.sum_pieces(uow, account, piece_refs) if piece_refs else 0


def letter(uow: UnitOfWork, account: str, tenant_id: TenantId, entry_ids: Sequence[JournalEntryId]) -> str:
    """Match the lines that these entries have in one tenant's account; return their letter (EcritureLet).

    Errors: NotFound for an unknown entry, Conflict when a line is matched already, none is there, or the lines do
    not cancel out. The same entries again get the letter that they have.
    """
    repository.lock_key(uow, f"letter|{account}|{tenant_id}")
    found = repository.get_entries(uow, entry_ids)
    missing = [str(entry_id) for entry_id in entry_ids if entry_id not in found]
    if missing:
        raise NotFound(f"There is no journal entry {missing[0]}.")
    lines = [
        (entry.id, line)
        for entry in found.values()
        for line in entry.lines
        if (line.account, line.tenant_id) == (account, tenant_id)
    ]
    letters = {line.letter for _, line in lines}
    if lines and len(letters) == 1 and None not in letters:
        return str(letters.pop())
    if not lines or letters != {None} or not entry_rules.is_matched(line for _, line in lines):
        raise Conflict(
            f"The lines in account {account} cannot be matched: they do not cancel out, or are matched."
        )
    text = entry_rules.letter_text(len(repository.list_letters(uow, account, tenant_id)))
    repository.add_letters(uow, lines, tenant_id=tenant_id, letter=text, lettered_on=today(uow))
    return text


def close_year(uow: UnitOfWork, year: int, *, actor: str) -> FiscalYear:
    """Close a fiscal year that has ended, and open the next one with its balances; a closed one stays as it is.

    Errors: Conflict while the year runs, or an earlier one with entries is open.
    """
    repository.lock_books(uow, is_exclusive=True)
    closed = repository.list_closed_years(uow)
    if year in closed:
        return closed[year]
    if today(uow) <= date(year, 12, 31):
        raise Conflict(f"The fiscal year {year} has not ended.")
    earlier = [
        known for known in repository.list_years_with_entries(uow) if known < year and known not in closed
    ]
    if earlier:
        raise Conflict(f"Close {earlier[0]} first: years close in their order.")
    lines = entry_rules.opening_lines(repository.list_balances(uow, year=year))
    repository.add_closed_year(uow, year, uow.now)
    if lines:
        _post(uow, entry_rules.opening_draft(year + 1, lines))
    audit.record(
        uow,
        tenant_id=None,
        actor=actor,
        action="fiscal_year.closed",
        target=str(year),
        detail={"lines": len(lines)},
    )
    uow.emit(FiscalYearClosed(year))
    return FiscalYear(year, uow.now)


def get_entity(uow: UnitOfWork) -> AccountingEntity:
    row = repository.find_entity(uow)
    if row is None:
        raise NotFound("Nobody said yet whose books these are: set the accounting entity first.")
    return repository.to_entity(row)


def set_entity(
    uow: UnitOfWork, siren: str, legal_name: str, *, expected_version: int | None, actor: str
) -> AccountingEntity:
    """Say whose books these are; InvalidInput for a SIREN that does not exist by its check digit."""
    if not siren_number.is_valid(siren):
        raise InvalidInput(
            "The SIREN is not valid.", fields=(FieldProblem("siren", "has a wrong check digit"),)
        )
    compact = str(siren_number.compact(siren))
    row = repository.find_entity(uow, is_locked=True)
    if row is None:
        row = repository.add_entity(uow, compact, legal_name)
    else:
        check_version(row.version, -1 if expected_version is None else expected_version)
        row.siren, row.legal_name, row.version = compact, legal_name, row.version + 1
        uow.session.flush()
    audit.record(
        uow, tenant_id=None, actor=actor, action="accounting_entity.set", target=compact,
        detail={"version": row.version},
    )  # fmt: skip
    return repository.to_entity(row)


def walk_fec(uow: UnitOfWork, year: int) -> tuple[str, Iterator[bytes]]:
    """The FEC of a year: its file name and its lines, encoded.

    Errors: NotFound while nobody said whose books these are.
    """
    entity = get_entity(uow)
    name = fec_rules.file_name(entity.siren, date(year, 12, 31))
    return name, fec_rules.write_fec(repository.walk_year(uow, year))
