"""How services, deployments and instances stand and change: statuses in Koyeb's words, and the tables of their changes.

The words are those of Koyeb's public API reference, so that Koyeb's own clients read them.
"""

from __future__ import annotations

from enum import StrEnum

from controlplane.kernel.transitions import TransitionTable


class ServiceStatus(StrEnum):
    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    UNHEALTHY = "UNHEALTHY"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    RESUMING = "RESUMING"
    DELETING = "DELETING"
    DELETED = "DELETED"


class ServiceTrigger(StrEnum):
    START = "start"
    PASS = "pass"  # noqa: S105 - a health check passes
    DEGRADE = "degrade"
    FAIL = "fail"
    PAUSE = "pause"
    RESUME = "resume"
    DELETE = "delete"
    FINISH = "finish"


class RunStatus(StrEnum):
    """Where a deployment, or its part in a datacenter, stands."""

    PENDING = "PENDING"
    PROVISIONING = "PROVISIONING"
    SCHEDULED = "SCHEDULED"
    ALLOCATING = "ALLOCATING"
    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    UNHEALTHY = "UNHEALTHY"
    SLEEPING = "SLEEPING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    ERRORING = "ERRORING"
    ERROR = "ERROR"


class RunTrigger(StrEnum):
    PLACE = "place"
    UNPLACE = "unplace"
    APPLY = "apply"
    ALLOCATE = "allocate"
    START = "start"
    PASS = "pass"  # noqa: S105 - a health check passes
    DEGRADE = "degrade"
    FAIL = "fail"
    SLEEP = "sleep"
    STOP = "stop"
    CANCEL = "cancel"
    REFUSE = "refuse"
    FINISH = "finish"
    RETRY = "retry"


class InstanceStatus(StrEnum):
    ALLOCATING = "ALLOCATING"
    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    SLEEPING = "SLEEPING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    ERROR = "ERROR"


class RouteState(StrEnum):
    """How the gateway sees a regional deployment; of a service at most one is ACTIVE."""

    NONE = "NONE"
    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"


# A cell has it and reports on it: any of these can follow any other.
OBSERVED: dict[RunTrigger, RunStatus] = {
    RunTrigger.ALLOCATE: RunStatus.ALLOCATING,
    RunTrigger.START: RunStatus.STARTING,
    RunTrigger.PASS: RunStatus.HEALTHY,
    RunTrigger.DEGRADE: RunStatus.DEGRADED,
    RunTrigger.FAIL: RunStatus.UNHEALTHY,
    RunTrigger.SLEEP: RunStatus.SLEEPING,
}
APPLIED: frozenset[RunStatus] = frozenset({RunStatus.SCHEDULED, *OBSERVED.values()})
READY: frozenset[RunStatus] = frozenset({RunStatus.HEALTHY, RunStatus.DEGRADED, RunStatus.SLEEPING})
LEAVING: frozenset[RunStatus] = frozenset({RunStatus.STOPPING, RunStatus.CANCELING, RunStatus.ERRORING})
ENDED: frozenset[RunStatus] = frozenset({RunStatus.STOPPED, RunStatus.CANCELED, RunStatus.ERROR})
LIVE: frozenset[RunStatus] = APPLIED | {RunStatus.PROVISIONING}


def _run_edges() -> dict[tuple[RunStatus, RunTrigger], RunStatus]:
    edges = {
        (RunStatus.PENDING, RunTrigger.PLACE): RunStatus.PROVISIONING,
        (RunStatus.PENDING, RunTrigger.CANCEL): RunStatus.CANCELED,
        (RunStatus.PENDING, RunTrigger.STOP): RunStatus.STOPPED,
        (RunStatus.PENDING, RunTrigger.REFUSE): RunStatus.ERROR,
        (RunStatus.PROVISIONING, RunTrigger.APPLY): RunStatus.SCHEDULED,
        (RunStatus.STOPPING, RunTrigger.FINISH): RunStatus.STOPPED,
        (RunStatus.STOPPING, RunTrigger.UNPLACE): RunStatus.PENDING,
        (RunStatus.CANCELING, RunTrigger.FINISH): RunStatus.CANCELED,
        (RunStatus.ERRORING, RunTrigger.FINISH): RunStatus.ERROR,
        # A deployment that was paused or refused can be asked for again.
        (RunStatus.STOPPED, RunTrigger.RETRY): RunStatus.PENDING,
        (RunStatus.ERROR, RunTrigger.RETRY): RunStatus.PENDING,
    }
    for state in LIVE:
        edges[(state, RunTrigger.UNPLACE)] = RunStatus.PENDING
        edges[(state, RunTrigger.STOP)] = RunStatus.STOPPING
        edges[(state, RunTrigger.CANCEL)] = RunStatus.CANCELING
        edges[(state, RunTrigger.REFUSE)] = RunStatus.ERRORING
    for state in APPLIED:
        for trigger, target in OBSERVED.items():
            edges[(state, trigger)] = target
    return edges


def _service_edges() -> dict[tuple[ServiceStatus, ServiceTrigger], ServiceStatus]:
    running = (
        ServiceStatus.STARTING,
        ServiceStatus.HEALTHY,
        ServiceStatus.DEGRADED,
        ServiceStatus.UNHEALTHY,
        ServiceStatus.RESUMING,
    )
    health = {
        ServiceTrigger.START: ServiceStatus.STARTING,
        ServiceTrigger.PASS: ServiceStatus.HEALTHY,
        ServiceTrigger.DEGRADE: ServiceStatus.DEGRADED,
        ServiceTrigger.FAIL: ServiceStatus.UNHEALTHY,
    }
    edges: dict[tuple[ServiceStatus, ServiceTrigger], ServiceStatus] = {}
    for state in running:
        for trigger, target in health.items():
            edges[(state, trigger)] = target
        edges[(state, ServiceTrigger.PAUSE)] = ServiceStatus.PAUSING
    edges[(ServiceStatus.PAUSING, ServiceTrigger.FINISH)] = ServiceStatus.PAUSED
    edges[(ServiceStatus.PAUSED, ServiceTrigger.RESUME)] = ServiceStatus.RESUMING
    for state in (*running, ServiceStatus.PAUSING, ServiceStatus.PAUSED):
        edges[(state, ServiceTrigger.DELETE)] = ServiceStatus.DELETING
    edges[(ServiceStatus.DELETING, ServiceTrigger.FINISH)] = ServiceStatus.DELETED
    return edges


RUN_TRANSITIONS = TransitionTable[RunStatus, RunTrigger]("deployment", _run_edges())
SERVICE_TRANSITIONS = TransitionTable[ServiceStatus, ServiceTrigger]("service", _service_edges())
