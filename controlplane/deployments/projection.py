"""What a cell reports of an InferenceDeployment, turned into values for rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controlplane.deployments.domain import InstanceStatus, RunTrigger
from operators.apis.v1alpha1 import ConditionStatus, InferenceDeployment, InferencePhase
from operators.apis.v1alpha1 import InstanceStatus as WireInstance

MESSAGE_LENGTH_MAX = 1_000

_TRIGGERS = {
    InferencePhase.PENDING: RunTrigger.ALLOCATE,
    InferencePhase.STARTING: RunTrigger.START,
    InferencePhase.HEALTHY: RunTrigger.PASS,
    InferencePhase.DEGRADED: RunTrigger.DEGRADE,
    InferencePhase.UNHEALTHY: RunTrigger.FAIL,
    InferencePhase.SLEEPING: RunTrigger.SLEEP,
}


@dataclass(frozen=True, slots=True)
class ObservedInstance:
    name: str
    uid: str
    status: InstanceStatus
    message: str
    replica_index: int
    node: str
    gpus: tuple[str, ...]
    created_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    ready_at: datetime | None


@dataclass(frozen=True, slots=True)
class ObservedColdStart:
    """The cell's share of a start from zero."""

    instance: str
    wanted_at: datetime | None
    pod_created_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    ready_at: datetime | None


@dataclass(frozen=True, slots=True)
class ObservedDeployment:
    """One InferenceDeployment as its cell reports it.

    `trigger` None: the report says nothing about the present wish (older generation, or being stopped).
    """

    regional_deployment_id: str
    generation: int
    is_deleting: bool
    trigger: RunTrigger | None
    message: str
    has_been_ready: bool
    replicas_ready: int
    instances: tuple[ObservedInstance, ...]
    cold_start: ObservedColdStart | None


def read_observed(resource: Mapping[str, Any]) -> ObservedDeployment:
    """Read the whole resource; pydantic's ValidationError when it is none of ours."""
    parsed = InferenceDeployment.model_validate(resource)
    generation = parsed.metadata.generation or 0
    is_deleting = parsed.metadata.deletion_timestamp is not None
    status = parsed.status
    trigger: RunTrigger | None = None
    if status is not None and not is_deleting and status.observed_generation >= generation:
        trigger = _TRIGGERS.get(status.phase)
    return ObservedDeployment(
        regional_deployment_id=parsed.spec.regional_deployment_id,
        generation=generation,
        is_deleting=is_deleting,
        trigger=trigger,
        message="" if status is None else _explain(parsed),
        has_been_ready=status is not None and status.first_ready_at is not None,
        replicas_ready=0 if status is None else status.ready_replicas,
        instances=() if status is None else tuple(_instance(each) for each in status.instances),
        cold_start=None if status is None else _cold_start(parsed),
    )


def read_regional_deployment_id(resource: Mapping[str, Any]) -> str:
    return str((resource.get("spec") or {}).get("regionalDeploymentId") or "")


def _explain(parsed: InferenceDeployment) -> str:
    """The sentence of the Ready condition, when it says that something is wrong."""
    assert parsed.status is not None
    for condition in parsed.status.conditions:
        if condition.type == "Ready" and condition.status is not ConditionStatus.TRUE:
            return f"{condition.reason}: {condition.message}"[:MESSAGE_LENGTH_MAX].rstrip(": ")
    return ""


def _instance(each: WireInstance) -> ObservedInstance:
    known = {status.value: status for status in InstanceStatus}
    return ObservedInstance(
        name=each.name,
        uid=each.uid,
        # A word this version does not know is not taken for health.
        status=known.get(each.phase, InstanceStatus.ALLOCATING),
        message=f"{each.reason}: {each.message}".strip(": ")[:MESSAGE_LENGTH_MAX],
        replica_index=each.replica_index,
        node=each.node,
        gpus=tuple(each.gpus),
        created_at=read_time(each.created_at),
        scheduled_at=read_time(each.scheduled_at),
        started_at=read_time(each.started_at),
        ready_at=read_time(each.ready_at),
    )


def _cold_start(parsed: InferenceDeployment) -> ObservedColdStart | None:
    assert parsed.status is not None
    start = parsed.status.last_cold_start
    if start is None or not start.instance:
        return None
    return ObservedColdStart(
        instance=start.instance,
        wanted_at=read_time(start.wanted_at),
        pod_created_at=read_time(start.pod_created_at),
        scheduled_at=read_time(start.scheduled_at),
        started_at=read_time(start.started_at),
        ready_at=read_time(start.ready_at),
    )


def read_time(text: str | None) -> datetime | None:
    """An RFC 3339 instant as aware UTC; None when absent or not an instant."""
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo is not None else None
