"""For which months a credit pays: the rule that docs/tenants/what-is-billed.md tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.rating.credit_rules import burn_credits
from controlplane.rating.domain import CreditGrant, CreditGrantId, CreditKind

MONTHS = [Period.month(2026, number) for number in range(9, 13)]
START = datetime(2026, 8, 1, tzinfo=UTC)


@given(
    begins=st.integers(0, 180 * 86_400),
    lasts=st.none() | st.integers(1, 120 * 86_400),
    net=st.integers(0, 9_999),
    left=st.integers(1, 9_999),
)
def test_a_credit_pays_whole_months_in_which_it_is_good_and_no_other(
    begins: int, lasts: int | None, net: int, left: int
) -> None:
    start = START + timedelta(seconds=begins)
    end = None if lasts is None else start + timedelta(seconds=lasts)
    grant = CreditGrant(
        CreditGrantId.new(),
        TenantId.new(),
        CreditKind.PROMOTIONAL,
        "x",
        0,
        left,
        left,
        "EUR",
        start,
        end,
        START,
    )
    for month in MONTHS:
        is_good = start < month.end and (end is None or month.start < end)
        paid = sum(use.amount_minor for use in burn_credits(net, [grant], month))
        assert paid == (min(net, left) if is_good else 0)
