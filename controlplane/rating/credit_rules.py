"""Which credits pay what, and which may be granted. Pure.

Source of the limit of one year: loi 2024-449 (SREN), art. 26.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from controlplane.kernel.errors import FieldProblem, InvalidInput
from controlplane.kernel.period import Period
from controlplane.rating.domain import CreditGrant, CreditKind, CreditUse

# One year, renewal included: 366 days covers the leap year that a promise of "one year" may run through.
PROMOTIONAL_DAYS_MAX = 366
CREDIT_MINOR_MAX = 100_000_000_000


def check_grant(grant: CreditGrant) -> None:
    """Raise InvalidInput for a credit that may not be given."""
    problems = []
    if not 0 < grant.amount_minor <= CREDIT_MINOR_MAX:
        problems.append(FieldProblem("amount_minor", f"lies between 1 and {CREDIT_MINOR_MAX}"))
    if grant.expires_at is not None and grant.expires_at <= grant.effective_from:
        problems.append(FieldProblem("expires_at", "is not after effective_from"))
    if (grant.kind is CreditKind.PREPAID) != (grant.deposit_id is not None):
        problems.append(
            FieldProblem(
                "kind", "prepaid credit is a deposit: sell it by a deposit invoice, which grants it once paid"
            )
        )
    if grant.kind is CreditKind.PROMOTIONAL:
        limit = grant.effective_from + timedelta(days=PROMOTIONAL_DAYS_MAX)
        if grant.expires_at is None or grant.expires_at > limit:
            problems.append(
                FieldProblem("expires_at", "a promotional credit ends within one year (loi 2024-449 art. 26)")
            )
    if problems:
        raise InvalidInput("The credit may not be granted.", fields=tuple(problems))


def burn_order(grant: CreditGrant) -> tuple[int, bool, datetime, datetime, str]:
    """Priority (lowest first), then what ends first, then the older, then the id."""
    never = grant.expires_at is None
    return (grant.priority, never, grant.expires_at or grant.created_at, grant.created_at, str(grant.id))


def is_usable(grant: CreditGrant, period: Period) -> bool:
    """A grant pays for a period in which it was good at any instant."""
    return grant.effective_from < period.end and (grant.expires_at is None or grant.expires_at > period.start)


def burn_credits(net_minor: int, grants: Iterable[CreditGrant], period: Period) -> tuple[CreditUse, ...]:
    """Pay a period's net amount from its tenant's grants in their order; never more than either has."""
    left = max(net_minor, 0)
    uses = []
    for grant in sorted((g for g in grants if is_usable(g, period)), key=burn_order):
        amount = min(left, grant.left_minor)
        if amount > 0:
            uses.append(CreditUse(grant.id, grant.kind, grant.label, amount, grant.deposit_id))
            left -= amount
    return tuple(uses)
