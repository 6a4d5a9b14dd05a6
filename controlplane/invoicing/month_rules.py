"""In which order months close, and which earlier months a bill corrects. Pure.

Months close in their order without a gap, from the first in which a customer existed or used anything: a month that is
passed over could not be billed any more. What comes for a month after its close is a correction of it, whatever became
of the month: billed, or closed without an invoice because nothing had been used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.errors import Conflict
from controlplane.kernel.period import PARIS, Period

# Usage is accepted for 35 days, so that two months can change; the rest is for months that an outage left open.
CORRECTED_MONTHS_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class MonthBook:
    """What is known of a customer's months, by their starts.

    `begins_at`: when the customer came. `frozen`: months whose usage has its line drawn, oldest first. `closed`: months
    that were drafted, with their invoice (None: nothing was used). `waiting`: months whose invoice is not issued yet.
    """

    begins_at: datetime
    first_usage_at: datetime | None
    frozen: tuple[Period, ...]
    closed: Mapping[datetime, InvoiceId | None]
    waiting: Collection[datetime]


def next_to_freeze(book: MonthBook) -> Period:
    """The one month that may be frozen now: the one after the last, or the customer's first."""
    if book.frozen:
        return Period.month_of(book.frozen[-1].end)
    starts = [book.begins_at] if book.first_usage_at is None else [book.begins_at, book.first_usage_at]
    return Period.month_of(min(starts))


def next_to_close(book: MonthBook) -> Period:
    """The oldest month that is not closed; a frozen one comes before the next to freeze."""
    left = [month for month in book.frozen if month.start not in book.closed]
    return left[0] if left else next_to_freeze(book)


def check_order(book: MonthBook, month: Period) -> None:
    """Refuse to pass over a month; Conflict names the one that comes first."""
    if month.start in book.closed:
        return
    first = next_to_close(book)
    if month.start > first.start:
        raise Conflict(f"Close {name(first)} first: months close in their order, and it is not closed yet.")
    if month.start < first.start:
        raise Conflict(
            f"{name(month)} lies before the months that are closed: what it comes to is billed as a correction with "
            f"{name(first)}."
        )


def list_correctable(book: MonthBook, before: Period) -> list[Period]:
    """Earlier months that the bill of `before` brings up to date, oldest first.

    Not among them: a month whose own invoice waits, or is still to be drafted, since that will bill it.
    """
    starts = [month.start for month in book.frozen[:1]]
    if book.first_usage_at is not None:
        starts.append(Period.month_of(book.first_usage_at).start)
    frozen = {month.start for month in book.frozen}
    found: list[Period] = []
    month = Period.month_of(min(starts, default=before.start))
    while month.start < before.start:
        is_own_bill_coming = month.start in book.waiting or (
            month.start in frozen and month.start not in book.closed
        )
        if not is_own_bill_coming:
            found.append(month)
        month = Period.month_of(month.end)
    return found[-CORRECTED_MONTHS_MAX:]


def name(month: Period) -> str:
    """`2026-10`."""
    return f"{month.start.astimezone(PARIS):%Y-%m}"
