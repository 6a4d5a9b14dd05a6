"""Which GPU of a node a pod holds, and when its metered interval opens, beats and closes. Pure.

Kubernetes' scheduler counts GPUs of a node, it does not number them. Metering needs one open interval per
GPU, so the lowest free index is given at bind and written on the pod, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

# A crash of the operator loses at most this much certainty about when an interval ended.
BEAT_SECONDS = 15

EVENT_TYPE = "eu.rempart.gpu.allocation.v1"


class Phase(StrEnum):
    """Phase of an allocation record."""

    OPEN = "open"
    BEAT = "beat"
    CLOSE = "close"


class CloseReason(StrEnum):
    """Why an interval ended; `OPEN` and `BEAT` records carry an empty reason."""

    POD_GONE = "PodGone"
    POD_ENDED = "PodEnded"
    # The pod went while nobody watched: the end is the last time it was seen, never later.
    POD_GONE_UNOBSERVED = "PodGoneUnobserved"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """The node's part of an allocation record."""

    name: str
    cell: str
    sku: str
    gpu_total: int
    is_simulated: bool
    datacenter: str = ""


@dataclass(frozen=True, slots=True)
class GpuPod:
    """A tenant's pod bound to a node. `gpus` is empty until an assignment is written on it."""

    uid: str
    namespace: str
    name: str
    node: str
    tenant_id: str
    project_id: str
    service_id: str
    regional_deployment_id: str
    gpu_count: int
    gpus: tuple[int, ...]
    scheduled_at: datetime
    is_ended: bool
    ended_at: datetime | None
    country: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Pod → GPU indices, to be written on the pod."""

    pod: GpuPod
    gpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """One GPU held by one pod since `opened_at`; `observed_at` is the last record's instant."""

    pod_uid: str
    instance: str
    tenant_id: str
    project_id: str
    service_id: str
    regional_deployment_id: str
    node: str
    cell: str
    sku: str
    gpu_index: int
    is_simulated: bool
    opened_at: datetime
    observed_at: datetime
    datacenter: str = ""
    country: str = ""

    @property
    def gpu_id(self) -> str:
        """Name of the GPU, unique in its cell."""
        return f"{self.node}/{self.gpu_index}"


@dataclass(frozen=True, slots=True)
class Record:
    """One line for the spool. `sequence` makes its id deterministic, so that a replay dedupes."""

    interval: Interval
    phase: Phase
    sequence: int
    reason: str

    @property
    def id(self) -> str:
        return f"{self.interval.pod_uid}/{self.interval.gpu_index}/{self.phase}/{self.sequence}"


def decide_assignments(gpu_total: int, pods: Sequence[GpuPod]) -> tuple[Assignment, ...]:
    """Give each live pod without GPUs the lowest free indices of its node.

    Shapes: `pods` are those of one node, in any order; the answer does not depend on that order.
    A pod whose GPUs are not free yet gets nothing now: never half of what it asked for.
    """
    live = [pod for pod in pods if not pod.is_ended]
    taken = {index for pod in live for index in pod.gpus}
    assignments: list[Assignment] = []
    for pod in sorted(live, key=lambda each: (each.scheduled_at, each.uid)):
        if pod.gpus or pod.gpu_count == 0:
            continue
        free = [index for index in range(gpu_total) if index not in taken]
        if len(free) < pod.gpu_count:
            continue
        chosen = tuple(free[: pod.gpu_count])
        taken.update(chosen)
        assignments.append(Assignment(pod, chosen))
    return tuple(assignments)


def decide_records(
    node: NodeFacts | None,
    pods: Sequence[GpuPod],
    open_by_gpu: Mapping[int, Interval],
    closed_at_by_gpu: Mapping[int, datetime],
    now: datetime,
    *,
    is_recovering: bool,
) -> tuple[Record, ...]:
    """Decide a node's records: closes first, then opens, then the beats that are due.

    `is_recovering`: `open_by_gpu` was read back after a restart, so a pod that is gone ended at an unknown
    time: its interval closes when it was last seen. A node that is gone (`None`) opens nothing.
    """
    live = {pod.uid: pod for pod in pods if not pod.is_ended}
    ended = {pod.uid: pod for pod in pods if pod.is_ended}
    closes = [
        _close(interval, ended.get(interval.pod_uid), now, is_recovering=is_recovering)
        for _, interval in sorted(open_by_gpu.items())
        if interval.pod_uid not in live
    ]
    free_from = dict(closed_at_by_gpu)
    free_from.update({record.interval.gpu_index: record.interval.observed_at for record in closes})
    held = {index: interval for index, interval in open_by_gpu.items() if interval.pod_uid in live}
    opens: list[Record] = []
    for pod in sorted(live.values(), key=lambda each: (each.scheduled_at, each.uid)) if node else ():
        assert node is not None
        for index in pod.gpus:
            if index in held:
                continue
            interval = _open(node, pod, index, free_from.get(index), now)
            held[index] = interval
            opens.append(Record(interval, Phase.OPEN, 0, ""))
    beats = [_beat(interval, now) for _, interval in sorted(held.items()) if is_beat_due(interval, now)]
    return (*closes, *opens, *beats)


def is_beat_due(interval: Interval, now: datetime) -> bool:
    """A beat is due once per slot of `BEAT_SECONDS` counted from the opening."""
    return _slot(interval, now) > _slot(interval, interval.observed_at)


def beat_all(intervals: Sequence[Interval], now: datetime) -> tuple[Record, ...]:
    """Beats of all intervals, due or not: a new segment starts with them, so that it can be read alone."""
    return tuple(_beat(interval, now) for interval in intervals)


def _close(interval: Interval, pod: GpuPod | None, now: datetime, *, is_recovering: bool) -> Record:
    if pod is not None:
        unknown_at = interval.observed_at if is_recovering else now
        ended_at, reason = pod.ended_at or unknown_at, CloseReason.POD_ENDED
    elif is_recovering:
        ended_at, reason = interval.observed_at, CloseReason.POD_GONE_UNOBSERVED
    else:
        ended_at, reason = now, CloseReason.POD_GONE
    # Never before what was already recorded as held, never in the future.
    ended_at = max(interval.observed_at, min(ended_at, now))
    return Record(replace(interval, observed_at=ended_at), Phase.CLOSE, 0, reason)


def _open(node: NodeFacts, pod: GpuPod, index: int, free_from: datetime | None, now: datetime) -> Interval:
    # Kubernetes cuts the bind to whole seconds: without this the next interval could begin before the last
    # one on the same GPU ended.
    opened_at = min(now, pod.scheduled_at)
    if free_from is not None:
        opened_at = max(opened_at, free_from)
    return Interval(
        pod_uid=pod.uid,
        instance=pod.name,
        tenant_id=pod.tenant_id,
        project_id=pod.project_id,
        service_id=pod.service_id,
        regional_deployment_id=pod.regional_deployment_id,
        node=node.name,
        cell=node.cell,
        sku=node.sku,
        gpu_index=index,
        is_simulated=node.is_simulated,
        opened_at=opened_at,
        observed_at=max(opened_at, now),
        datacenter=node.datacenter,
        country=pod.country,
    )


def _beat(interval: Interval, now: datetime) -> Record:
    seen = replace(interval, observed_at=max(now, interval.observed_at))
    return Record(seen, Phase.BEAT, _slot(seen, seen.observed_at), "")


def _slot(interval: Interval, at: datetime) -> int:
    return int((at - interval.opened_at).total_seconds()) // BEAT_SECONDS
