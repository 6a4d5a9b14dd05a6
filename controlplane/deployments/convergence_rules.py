"""What a service needs next, from its rows and one instant. Pure: the same rows always give the same answer.

A service wants one live, admissible part of its latest deployment. Everything here serves that: a new part is made
before the old one is broken, traffic moves once the new one is ready, and the old one ends after its calls did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from controlplane.deployments.domain import (
    APPLIED,
    ENDED,
    LEAVING,
    READY,
    Deployment,
    RegionalDeployment,
    RouteState,
    RunStatus,
    RunTrigger,
    Service,
    ServiceStatus,
)
from controlplane.kernel.errors import IllegalTransition
from controlplane.kernel.ids import NodePoolId
from controlplane.kernel.transitions import TransitionTable

# A gateway has a new snapshot within 5 s; after three of them no call can still arrive on the old route.
ROUTE_DRAIN_SECONDS = 15
# While a place that is admissible starts up, the one that no longer is goes on serving, but never longer than this.
MOVE_SECONDS_MAX = 600
# A part that cannot serve for a reason of its place is placed elsewhere after so long, where another place has room:
# its cell does not take it, no machine of its pool has room, or what had been ready does not answer any more.
STUCK_SECONDS = {
    RunStatus.PROVISIONING: 300,
    RunStatus.SCHEDULED: 300,
    RunStatus.ALLOCATING: 120,
    RunStatus.UNHEALTHY: 120,
}
# What never was ready is given up after so long, while another version serves.
START_SECONDS_MAX = 1_800
UNHEALTHY_SECONDS_MAX = 600
# A pool that was left because it could not run the service is not chosen again for it sooner.
LEFT_POOL_SECONDS = 900
# The API server refused the last part: the same refusal is not asked for again at once.
REFUSAL_PAUSE_SECONDS = 60

NOT_RUNNING = frozenset(
    {ServiceStatus.PAUSING, ServiceStatus.PAUSED, ServiceStatus.DELETING, ServiceStatus.DELETED}
)

S = TypeVar("S", bound=RunStatus | ServiceStatus)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stop:
    """A part that must end, by which trigger and why (one word, one sentence)."""

    part: RegionalDeployment
    trigger: RunTrigger
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RouteSwitch:
    """Traffic goes to `target`; `source` drains if it still runs."""

    target: RegionalDeployment
    source: RegionalDeployment | None


def is_running(service: Service) -> bool:
    return service.status not in NOT_RUNNING


def find_wish(latest: Deployment, active: Deployment | None) -> Deployment:
    """The deployment whose parts are wanted: the latest one, or what serves once that was given up."""
    is_over = latest.status in ENDED | LEAVING
    return active if is_over and active is not None and active.status not in ENDED | LEAVING else latest


def find_wanted(parts: Iterable[RegionalDeployment], latest: Deployment) -> RegionalDeployment | None:
    """The newest live and admissible part of the latest deployment: the one to keep. None once that was given up."""
    if latest.status in ENDED | LEAVING:
        return None
    fitting = [p for p in parts if p.deployment_id == latest.id and p.is_live and p.verdict.is_admissible]
    return max(fitting, key=lambda part: part.id, default=None)


def needs_place(
    service: Service,
    latest: Deployment,
    parts: Sequence[RegionalDeployment],
    refused_at: datetime | None,
    now: datetime,
) -> bool:
    """Whether a place must be looked for; `refused_at` is when a cell last refused a part of the deployment."""
    if not is_running(service) or latest.status in ENDED | LEAVING:
        return False
    if refused_at is not None and now < refused_at + timedelta(seconds=REFUSAL_PAUSE_SECONDS):
        return False
    wanted = find_wanted(parts, latest)
    return wanted is None or is_stuck(wanted, now)


def is_stuck(part: RegionalDeployment, now: datetime) -> bool:
    """Whether a part has not served for so long, for a reason of its place, that another place is looked for."""
    seconds = STUCK_SECONDS.get(part.status)
    if seconds is None or part.blocked_since is None:
        return False
    # What never was ready fails for a reason of its own: it would fail elsewhere too.
    is_of_the_place = part.status is not RunStatus.UNHEALTHY or part.ready_at is not None
    return is_of_the_place and now >= part.blocked_since + timedelta(seconds=seconds)


def list_left_pools(parts: Iterable[RegionalDeployment], now: datetime) -> frozenset[NodePoolId]:
    """Pools that could not run the service a moment ago, or cannot now: another one is looked for."""
    since = now - timedelta(seconds=LEFT_POOL_SECONDS)
    return frozenset(
        part.placement.pool_id
        for part in parts
        if is_stuck(part, now)
        or (not part.is_live and part.blocked_since is not None and part.updated_at >= since)
    )


def has_failed(wanted: RegionalDeployment | None, parts: Iterable[RegionalDeployment], now: datetime) -> bool:
    """Whether a new version is given up: it never was ready within its time, and another one serves."""
    active = find_active(parts)
    if wanted is None or wanted.ready_at is not None or wanted.blocked_since is None:
        return False
    if (
        active is None
        or active.deployment_id == wanted.deployment_id
        or not active.is_live
        or is_refused(active, now)
    ):
        return False
    seconds = UNHEALTHY_SECONDS_MAX if wanted.status is RunStatus.UNHEALTHY else START_SECONDS_MAX
    return now >= wanted.blocked_since + timedelta(seconds=seconds)


def decide_refused_at(part: RegionalDeployment, *, has_target: bool, grace_seconds: int) -> datetime | None:
    """When calls to a part are refused for its verdict; None while it is admissible.

    With a target on its way the old place serves until the move is done, within a bound; without one only for the
    tenant's grace: unknown or broken law fails closed.
    """
    if part.violated_at is None:
        return None
    seconds = max(grace_seconds, MOVE_SECONDS_MAX) if has_target else grace_seconds
    return part.violated_at + timedelta(seconds=seconds)


def is_refused(part: RegionalDeployment, now: datetime) -> bool:
    """Whether the gateway must refuse this part's route."""
    if part.verdict.is_admissible:
        return False
    return part.refused_at is None or now >= part.refused_at


def find_active(parts: Iterable[RegionalDeployment]) -> RegionalDeployment | None:
    return next((part for part in parts if part.route_state is RouteState.ACTIVE), None)


def decide_route(
    wanted: RegionalDeployment | None,
    parts: Sequence[RegionalDeployment],
    now: datetime,
    *,
    is_proven: bool,
) -> RouteSwitch | None:
    """Move traffic to the wanted part once it can take it; sooner when nothing else may or can answer.

    Never to a version that was not ready once: `is_proven` says that its deployment was, here or elsewhere.
    """
    active = find_active(parts)
    if wanted is None or active == wanted:
        return None
    is_bare = active is None or not active.is_live or is_refused(active, now)
    is_ready = wanted.status in READY and wanted.ready_at is not None
    if is_ready or (is_bare and is_proven and wanted.status in APPLIED):
        return RouteSwitch(wanted, active)
    return None


def decide_stops(
    service: Service, wanted: RegionalDeployment | None, parts: Sequence[RegionalDeployment], now: datetime
) -> tuple[Stop, ...]:
    """Which live parts must end now."""
    stops = []
    for part in parts:
        if not part.is_live:
            continue
        if not is_running(service):
            word = "Deleted" if service.status is ServiceStatus.DELETING else "Paused"
            stops.append(Stop(part, RunTrigger.STOP, word, f"The service is {word.lower()}."))
        elif wanted is not None and part.id == wanted.id:
            continue
        elif part.route_state is RouteState.DRAINING:
            if is_drained(part, now):
                stops.append(
                    Stop(part, RunTrigger.STOP, "Drained", "Its traffic has moved and its calls have ended.")
                )
        elif part.route_state is RouteState.ACTIVE:
            if wanted is None and is_refused(part, now):
                stops.append(Stop(part, RunTrigger.STOP, "Evicted", part.verdict.reason))
        else:
            trigger = RunTrigger.STOP if part.ready_at else RunTrigger.CANCEL
            stops.append(Stop(part, trigger, "Superseded", "Another deployment or place has taken over."))
    return tuple(stops)


def is_drained(part: RegionalDeployment, now: datetime) -> bool:
    return part.draining_since is None or now >= part.draining_since + timedelta(seconds=ROUTE_DRAIN_SECONDS)


def mirror_status(
    deployment: Deployment, parts: Iterable[RegionalDeployment], *, is_wanted: bool
) -> RunStatus:
    """Where a deployment stands, from its parts; `is_wanted`: the latest of a service that should run."""
    mine = [part for part in parts if part.deployment_id == deployment.id]
    is_open = any(part.is_live or part.status in LEAVING for part in mine)
    if deployment.status in ENDED:
        return deployment.status
    if deployment.status in (RunStatus.CANCELING, RunStatus.ERRORING):
        return deployment.status if is_open else _FINISHED[deployment.status]
    live = [part for part in mine if part.is_live and part.route_state is not RouteState.DRAINING]
    if live:
        return max(live, key=lambda part: (part.route_state is RouteState.ACTIVE, part.id)).status
    if is_wanted:
        return RunStatus.PENDING
    has_served = deployment.succeeded_at is not None or deployment.status is RunStatus.STOPPING
    if is_open:
        return RunStatus.STOPPING if has_served else RunStatus.CANCELING
    return RunStatus.STOPPED if has_served else RunStatus.CANCELED


def decide_service_status(
    service: Service, latest: Deployment, parts: Sequence[RegionalDeployment], now: datetime
) -> ServiceStatus:
    """Where the service stands, in Koyeb's words: a service that sleeps and can wake is healthy."""
    is_empty = not any(part.is_live or part.status in LEAVING for part in parts)
    if service.status in (ServiceStatus.PAUSING, ServiceStatus.PAUSED):
        return ServiceStatus.PAUSED if is_empty else service.status
    if service.status in (ServiceStatus.DELETING, ServiceStatus.DELETED):
        return ServiceStatus.DELETED if is_empty else service.status
    active = find_active(parts)
    if active is not None and active.is_live and not is_refused(active, now):
        known = _HEALTH.get(active.status)
        if known is not None:
            return known
        # A service that has been ready and wakes from zero is doing what it should.
        if active.ready_at is not None and active.replicas_min == 0:
            return ServiceStatus.HEALTHY
        return _beginning(service)
    if active is not None and is_refused(active, now):
        return ServiceStatus.UNHEALTHY
    is_broken = latest.status in _FAILED or latest.status is RunStatus.UNHEALTHY
    return ServiceStatus.UNHEALTHY if is_broken else _beginning(service)


def find_path(table: TransitionTable[S, T], source: S, target: S) -> tuple[T, ...]:  # type: ignore[type-var]
    """The shortest list of triggers from one status to another; IllegalTransition when the table has none.

    Rows may be behind by several steps after a crash: they take each step, so none escapes the table.
    """
    queue: deque[tuple[S, tuple[T, ...]]] = deque([(source, ())])
    seen = {source}
    while queue:
        state, path = queue.popleft()
        if state == target:
            return path
        for (start, trigger), end in table.edges.items():
            if start == state and end not in seen:
                seen.add(end)
                queue.append((end, (*path, trigger)))
    raise IllegalTransition(f"A {table.noun} that is {source} cannot become {target}.")


def _beginning(service: Service) -> ServiceStatus:
    return ServiceStatus.RESUMING if service.status is ServiceStatus.RESUMING else ServiceStatus.STARTING


_FINISHED = {RunStatus.CANCELING: RunStatus.CANCELED, RunStatus.ERRORING: RunStatus.ERROR}
_FAILED = frozenset({RunStatus.ERRORING, RunStatus.ERROR, RunStatus.CANCELED})
_HEALTH = {
    RunStatus.HEALTHY: ServiceStatus.HEALTHY,
    RunStatus.SLEEPING: ServiceStatus.HEALTHY,
    RunStatus.DEGRADED: ServiceStatus.DEGRADED,
    RunStatus.UNHEALTHY: ServiceStatus.UNHEALTHY,
}
