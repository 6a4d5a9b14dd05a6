"""What a pod's status says, computed from what became of its container. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from infra.local.processnode.domain import ContainerRecord, ContainerState, RestartPolicy, StateKind

HOST_ADDRESS = "127.0.0.1"
"""Every pod of a process node answers on loopback; the port tells them apart."""

PORT_ANNOTATION = "rempart.eu/port-"
STARTED_ANNOTATION = "rempart.eu/started-at"
READY_ANNOTATION = "rempart.eu/ready-at"

CRASH_BACKOFF_FIRST_SECONDS = 1
CRASH_BACKOFF_MOST_SECONDS = 60
"""The bounds of KEP-4603 (1 s doubling to 1 min) instead of 10 s to 5 min: a laptop's user is waiting."""

CRASH_BACKOFF_FORGIVEN_SECONDS = 600
"""A run this long was healthy: the next crash starts again from the first delay (kubelet's ten minutes)."""

MESSAGE_BYTES_MAX = 4096
"""Kubernetes' bound on a container's termination message."""

LOST_EXIT_CODE = 137
"""What kubelet reports for a container it finds gone: as if killed by signal 9."""


def is_restart_wanted(policy: RestartPolicy, exit_code: int) -> bool:
    """Say whether a container that ended starts again."""
    return policy is RestartPolicy.ALWAYS or (policy is RestartPolicy.ON_FAILURE and exit_code != 0)


def decide_backoff(crashes_in_a_row: int) -> int:
    """Return the seconds to wait before the next start. Shapes: 0 crashes waits 0."""
    if crashes_in_a_row <= 0:
        return 0
    doublings = min(crashes_in_a_row - 1, 10)
    return min(CRASH_BACKOFF_FIRST_SECONDS << doublings, CRASH_BACKOFF_MOST_SECONDS)


def count_crashes(before: int, ran_seconds: float) -> int:
    """Count crashes in a row after one more run of that length."""
    return 1 if ran_seconds >= CRASH_BACKOFF_FORGIVEN_SECONDS else before + 1


def decide_phase(record: ContainerRecord) -> str:
    """Return the pod's phase, as kubelet computes it for one container."""
    state = record.state
    if record.is_final and state.kind is StateKind.TERMINATED:
        return "Failed" if state.exit_code or record.pod_reason else "Succeeded"
    if state.kind is StateKind.WAITING and record.last_state is None:
        return "Pending"
    return "Running"


def build_status(pod: Mapping[str, Any], record: ContainerRecord, now: datetime) -> dict[str, Any]:
    """Build the status this node reports for a pod.

    Shapes: `pod` is the newest known Pod: unchanged conditions keep their transition time, others get `now`;
            conditions of other writers are left out, so that a strategic merge keeps them.
    """
    status = pod.get("status", {})
    spec = pod["spec"]
    container = spec["containers"][0]
    phase = decide_phase(record)
    container_status: dict[str, Any] = {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": container.get("image", "") if record.state.kind is not StateKind.WAITING else "",
        "ready": record.is_ready,
        "started": record.is_started,
        "restartCount": record.restart_count,
        "state": _state(record.state),
        "lastState": _state(record.last_state) if record.last_state else {},
    }
    if record.state.container_id:
        container_status["containerID"] = record.state.container_id
    answer: dict[str, Any] = {
        "phase": phase,
        "hostIP": HOST_ADDRESS,
        "hostIPs": [{"ip": HOST_ADDRESS}],
        "podIP": HOST_ADDRESS,
        "podIPs": [{"ip": HOST_ADDRESS}],
        "startTime": status.get("startTime") or format_time(now),
        "conditions": _conditions(pod, record, phase, now),
        "containerStatuses": [container_status],
    }
    if record.pod_reason:
        answer |= {"reason": record.pod_reason, "message": record.pod_message}
    return answer


def build_annotations(record: ContainerRecord) -> dict[str, str]:
    """Build the annotations that tell what a status cannot: assigned ports, and times in milliseconds."""
    annotations = {PORT_ANNOTATION + name: str(port) for name, port in record.ports if name}
    if record.state.kind is StateKind.RUNNING and record.state.started_at:
        annotations[STARTED_ANNOTATION] = _format_exact(record.state.started_at)
    if record.ready_at:
        annotations[READY_ANNOTATION] = _format_exact(record.ready_at)
    return annotations


def restore_record(status: Mapping[str, Any], now: datetime) -> ContainerRecord:
    """Rebuild the record of a pod that an earlier run of the process node had started.

    A container that was running is gone (its process died with that run): it is reported as kubelet does,
    with reason `ContainerStatusUnknown`, and the restart policy decides what happens next.
    """
    reported = next(iter(status.get("containerStatuses", ())), None)
    if not reported:
        return ContainerRecord(state=ContainerState(StateKind.WAITING, reason="ContainerCreating"))
    state = _read_state(reported.get("state", {}))
    last = reported.get("lastState") or None
    if state.kind is StateKind.RUNNING:
        message = "the process ended while its node was down"
        state = replace(
            state,
            kind=StateKind.TERMINATED,
            reason="ContainerStatusUnknown",
            message=message,
            exit_code=LOST_EXIT_CODE,
            finished_at=now,
        )
    return ContainerRecord(
        state=state,
        last_state=_read_state(last) if last else None,
        restart_count=reported.get("restartCount", 0),
        is_final=status.get("phase") in ("Succeeded", "Failed"),
        pod_reason=status.get("reason", ""),
        pod_message=status.get("message", ""),
    )


def is_covered(wanted: Any, actual: Any) -> bool:
    """Say whether the API server already holds everything that is wanted; what it adds itself is ignored.

    Shapes: lists whose items have a `type` (conditions) are matched by it, other lists item by item.
    """
    if isinstance(wanted, Mapping):
        if not isinstance(actual, Mapping):
            return not wanted and actual is None
        return all(is_covered(value, actual.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(actual, list):
            return not wanted and actual is None
        if wanted and isinstance(wanted[0], Mapping) and "type" in wanted[0]:
            by_type = {item.get("type"): item for item in actual}
            return all(is_covered(item, by_type.get(item["type"])) for item in wanted)
        return len(wanted) == len(actual) and all(map(is_covered, wanted, actual))
    return bool(wanted == actual) or (actual is None and wanted in ("", False, 0))


def format_time(at: datetime) -> str:
    """Format a time as Kubernetes' `Time`: whole seconds, UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shorten_message(text: str) -> str:
    """Cut a termination message to what Kubernetes keeps, at a character boundary."""
    return text.encode()[:MESSAGE_BYTES_MAX].decode(errors="ignore")


def _conditions(
    pod: Mapping[str, Any], record: ContainerRecord, phase: str, now: datetime
) -> list[dict[str, str]]:
    before = {condition["type"]: condition for condition in pod.get("status", {}).get("conditions", ())}
    is_done = phase == "Succeeded"
    reason = "PodCompleted" if is_done else ("PodFailed" if phase == "Failed" else "ContainersNotReady")
    ready = ("True", "") if record.is_ready else ("False", reason)
    wanted = {
        "Initialized": ("True", "PodCompleted" if is_done else ""),
        "ContainersReady": ready,
        "Ready": ready,
        "PodScheduled": ("True", ""),
    }
    conditions = []
    for kind, (status, why) in wanted.items():
        old = before.get(kind, {})
        at = old.get("lastTransitionTime") if old.get("status") == status else None
        condition = {
            "type": kind,
            "status": status,
            "lastTransitionTime": at or format_time(now),
            "reason": why,
        }
        conditions.append(condition)
    return conditions


def _state(state: ContainerState) -> dict[str, Any]:
    if state.kind is StateKind.WAITING:
        return {"waiting": {"reason": state.reason, "message": state.message}}
    started = format_time(state.started_at) if state.started_at else None
    if state.kind is StateKind.RUNNING:
        return {"running": {"startedAt": started}}
    return {
        "terminated": {
            "exitCode": state.exit_code,
            "reason": state.reason,
            "message": shorten_message(state.message),
            "startedAt": started,
            "finishedAt": format_time(state.finished_at) if state.finished_at else None,
            "containerID": state.container_id,
        }
    }


def _read_state(reported: Mapping[str, Any]) -> ContainerState:
    for kind in (StateKind.TERMINATED, StateKind.RUNNING):
        if kind.value in reported:
            detail = reported[kind.value] or {}
            return ContainerState(
                kind,
                reason=detail.get("reason", ""),
                message=detail.get("message", ""),
                exit_code=detail.get("exitCode", 0),
                started_at=_parse_time(detail.get("startedAt")),
                finished_at=_parse_time(detail.get("finishedAt")),
                container_id=detail.get("containerID", ""),
            )
    waiting = reported.get("waiting") or {}
    return ContainerState(
        StateKind.WAITING,
        reason=waiting.get("reason", "ContainerCreating"),
        message=waiting.get("message", ""),
    )


def _parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def _format_exact(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
