"""When a replica reached each step of its start, sharper than Kubernetes' whole seconds. Pure.

Kubernetes cuts its instants to seconds, and a cold start may take one. The operator sees a step milliseconds
after it happened: its own reading is kept when it agrees with Kubernetes', and Kubernetes' otherwise (after a
restart, or when the watch was behind).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from operators.inference.views import PodView, parse_time

# A reading agrees with an instant cut to seconds if it is within that second, plus what a watch may take.
AGREEMENT_SECONDS = 2

# A model of some hundred gigabytes loads for 20 minutes (knative/serving#15316); whoever needs longer than
# this is stuck, and may be idle again.
LOADING_SECONDS_MAX = 3600


@dataclass(frozen=True, slots=True)
class Stamp:
    """One step: Kubernetes' instant and the sharper one that stands for it."""

    reported_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Milestones:
    """Steps of one pod; None until reached. `ready` stays when readiness is lost."""

    scheduled: Stamp | None = None
    started: Stamp | None = None
    ready: Stamp | None = None


@dataclass(frozen=True, slots=True)
class RecordedSteps:
    """The same steps as an earlier process wrote them into the status."""

    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    ready_at: datetime | None = None


def observe_milestones(
    known: Milestones | None, pod: PodView, recorded: RecordedSteps, now: datetime
) -> Milestones:
    """Add what this observation shows; a step seen before keeps its stamp."""
    known = known or Milestones()
    return Milestones(
        scheduled=_stamp(known.scheduled, pod.scheduled_at, recorded.scheduled_at, now),
        started=_stamp(known.started, pod.started_at, recorded.started_at, now),
        ready=_stamp(known.ready, pod.ready_at, recorded.ready_at, now),
    )


def steps_of(milestones: Milestones, created_at: datetime) -> RecordedSteps:
    """The steps in order: none is before the one it follows, whatever the clocks' resolutions."""
    scheduled = _not_before(milestones.scheduled, created_at)
    started = _not_before(milestones.started, scheduled or created_at)
    ready = _not_before(milestones.ready, started or scheduled or created_at)
    return RecordedSteps(scheduled, started, ready)


def is_loading(pod: PodView, milestones: Milestones, now: datetime) -> bool:
    """Placed, never ready yet, on its way: killing it now would only load the model again."""
    if not pod.is_current or pod.is_ready or pod.node is None or pod.problem_reason:
        return False
    return milestones.ready is None and now - pod.created_at < timedelta(seconds=LOADING_SECONDS_MAX)


def recorded_steps(resource: Mapping[str, Any]) -> dict[str, RecordedSteps]:
    """The steps an earlier process wrote into the status, by pod uid."""
    return {
        instance.get("uid", ""): RecordedSteps(
            parse_time(instance.get("scheduledAt")),
            parse_time(instance.get("startedAt")),
            parse_time(instance.get("readyAt")),
        )
        for instance in (resource.get("status") or {}).get("instances") or ()
    }


def _stamp(
    known: Stamp | None, reported_at: datetime | None, recorded_at: datetime | None, now: datetime
) -> Stamp | None:
    if reported_at is None or (known is not None and known.reported_at == reported_at):
        return known
    if reported_at.microsecond:
        # Told by the node itself, to the millisecond: nobody knows better.
        return Stamp(reported_at, reported_at)
    for reading in (recorded_at, now):
        if reading is not None and _agrees(reading, reported_at):
            return Stamp(reported_at, reading)
    return Stamp(reported_at, reported_at)


def _agrees(reading: datetime, reported_at: datetime) -> bool:
    return timedelta(0) <= reading - reported_at < timedelta(seconds=AGREEMENT_SECONDS)


def _not_before(stamp: Stamp | None, floor: datetime) -> datetime | None:
    return None if stamp is None else max(stamp.at, floor)
