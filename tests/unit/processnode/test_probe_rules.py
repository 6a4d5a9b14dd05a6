"""Probes: thresholds, and the fast questions of a cold start."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infra.local.processnode.domain import Probe
from infra.local.processnode.probe_rules import (
    FAST_POLL_SECONDS,
    FAST_WINDOW_SECONDS,
    ProbeState,
    decide_interval,
    is_given_up,
    observe_answer,
)

PROBE = Probe("/health", 80, 0, 10, 1, success_threshold=2, failure_threshold=3)


def after(*answers: bool) -> ProbeState:
    state = ProbeState()
    for answer in answers:
        state = observe_answer(state, PROBE, answer)
    return state


def test_a_conclusion_needs_its_threshold_in_a_row() -> None:
    assert not after(True).is_passing
    assert after(True, True).is_passing
    assert after(True, True, False, False).is_passing
    assert not after(True, True, False, False, False).is_passing
    assert not after(True, False, True).is_passing


def test_a_cold_start_is_asked_fast_until_its_first_success() -> None:
    assert decide_interval(ProbeState(), PROBE, 0) == FAST_POLL_SECONDS
    assert decide_interval(ProbeState(), PROBE, FAST_WINDOW_SECONDS) == 10
    assert decide_interval(after(True, True), PROBE, 0) == 10
    assert decide_interval(after(True, True, False, False, False), PROBE, 0) == 10


def test_giving_up_needs_failures_in_a_row() -> None:
    assert not is_given_up(after(False, False, True), PROBE)
    assert is_given_up(after(False, False, False), PROBE)


@given(st.lists(st.booleans(), max_size=40))
def test_counts_are_of_the_last_answers_in_a_row(answers: list[bool]) -> None:
    state = after(*answers)
    assert state.successes == 0 or state.failures == 0
    assert state.successes + state.failures <= len(answers)
