"""When a probe is asked and what its answers mean. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace

from infra.local.processnode.domain import Probe

FAST_POLL_SECONDS = 0.025
"""Interval while a container has never been ready: a cold start must not wait for a whole period."""

FAST_WINDOW_SECONDS = 20.0
"""How long the fast interval lasts: a container slower than this waits at its own period."""


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What a probe has concluded so far.

    Shapes: `is_passing` is the conclusion, `successes` and `failures` count answers in a row.
    """

    is_passing: bool = False
    has_passed: bool = False
    successes: int = 0
    failures: int = 0


def observe_answer(state: ProbeState, probe: Probe, is_success: bool) -> ProbeState:
    """Take one answer: the conclusion flips only when its threshold of answers in a row is reached."""
    if is_success:
        successes = state.successes + 1
        is_passing = state.is_passing or successes >= probe.success_threshold
        return ProbeState(is_passing, state.has_passed or is_passing, successes, 0)
    failures = state.failures + 1
    is_passing = state.is_passing and failures < probe.failure_threshold
    return replace(state, is_passing=is_passing, successes=0, failures=failures)


def is_given_up(state: ProbeState, probe: Probe) -> bool:
    """Say whether a liveness or startup probe has failed often enough to end the container."""
    return state.failures >= probe.failure_threshold


def decide_interval(state: ProbeState, probe: Probe, age_seconds: float) -> float:
    """Return the seconds until a readiness probe is asked again."""
    is_starting = not state.has_passed and age_seconds < FAST_WINDOW_SECONDS
    return FAST_POLL_SECONDS if is_starting else float(probe.period)
