"""Scaling: up at once, down only after each replica's own idle time, unknown is never idle."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.inference.scaling_rules import (
    DEMAND_STALE_SECONDS,
    PROOF_IDLE_SECONDS,
    SILENCE_SECONDS_MIN,
    Demand,
    ScalingDecision,
    ScalingLimits,
    ScalingMemory,
    ScalingReason,
    ScalingState,
    decide_replicas,
    decide_wanted,
)

T0 = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LIMITS = ScalingLimits(replicas_min=0, replicas_max=4, concurrency_per_replica=2, idle_seconds=60)
SLEEPING = ScalingState(0, 0, None, True, ScalingMemory())


def demand(in_flight: int = 0, waiting: int = 0, at: datetime = T0, *, is_wanted: bool = False) -> Demand:
    return Demand(is_wanted, in_flight, waiting, at if waiting else None, at)


def after(
    decision: ScalingDecision, report: Demand | None, *, loading: int = 0, is_observable: bool = True
) -> ScalingState:
    return ScalingState(decision.replicas_desired, loading, report, is_observable, decision.memory)


class TestScaleUp:
    def test_first_waiting_request_wakes_one_replica_at_once(self) -> None:
        decision = decide_replicas(LIMITS, replace(SLEEPING, demand=demand(waiting=1)), T0)
        assert (decision.replicas_desired, decision.reason) == (1, ScalingReason.DEMAND)

    @pytest.mark.parametrize(
        ("in_flight", "waiting", "expected"),
        [(1, 0, 1), (2, 0, 1), (3, 0, 2), (2, 2, 2), (50, 50, 4), (0, 0, 0)],
    )
    def test_replicas_are_load_over_concurrency_within_bounds(
        self, in_flight: int, waiting: int, expected: int
    ) -> None:
        assert decide_wanted(LIMITS, demand(in_flight, waiting)) == expected

    def test_demand_without_requests_asks_for_one(self) -> None:
        assert decide_wanted(LIMITS, demand(is_wanted=True)) == 1

    def test_a_maximum_of_zero_never_runs_anything(self) -> None:
        none = replace(LIMITS, replicas_max=0)
        assert decide_replicas(none, replace(SLEEPING, demand=demand(waiting=9)), T0).replicas_desired == 0

    def test_minimum_runs_without_demand(self) -> None:
        decision = decide_replicas(replace(LIMITS, replicas_min=2), SLEEPING, T0)
        assert (decision.replicas_desired, decision.reason) == (2, ScalingReason.MIN_REPLICAS)
        assert decision.reconsider_at is None


class TestScaleDown:
    def test_each_replica_goes_when_its_own_idle_time_has_passed(self) -> None:
        burst = decide_replicas(LIMITS, replace(SLEEPING, demand=demand(in_flight=8)), T0)
        assert burst.replicas_desired == 4
        t1 = T0 + timedelta(seconds=10)
        calm = decide_replicas(LIMITS, after(burst, demand(in_flight=1, at=t1)), t1)
        assert (calm.replicas_desired, calm.reason) == (4, ScalingReason.IDLE_CLOCK)
        t2 = t1 + timedelta(seconds=60)
        late = decide_replicas(LIMITS, after(calm, demand(in_flight=1, at=t2)), t2)
        assert late.replicas_desired == 1

    def test_load_counts_until_the_report_that_says_it_ended(self) -> None:
        busy = decide_replicas(LIMITS, replace(SLEEPING, demand=demand(in_flight=1)), T0)
        t1 = T0 + timedelta(seconds=500)
        ended = decide_replicas(LIMITS, after(busy, demand(at=t1)), t1)
        assert ended.replicas_desired == 1
        assert ended.reconsider_at == t1 + timedelta(seconds=60)
        t2 = t1 + timedelta(seconds=60)
        assert decide_replicas(LIMITS, after(ended, demand(at=t2)), t2).replicas_desired == 0

    def test_flushed_demand_keeps_a_serving_replica_for_its_whole_idle_time(self) -> None:
        busy = decide_replicas(LIMITS, replace(SLEEPING, demand=demand(in_flight=1)), T0)
        t1 = T0 + timedelta(seconds=5)
        flushed = decide_replicas(LIMITS, after(busy, None), t1)
        assert flushed.replicas_desired == 1
        t2 = t1 + timedelta(seconds=59)
        assert decide_replicas(LIMITS, after(flushed, None), t2).replicas_desired == 1
        assert decide_replicas(LIMITS, after(flushed, None), t1 + timedelta(seconds=60)).replicas_desired == 0

    def test_silence_is_not_idleness_before_two_reports_were_missed(self) -> None:
        hasty = replace(LIMITS, idle_seconds=1)
        busy = decide_replicas(hasty, replace(SLEEPING, demand=demand(in_flight=1)), T0)
        flushed = decide_replicas(hasty, after(busy, None), T0)
        t1 = T0 + timedelta(seconds=SILENCE_SECONDS_MIN - 1)
        assert decide_replicas(hasty, after(flushed, None), t1).replicas_desired == 1
        assert decide_replicas(hasty, after(flushed, demand(at=t1)), t1).replicas_desired == 0

    def test_a_stale_report_is_no_demand_and_is_looked_at_again_when_it_becomes_stale(self) -> None:
        busy = decide_replicas(LIMITS, replace(SLEEPING, demand=demand(in_flight=8)), T0)
        stale_at = T0 + timedelta(seconds=DEMAND_STALE_SECONDS)
        assert busy.reconsider_at == stale_at
        stale = decide_replicas(LIMITS, after(busy, demand(in_flight=8)), stale_at)
        assert (stale.replicas_desired, stale.reason) == (4, ScalingReason.IDLE_CLOCK)

    def test_an_unreachable_redis_holds_what_runs(self) -> None:
        busy = decide_replicas(LIMITS, replace(SLEEPING, demand=demand(in_flight=8)), T0)
        t1 = T0 + timedelta(days=1)
        held = decide_replicas(LIMITS, after(busy, None, is_observable=False), t1)
        assert (held.replicas_desired, held.reason) == (4, ScalingReason.DEMAND_UNKNOWN)

    def test_a_loading_replica_is_never_idle(self) -> None:
        busy = decide_replicas(LIMITS, replace(SLEEPING, demand=demand(waiting=1)), T0)
        t1 = T0 + timedelta(seconds=600)
        loading = decide_replicas(LIMITS, after(busy, demand(at=t1), loading=1), t1)
        assert (loading.replicas_desired, loading.reason) == (1, ScalingReason.LOADING)
        t2 = t1 + timedelta(seconds=59)
        assert decide_replicas(LIMITS, after(loading, demand(at=t2)), t2).replicas_desired == 1

    def test_a_restarted_operator_takes_what_runs_as_needed_now(self) -> None:
        state = ScalingState(3, 0, None, True, None)
        decision = decide_replicas(LIMITS, state, T0)
        assert (decision.replicas_desired, decision.reason) == (3, ScalingReason.IDLE_CLOCK)

    def test_a_replica_given_up_is_not_taken_back_while_the_cache_lags(self) -> None:
        calm = ScalingMemory(needed_at=(), needed=0)
        assert decide_replicas(LIMITS, ScalingState(2, 0, demand(), True, calm), T0).replicas_desired == 0

    def test_pause_stops_all_at_once(self) -> None:
        paused = replace(LIMITS, is_paused=True)
        decision = decide_replicas(paused, ScalingState(2, 1, demand(waiting=3), True, None), T0)
        assert (decision.replicas_desired, decision.reason) == (0, ScalingReason.PAUSED)


limits_strategy = st.builds(
    lambda low, extra, concurrency, idle: ScalingLimits(low, low + extra, concurrency, idle),
    st.integers(0, 3), st.integers(0, 5), st.integers(1, 8), st.integers(1, 90),
)  # fmt: skip
steps_strategy = st.lists(
    st.tuples(
        st.integers(0, 40),  # seconds since the step before
        st.one_of(st.none(), st.integers(0, 30)),  # load reported, None = the key is gone
        st.booleans(),  # whether Redis answers
        st.integers(0, 2),  # loading replicas
    ),
    min_size=1,
    max_size=30,
)


@given(limits_strategy, steps_strategy)
def test_replicas_stay_within_bounds_and_never_go_before_their_idle_time(
    limits: ScalingLimits, steps: list[tuple[int, int | None, bool, int]]
) -> None:
    now, current, memory = T0, 0, ScalingMemory()
    needed_last: dict[int, datetime] = {}
    for seconds, load, is_observable, loading in steps:
        now += timedelta(seconds=seconds)
        report = None if load is None else demand(in_flight=load, at=now)
        loading = min(loading, current)
        decision = decide_replicas(limits, ScalingState(current, loading, report, is_observable, memory), now)
        assert limits.replicas_min <= decision.replicas_desired <= limits.replicas_max
        assert list(decision.memory.needed_at) == sorted(decision.memory.needed_at, reverse=True)
        assert decision.replicas_desired >= decide_wanted(limits, report)
        for index in range(
            max(decide_wanted(limits, report), current if loading or not is_observable else 0)
        ):
            needed_last[index] = now
        for index in range(decision.replicas_desired, current):
            at = needed_last.get(index)
            assert at is None or now - at >= timedelta(seconds=limits.idle_seconds)
        if decision.reconsider_at is not None:
            assert decision.reconsider_at > now
        current, memory = decision.replicas_desired, decision.memory


@given(limits_strategy, st.integers(1, 100))
def test_any_demand_runs_at_least_one_replica(limits: ScalingLimits, load: int) -> None:
    state = ScalingState(0, 0, demand(waiting=load), True, ScalingMemory())
    assert decide_replicas(limits, state, T0).replicas_desired >= min(1, limits.replicas_max)


@pytest.mark.case("S5")
class TestFirstStart:
    def test_version_that_was_never_ready_is_started_without_demand_and_kept_starting(self) -> None:
        state = replace(SLEEPING, is_unproven=True)
        first = decide_replicas(LIMITS, state, T0)
        assert (first.replicas_desired, first.reason) == (1, ScalingReason.FIRST_START)
        later = T0 + timedelta(hours=2)
        loading = replace(after(first, demand(at=later), loading=1), is_unproven=True)
        assert decide_replicas(LIMITS, loading, later).replicas_desired == 1

    def test_it_sleeps_soon_after_it_was_ready_when_nobody_asks(self) -> None:
        first = decide_replicas(LIMITS, replace(SLEEPING, is_unproven=True), T0)
        proven = replace(after(first, demand()), proven_at=T0)
        kept = decide_replicas(LIMITS, proven, T0)
        assert kept.replicas_desired == 1
        end = T0 + timedelta(seconds=PROOF_IDLE_SECONDS)
        assert kept.reconsider_at == end
        over = replace(after(kept, demand(at=end)), proven_at=T0)
        assert decide_replicas(LIMITS, over, end).replicas_desired == 0

    def test_demand_during_the_first_start_counts_as_ever(self) -> None:
        state = replace(SLEEPING, is_unproven=True, demand=demand(in_flight=8))
        assert decide_replicas(LIMITS, state, T0).replicas_desired == 4

    def test_paused_or_closed_version_is_not_started(self) -> None:
        state = replace(SLEEPING, is_unproven=True)
        assert decide_replicas(replace(LIMITS, is_paused=True), state, T0).replicas_desired == 0
        assert decide_replicas(replace(LIMITS, replicas_max=0), state, T0).replicas_desired == 0
