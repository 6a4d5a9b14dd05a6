"""A start from zero, cut into the steps of its journey. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controlplane.deployments.domain import ColdStart


@dataclass(frozen=True, slots=True)
class ColdStartBreakdown:
    """Milliseconds of each step; None while one of its ends is not known.

    queue: the caller's first byte until the operator saw the demand · place: until the pod was created · schedule:
    until a node was found · start: until the container ran · load: until the engine was ready · first_token: until
    the first token left. The steps follow each other without a gap, so they add up to the total.
    """

    queue_ms: int | None
    place_ms: int | None
    schedule_ms: int | None
    start_ms: int | None
    load_ms: int | None
    first_token_ms: int | None
    total_ms: int | None


def break_down(start: ColdStart) -> ColdStartBreakdown:
    """Cut a cold start; a step whose clocks disagree is 0, never negative."""
    begin = start.first_byte_at or start.wanted_at
    return ColdStartBreakdown(
        queue_ms=_between(start.first_byte_at, start.wanted_at),
        place_ms=_between(start.wanted_at, start.pod_created_at),
        schedule_ms=_between(start.pod_created_at, start.scheduled_at),
        start_ms=_between(start.scheduled_at, start.started_at),
        load_ms=_between(start.started_at, start.ready_at),
        first_token_ms=_between(start.ready_at, start.first_token_at),
        total_ms=_between(begin, start.first_token_at),
    )


def _between(begin: datetime | None, end: datetime | None) -> int | None:
    if begin is None or end is None:
        return None
    return max(0, round((end - begin).total_seconds() * 1000))
