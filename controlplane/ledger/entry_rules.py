"""Whether an entry may be booked, on which day, and what its FEC texts are. Pure.

The order of the checks is fixed (PostStatus), so that one faulty entry always has one answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Final

from controlplane.ledger.domain import (
    Account,
    Accounts,
    Balance,
    EntryLine,
    JournalCode,
    JournalEntryDraft,
    LedgerRefused,
    LineDraft,
    PostStatus,
)

# An opening entry has one line for each tenant with a balance.
LINES_MAX: Final = 100_000
# Ten thousand billion euros: above any amount, far below what the column holds.
MINOR_MAX: Final = 10**15
LETTERS_MAX: Final = 26**3
_SENTENCES: Final = {
    PostStatus.NO_LINES: f"An entry has 2 to {LINES_MAX} lines.",
    PostStatus.NOT_ONE_SIDED: "Each line has a debit or a credit above zero, and not both.",
    PostStatus.UNKNOWN_ACCOUNT: "A line names an account that the chart does not have.",
    PostStatus.TENANT_MISSING: "A line of an account that is kept per tenant names no tenant.",
    PostStatus.TENANT_NOT_ALLOWED: "A line names a tenant in an account that is not kept per tenant.",
    PostStatus.DATED_AHEAD: "An entry is not dated after the day on which it is booked.",
    PostStatus.UNBALANCED: "The entry's debits and credits differ.",
}


def check_draft(draft: JournalEntryDraft, accounts: Mapping[str, Account], today: date) -> None:
    """Raise LedgerRefused with the first reason that holds, in the order of PostStatus."""
    status = find_fault(draft, accounts, today)
    if status is not None:
        raise LedgerRefused(status, f"{_SENTENCES[status]} ({draft.piece_ref})")


def find_fault(draft: JournalEntryDraft, accounts: Mapping[str, Account], today: date) -> PostStatus | None:
    """The first reason against an entry; None when it may be booked."""
    lines = draft.lines
    faults = (
        (PostStatus.NO_LINES, not 2 <= len(lines) <= LINES_MAX),
        (PostStatus.NOT_ONE_SIDED, not all(_is_one_sided(line) for line in lines)),
        (PostStatus.UNKNOWN_ACCOUNT, any(line.account not in accounts for line in lines)),
    )
    for status, is_fault in faults:
        if is_fault:
            return status
    kept = [(line, accounts[line.account].is_per_tenant) for line in lines]
    later = (
        (PostStatus.TENANT_MISSING, any(per and line.tenant_id is None for line, per in kept)),
        (PostStatus.TENANT_NOT_ALLOWED, any(not per and line.tenant_id is not None for line, per in kept)),
        (PostStatus.DATED_AHEAD, draft.occurred_on > today),
        (PostStatus.UNBALANCED, sum(line.debit_minor - line.credit_minor for line in lines) != 0),
    )
    return next((status for status, is_fault in later if is_fault), None)


def _is_one_sided(line: LineDraft) -> bool:
    is_bounded = all(0 <= minor <= MINOR_MAX for minor in (line.debit_minor, line.credit_minor))
    return is_bounded and (line.debit_minor == 0) != (line.credit_minor == 0)


def fingerprint(draft: JournalEntryDraft) -> str:
    """SHA-256 of what was asked for: a key that comes again with another one is a conflict."""
    content = [
        draft.journal,
        draft.occurred_on.isoformat(),
        draft.piece_ref,
        draft.document_on.isoformat(),
        draft.label,
        [
            [line.account, line.debit_minor, line.credit_minor, str(line.tenant_id or "")]
            for line in draft.lines
        ],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def booking_day(occurred_on: date, closed_years: Collection[int]) -> date:
    """The day an entry is dated: its own, or the first day of the first open year after a closed one.

    The document keeps its own date (PieceDate, LPF art. A47 A-1 VII).
    """
    if occurred_on.year not in closed_years:
        return occurred_on
    year = occurred_on.year + 1
    while year in closed_years:
        year += 1
    return date(year, 1, 1)


def opening_lines(balances: Iterable[Balance]) -> tuple[LineDraft, ...]:
    """What a new year begins with: balances of classes 1 to 5, and the old year's result (classes 6 and 7).

    Errors: AssertionError when the books do not sum to zero.
    """
    kept: dict[tuple[str, str], LineDraft] = {}
    result = 0
    total = 0
    for balance in balances:
        total += balance.minor
        if balance.account[0] in "67":
            result += balance.minor
        elif balance.minor:
            key = (balance.account, str(balance.tenant_id or ""))
            kept[key] = _line(balance.account, balance.minor, balance)
    assert total == 0, "the books sum to zero"
    lines = [kept[key] for key in sorted(kept)]
    if result:
        lines.append(_line(Accounts.RESULT_PROFIT if result < 0 else Accounts.RESULT_LOSS, result, None))
    return tuple(lines)


def _line(account: str, minor: int, balance: Balance | None) -> LineDraft:
    tenant_id = None if balance is None else balance.tenant_id
    return LineDraft(account, max(minor, 0), max(-minor, 0), tenant_id)


def opening_draft(year: int, lines: tuple[LineDraft, ...]) -> JournalEntryDraft:
    return JournalEntryDraft(
        key=f"opening:{year}",
        journal=JournalCode.AN,
        occurred_on=date(year, 1, 1),
        piece_ref=f"AN{year}",
        label=f"À nouveaux au 01/01/{year}",
        lines=lines,
    )


def letter_text(number: int) -> str:
    """AAA, AAB, …: the n-th letter of an account (FEC EcritureLet), from 0."""
    assert 0 <= number < LETTERS_MAX, "an account of one tenant has fewer matches than letters"
    high, low = divmod(number, 26)
    first, second = divmod(high, 26)
    return "".join(chr(ord("A") + part) for part in (first, second, low))


def is_matched(lines: Iterable[EntryLine]) -> bool:
    """Lines may share a letter when they cancel out."""
    return sum(line.debit_minor - line.credit_minor for line in lines) == 0
