"""Periods: half-open, Paris months, summer time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.period import Period

# 2000-01-01 to 2099-01-01, to the second.
INSTANTS = st.integers(946_684_800, 4_070_908_800).map(lambda second: datetime.fromtimestamp(second, UTC))


class TestMonth:
    @given(INSTANTS)
    def test_every_instant_lies_in_exactly_its_month(self, instant: datetime) -> None:
        month = Period.month_of(instant)
        assert instant in month
        assert instant not in Period.month_of(month.end)
        assert instant not in Period.month_of(month.start - timedelta(microseconds=1))

    def test_a_month_starts_at_midnight_in_paris(self) -> None:
        assert Period.month(2026, 7).start == datetime(2026, 6, 30, 22, tzinfo=UTC)
        assert Period.month(2026, 12).end == datetime(2026, 12, 31, 23, tzinfo=UTC)

    def test_march_is_an_hour_shorter_and_october_an_hour_longer(self) -> None:
        assert Period.month(2026, 3).duration == timedelta(days=31) - timedelta(hours=1)
        assert Period.month(2026, 10).duration == timedelta(days=31) + timedelta(hours=1)


class TestPeriod:
    def test_a_period_ends_after_it_starts(self) -> None:
        instant = datetime(2026, 1, 1, tzinfo=UTC)
        for end in (instant, instant - timedelta(microseconds=1)):
            with pytest.raises(ValueError, match="ends after it starts"):
                Period(instant, end)

    def test_a_naive_instant_is_refused(self) -> None:
        with pytest.raises(ValueError, match="aware UTC"):
            Period(datetime(2026, 1, 1), datetime(2026, 2, 1, tzinfo=UTC))  # noqa: DTZ001

    @given(INSTANTS, INSTANTS, INSTANTS, INSTANTS)
    def test_an_overlap_lies_in_both(self, a: datetime, b: datetime, c: datetime, d: datetime) -> None:
        if a >= b or c >= d:
            return
        one, two = Period(a, b), Period(c, d)
        shared = one.overlap(two)
        assert shared == two.overlap(one)
        if shared is not None:
            assert shared.start in one
            assert shared.start in two
