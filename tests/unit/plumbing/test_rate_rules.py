"""The token bucket: never more than its burst and its rate, and a Retry-After that is true."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.plumbing.rate_rules import (
    MICROSECONDS,
    Limit,
    Take,
    charge,
    decide,
    limit_of,
    retry_after_seconds,
)

limits = st.builds(Limit, st.integers(1, 10_000_000), st.integers(1, 500))
steps = st.lists(st.tuples(st.integers(0, 5_000_000), st.integers(1, 20)), min_size=1, max_size=80)


@pytest.mark.case("X9")
@given(limits, steps)
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(
    limit: Limit, asked: list[tuple[int, int]]
) -> None:
    now, full_at, given_out = 0, 0, 0
    for pause, cost in asked:
        now += pause
        take = Take("b", limit, cost)
        after, wait = decide(full_at, now, take)
        if wait == 0:
            full_at = after
            given_out += take.tokens
        assert given_out <= limit.burst + now // limit.interval_us


@pytest.mark.case("X9")
@given(limits, st.integers(0, 10**9), st.integers(-1_000_000, 10**9), st.integers(1, 1000))
def test_who_waits_as_long_as_told_is_let_through(limit: Limit, now: int, ahead: int, cost: int) -> None:
    take = Take("b", limit, cost)
    full_at = charge(now + ahead, now, Take("b", limit, 0))
    _, wait = decide(full_at, now, take)
    later = now + retry_after_seconds(wait) * MICROSECONDS if wait else now
    assert decide(full_at, later, take)[1] == 0
    if wait > 1:
        assert decide(full_at, now + wait - 1, take)[1] == 1


@given(limits, st.integers(0, 10**9), st.integers(1, 20))
def test_what_is_given_back_is_there_again(limit: Limit, now: int, cost: int) -> None:
    take = Take("b", limit, min(cost, limit.burst))
    after, wait = decide(now, now, take)
    assert wait == 0
    assert charge(after, now, Take("b", limit, -take.cost)) == now


@given(st.integers(1, 100_000), st.sampled_from([60, 3600]))
def test_no_setting_makes_a_limit_without_end_or_without_any(count: int, period: int) -> None:
    limit = limit_of(count, period, max(1, count // 4))
    assert limit.interval_us >= 1
    assert limit.burst >= 1
