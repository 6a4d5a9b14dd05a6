"""What the rules need to know of a pod, read once from its JSON. Pure: the edge between Kubernetes and rules.

Kubernetes' timestamps have whole seconds; the operator's own stamps (annotations) have microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LABEL_DEPLOYMENT = "rempart.eu/inference-deployment"
LABEL_TENANT = "rempart.eu/tenant"
LABEL_PROJECT = "rempart.eu/project"
LABEL_SERVICE = "rempart.eu/service"
LABEL_COUNTRY = "rempart.eu/country"
LABEL_REGIONAL_DEPLOYMENT = "rempart.eu/regional-deployment"
LABEL_REPLICA_INDEX = "rempart.eu/replica-index"

ANNOTATION_TEMPLATE_HASH = "rempart.eu/template-hash"
ANNOTATION_ATTEMPT = "rempart.eu/attempt"
ANNOTATION_FAILURES = "rempart.eu/failures"
ANNOTATION_WANTED_AT = "rempart.eu/wanted-at"
ANNOTATION_CREATED_AT = "rempart.eu/created-at"
ANNOTATION_DRAINING_SINCE = "rempart.eu/draining-since"
ANNOTATION_GPUS = "rempart.eu/gpus"
ANNOTATION_PORT_HTTP = "rempart.eu/port-http"
# A process node tells these to the millisecond; other nodes do not write them.
ANNOTATION_STARTED_AT = "rempart.eu/started-at"
ANNOTATION_READY_AT = "rempart.eu/ready-at"

PORT_MAX = 65535
# No count of ours has more digits; a longer text is no number of ours.
DIGITS_MAX = 9

# Reasons of a waiting container with which it will not start by itself soon: a person has to act.
STUCK_REASONS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)


@dataclass(frozen=True, slots=True)
class PodView:
    """One engine pod as observed.

    `failures` counts consecutive failed replicas before this one. `problem_reason` is set when the pod cannot
    be expected to become ready by itself: unschedulable, image not pullable, crash loop, failed.
    """

    name: str
    uid: str
    replica_index: int
    attempt: int
    failures: int
    template_hash: str
    phase: str
    node: str | None
    address: str | None
    port: int | None
    gpus: tuple[int, ...]
    is_ready: bool
    is_terminating: bool
    created_at: datetime
    wanted_at: datetime | None
    draining_since: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    ready_at: datetime | None
    unready_since: datetime | None
    failed_at: datetime | None
    problem_reason: str
    problem_message: str

    @property
    def is_failed(self) -> bool:
        """The pod has ended: its containers will not be started again under this name."""
        return self.phase in ("Failed", "Succeeded")

    @property
    def is_draining(self) -> bool:
        return self.draining_since is not None

    @property
    def is_current(self) -> bool:
        """Counts as a replica: serves or may still come to serve."""
        return not (self.is_failed or self.is_draining or self.is_terminating)


def observe_pod(raw: Mapping[str, Any], port_name: str = "http") -> PodView:
    """Read a pod's JSON. Missing or malformed annotations read as their zero: a hand-edited pod must not
    stop the reconcile of its deployment."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    conditions = {c.get("type"): c for c in status.get("conditions") or ()}
    container = _first(status.get("containerStatuses"))
    ready = conditions.get("Ready") or {}
    is_ready = ready.get("status") == "True"
    problem_reason, problem_message = _find_problem(status, conditions, container)
    scheduled = conditions.get("PodScheduled") or {}
    is_scheduled = scheduled.get("status") == "True"
    return PodView(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        replica_index=_integer(labels.get(LABEL_REPLICA_INDEX)),
        attempt=_integer(annotations.get(ANNOTATION_ATTEMPT)),
        failures=_integer(annotations.get(ANNOTATION_FAILURES)),
        template_hash=annotations.get(ANNOTATION_TEMPLATE_HASH, ""),
        phase=status.get("phase") or "Pending",
        node=spec.get("nodeName"),
        address=status.get("podIP"),
        port=_find_port(spec, annotations, port_name),
        gpus=_gpus(annotations.get(ANNOTATION_GPUS)),
        is_ready=is_ready,
        is_terminating=metadata.get("deletionTimestamp") is not None,
        created_at=parse_time(annotations.get(ANNOTATION_CREATED_AT))
        or parse_time(metadata.get("creationTimestamp"))
        or datetime.min.replace(tzinfo=UTC),
        wanted_at=parse_time(annotations.get(ANNOTATION_WANTED_AT)),
        draining_since=parse_time(annotations.get(ANNOTATION_DRAINING_SINCE)),
        scheduled_at=parse_time(scheduled.get("lastTransitionTime")) if is_scheduled else None,
        started_at=_sharpen(
            parse_time(((container.get("state") or {}).get("running") or {}).get("startedAt")),
            annotations.get(ANNOTATION_STARTED_AT),
        ),
        ready_at=_sharpen(
            parse_time(ready.get("lastTransitionTime")) if is_ready else None,
            annotations.get(ANNOTATION_READY_AT),
        ),
        unready_since=parse_time(ready.get("lastTransitionTime")) if ready.get("status") == "False" else None,
        failed_at=_failed_at(container, ready),
        problem_reason=problem_reason,
        problem_message=problem_message,
    )


def is_lost(node: Mapping[str, Any] | None) -> bool:
    """Whether a machine is gone or does not report: what ran on it is unknown, whatever its pods say."""
    if node is None:
        return True
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = next((each for each in conditions if each.get("type") == "Ready"), None)
    return ready is not None and ready.get("status") != "True"


def parse_time(text: object) -> datetime | None:
    """Read an RFC 3339 instant as aware UTC; None when absent or malformed."""
    if not isinstance(text, str):
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo is not None else None


def format_time(at: datetime) -> str:
    """Write an instant as RFC 3339 UTC with microseconds, the form of our annotations and status."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _sharpen(reported_at: datetime | None, told: object) -> datetime | None:
    """The node's own instant if it falls into the second that Kubernetes reports."""
    told_at = parse_time(told)
    if reported_at is None or told_at is None:
        return reported_at
    return told_at if told_at.replace(microsecond=0) == reported_at else reported_at


def _find_problem(
    status: Mapping[str, Any], conditions: Mapping[Any, Mapping[str, Any]], container: Mapping[str, Any]
) -> tuple[str, str]:
    if status.get("phase") in ("Failed", "Succeeded"):
        ended = (container.get("state") or {}).get("terminated") or {}
        reason = status.get("reason") or ended.get("reason") or "Failed"
        detail = status.get("message") or ended.get("message")
        return str(reason), str(detail or f"exit code {ended.get('exitCode', 'unknown')}")
    waiting = (container.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") in STUCK_REASONS:
        last = (container.get("lastState") or {}).get("terminated") or {}
        detail = waiting.get("message") or ""
        if last:
            detail = f"{detail} (last exit code {last.get('exitCode', 'unknown')})".strip()
        return str(waiting["reason"]), str(detail)
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return str(scheduled.get("reason") or "Unschedulable"), str(scheduled.get("message") or "")
    return "", ""


def _find_port(spec: Mapping[str, Any], annotations: Mapping[str, Any], port_name: str) -> int | None:
    """The process node's assigned loopback port if there is one, else the container's port of that name."""
    assigned = _integer(annotations.get(ANNOTATION_PORT_HTTP))
    if 0 < assigned <= PORT_MAX:
        return assigned
    for container in spec.get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == port_name:
                return int(port["containerPort"])
    return None


def _failed_at(container: Mapping[str, Any], ready: Mapping[str, Any]) -> datetime | None:
    ended = (container.get("state") or {}).get("terminated") or {}
    return parse_time(ended.get("finishedAt")) or parse_time(ready.get("lastTransitionTime"))


def _gpus(text: object) -> tuple[int, ...]:
    if not isinstance(text, str):
        return ()
    return tuple(_integer(part) for part in text.split(",") if part.isascii() and part.isdigit())


def _integer(text: object) -> int:
    is_whole = isinstance(text, str) and len(text) <= DIGITS_MAX and text.isascii() and text.isdigit()
    return int(text) if isinstance(text, str) and is_whole else 0


def _first(items: Any) -> Mapping[str, Any]:
    return items[0] if items else {}
