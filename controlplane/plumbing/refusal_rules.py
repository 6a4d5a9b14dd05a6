"""What was refused, to whom and since when: counts whose number is bounded whatever is sent. Pure.

A flood must neither fill the place where it is counted nor hide somebody else in it. So the rows of one group (a
tenant, or the network address of a stranger) are bounded, and the rows of all strangers and of all tenants are; what
does not fit is counted in a row named `others`, first of the group, then of all. No count is lost.

Source: OWASP, Logging Cheat Sheet (which events to log, and who, where, what, when of each).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

OTHERS: Final = "others"
GROUP_ROWS_MAX: Final = 10
STRANGERS_ROWS_MAX: Final = 200
TENANTS_ROWS_MAX: Final = 400


class RefusalKind(StrEnum):
    """Why something was refused, as a person who looks for an attack asks."""

    FAILED_AUTHENTICATION = "failed_authentication"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXCEEDED = "quota_exceeded"


# Every table of counts has at most this many rows: the `others` of each kind come to those of strangers and tenants.
ROWS_MAX: Final = STRANGERS_ROWS_MAX + TENANTS_ROWS_MAX + len(RefusalKind)

_QUOTA_CODES: Final = frozenset({"quota_exceeded", "insufficient_quota"})
_BY_STATUS: Final = {
    401: RefusalKind.FAILED_AUTHENTICATION,
    403: RefusalKind.FORBIDDEN,
    404: RefusalKind.NOT_FOUND,
    429: RefusalKind.RATE_LIMITED,
}


def kind_of(status: int, code: str) -> RefusalKind | None:
    """Return what an answer is counted as; None for one that tells nothing about who asked."""
    return RefusalKind.QUOTA_EXCEEDED if code in _QUOTA_CODES else _BY_STATUS.get(status)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is counted as one and the same.

    `reason` says it closer than the kind; `route` is an operation's id or a collection's path; `address` is a network
    address (of IPv6 the /64 network); `key_id` and `tenant_id` are wire ids, where they are known.
    """

    kind: RefusalKind
    reason: str
    route: str
    address: str
    key_id: str | None = None
    tenant_id: str | None = None

    @property
    def group(self) -> tuple[bool, str]:
        """Whose rows it takes room from: whether a tenant's, and which tenant or address."""
        return (False, self.address) if self.tenant_id is None else (True, self.tenant_id)


@dataclass(frozen=True, slots=True)
class Counted:
    """One row: how often, from when to when."""

    refusal: Refusal
    count: int
    first_at: datetime
    last_at: datetime


class RefusalTable:
    """Rows within their bounds. One thread at a time: `refusal_counts` has the lock."""

    def __init__(self) -> None:
        self.rows: dict[Refusal, Counted] = {}
        self._of_group: Counter[tuple[bool, str]] = Counter()
        self._of_side: Counter[bool] = Counter()

    def add(self, row: Counted) -> None:
        found = self._place(row.refusal)
        known = self.rows.get(found)
        if known is None:
            self.rows[found] = replace(row, refusal=found)
            return
        self.rows[found] = Counted(
            found, known.count + row.count, min(known.first_at, row.first_at), max(known.last_at, row.last_at)
        )

    def _place(self, refusal: Refusal) -> Refusal:
        """Return the row that a refusal is counted in; a new row takes its room."""
        if refusal in self.rows:
            return refusal
        group = refusal.group
        side_max = TENANTS_ROWS_MAX if group[0] else STRANGERS_ROWS_MAX
        if self._of_side[group[0]] < side_max and self._of_group[group] < GROUP_ROWS_MAX:
            self._of_group[group] += 1
            self._of_side[group[0]] += 1
            return refusal
        others = Refusal(refusal.kind, OTHERS, OTHERS, refusal.address, None, refusal.tenant_id)
        if group[0]:
            others = replace(others, address=OTHERS)
        if others in self.rows:
            return others
        # A group's own `others` stand beyond its bound, not beyond its side's.
        if self._of_side[group[0]] < side_max and self._of_group[group] >= GROUP_ROWS_MAX:
            self._of_side[group[0]] += 1
            return others
        return Refusal(refusal.kind, OTHERS, OTHERS, OTHERS)
