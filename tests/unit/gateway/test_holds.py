"""Whatever services ask for, what the activator holds fits its bounds, and a place that was given back is free."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.breaker import CallRefused
from controlplane.gateway.domain import Limits
from controlplane.gateway.holds import RETRY_SECONDS_MAX, Hold, Holds

LIMITS = Limits(held_calls=10, held_bytes=1000, tenant_held_calls=4, tenant_held_bytes=500)


@pytest.mark.case("X4")
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 600), st.integers(1, 4000), st.booleans()))
)
def test_no_crowd_of_services_and_tenants_passes_the_bounds(acts: list[tuple[str, int, int, bool]]) -> None:
    holds, kept = Holds(LIMITS), list[Hold]()
    for now, (tenant, size, seconds, is_leaving) in enumerate(acts):
        if is_leaving and kept:
            holds.give(kept.pop(0))
            continue
        own = [hold for hold in kept if hold.tenant_id == tenant]
        fits = (
            len(own) < LIMITS.tenant_held_calls
            and sum(hold.size for hold in own) + size <= LIMITS.tenant_held_bytes
            and len(kept) < LIMITS.held_calls
            and sum(hold.size for hold in kept) + size <= LIMITS.held_bytes
        )
        if fits:
            kept.append(holds.take(tenant, size, float(now), float(seconds)))
        else:
            with pytest.raises(CallRefused) as caught:
                holds.take(tenant, size, float(now), float(seconds))
            assert caught.value.refusal.status in {429, 503}
            wait = caught.value.refusal.retry_after_seconds
            assert wait is not None
            assert 1 <= wait <= RETRY_SECONDS_MAX
        assert (holds.calls, holds.size) == (len(kept), sum(hold.size for hold in kept))
    for hold in kept:
        holds.give(hold)
    assert (holds.calls, holds.size) == (0, 0)
    holds.take("a", LIMITS.tenant_held_bytes, 0.0, 1.0)


@pytest.mark.case("X4")
def test_the_wait_is_until_the_first_place_is_free() -> None:
    holds = Holds(LIMITS)
    for seconds in (30.0, 7.5, 20.0, 12.0):
        holds.take("a", 1, 100.0, seconds)
    with pytest.raises(CallRefused) as caught:
        holds.take("a", 1, 102.0, 60.0)
    assert caught.value.refusal.retry_after_seconds == 6
    assert caught.value.refusal.code == "too_many_held_calls"
    for tenant in "bcd":
        holds.take(tenant, 300, 102.0, 60.0)
    with pytest.raises(CallRefused) as caught:
        holds.take("e", 300, 102.0, 60.0)
    assert caught.value.refusal.code == "gateway_queue_full"


@pytest.mark.case("X4")
def test_the_default_bounds_fit_the_memory_that_the_chart_gives() -> None:
    limits, chart_bytes, at_rest, a_call = Limits(), 512 << 20, 100 << 20, 64 << 10
    assert at_rest + limits.held_bytes + limits.held_calls * a_call <= 0.75 * chart_bytes
    assert limits.tenant_held_bytes * 4 <= limits.held_bytes
    assert limits.tenant_held_calls * 4 <= limits.held_calls
