"""Bring one service nearer to what its tenant wants: the only place that decides, always under the service's lock.

Converging takes no input but the service's name, so a first run, a retry, a repeated delivery and a run after a
crash are one path. It changes rows and emits events; whoever reaches a cell or the gateway reads the rows again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controlplane.capacity import service as capacity
from controlplane.deployments import repository
from controlplane.deployments.convergence_rules import (
    Stop,
    decide_refused_at,
    decide_route,
    decide_service_status,
    decide_stops,
    find_path,
    find_wanted,
    find_wish,
    has_failed,
    is_running,
    is_stuck,
    mirror_status,
    needs_place,
)
from controlplane.deployments.domain import (
    ENDED,
    READY,
    RUN_TRANSITIONS,
    SERVICE_TRANSITIONS,
    Deployment,
    RegionalDeployment,
    RouteState,
    RunStatus,
    RunTrigger,
    Service,
    ServiceStatus,
)
from controlplane.deployments.events import RegionalDeploymentChanged, RoutingChanged
from controlplane.deployments.message_rules import describe_deployment, describe_service, find_telling
from controlplane.deployments.models import DeploymentRow, RegionalDeploymentRow, ServiceRow
from controlplane.deployments.service_narrate import narrate
from controlplane.deployments.service_place import place, reassess
from controlplane.kernel.ids import RegionalDeploymentId, ServiceId, TenantId
from controlplane.plumbing.database import UnitOfWork


@dataclass(slots=True)
class _View:
    """One service with everything that is decided about together; read again after each step that writes."""

    row: ServiceRow
    part_rows: Sequence[RegionalDeploymentRow]
    deployment_rows: Sequence[DeploymentRow]
    latest_row: DeploymentRow
    waits: list[str] = field(default_factory=list)

    @property
    def active(self) -> Deployment | None:
        """The deployment that has the traffic."""
        rows = (row for row in self.deployment_rows if row.id == self.row.active_deployment_id)
        return next((repository.to_deployment(row) for row in rows), None)

    @property
    def wish_row(self) -> DeploymentRow:
        """The deployment whose parts are wanted: the latest, or what serves once that was given up."""
        wish = find_wish(self.latest, self.active)
        return next(row for row in self.deployment_rows if row.id == wish.id)

    @property
    def wish(self) -> Deployment:
        return repository.to_deployment(self.wish_row)

    @property
    def service(self) -> Service:
        return repository.to_service(self.row)

    @property
    def latest(self) -> Deployment:
        return repository.to_deployment(self.latest_row)

    @property
    def parts(self) -> list[RegionalDeployment]:
        return [repository.to_part(row) for row in self.part_rows]

    def part_row(self, part: RegionalDeployment) -> RegionalDeploymentRow:
        return next(row for row in self.part_rows if row.id == part.id)


def converge(uow: UnitOfWork, tenant_id: TenantId, service_id: ServiceId, *, is_reassessing: bool) -> None:
    """Decide and record the next steps of a service; needs a system transaction made for its tenant.

    `is_reassessing` judges its places by the law again, which reads every fact about them.
    """
    view = _load(uow, tenant_id, service_id)
    if view is None or view.row.status == ServiceStatus.DELETED:
        return
    if is_running(view.service):
        if is_reassessing:
            reassess(uow, view.row, view.deployment_rows, view.part_rows)
        _give_up(uow, view)
        refused_at = repository.find_last_refusal(uow, tenant_id, view.wish_row.id)
        if needs_place(view.service, view.wish, view.parts, refused_at, uow.now):
            place(uow, view.row, view.wish_row, view.parts)
            view = _reload(uow, view)
        _time_refusals(uow, view)
        _switch_route(uow, view)
        _fit_scale(uow, view)
    for stop in decide_stops(view.service, _wanted(view), view.parts, uow.now):
        _stop(uow, view, stop)
    _close_routes(uow, view)
    _mirror(uow, view)
    _settle_service(uow, view)
    uow.session.flush()


def _load(uow: UnitOfWork, tenant_id: TenantId, service_id: ServiceId) -> _View | None:
    row = repository.find_service_row(uow, tenant_id, service_id, is_locked=True)
    if row is None:
        return None
    deployments = repository.list_open_deployment_rows(uow, tenant_id, service_id, row.latest_deployment_id)
    latest = next(each for each in deployments if each.id == row.latest_deployment_id)
    return _View(row, repository.list_part_rows(uow, tenant_id, service_id), deployments, latest)


def _reload(uow: UnitOfWork, view: _View) -> _View:
    uow.session.flush()
    again = _load(uow, view.row.tenant_id, view.row.id)
    assert again is not None
    return again


def _wanted(view: _View) -> RegionalDeployment | None:
    return find_wanted(view.parts, view.wish) if is_running(view.service) else None


def _give_up(uow: UnitOfWork, view: _View) -> None:
    """End a version that never was ready within its time, while another one serves; that one is wanted again."""
    wanted = _wanted(view)
    if wanted is None or not has_failed(wanted, view.parts, uow.now):
        return
    row, deployment = view.part_row(wanted), view.wish_row
    reason = (
        " ".join(wanted.messages) or f"It was not ready in {wanted.placement.datacenter} within its time."
    )
    row.status = RUN_TRANSITIONS.next(RunStatus(row.status), RunTrigger.REFUSE)
    row.messages = [reason]
    deployment.status = RUN_TRANSITIONS.next(RunStatus(deployment.status), RunTrigger.REFUSE)
    deployment.messages, deployment.updated_at = [reason], uow.now
    _mark_changed(uow, row)
    message = f"Deployment {deployment.number} was given up: {reason}"
    narrate(uow, view.row, "DEPLOYMENT_FAILED", message, reason="NeverReady", deployment_id=deployment.id)


def _time_refusals(uow: UnitOfWork, view: _View) -> None:
    """Set until when a place that is no longer admissible may serve."""
    has_target = _wanted(view) is not None
    grace = view.wish.plan.on_violation_grace_seconds
    for row in view.part_rows:
        refused_at = decide_refused_at(repository.to_part(row), has_target=has_target, grace_seconds=grace)
        if refused_at != row.refused_at:
            row.refused_at = refused_at
            uow.emit(RoutingChanged(row.tenant_id, row.service_id))


def _switch_route(uow: UnitOfWork, view: _View) -> None:
    wanted = _wanted(view)
    is_proven = view.wish.succeeded_at is not None
    switch = decide_route(wanted, view.parts, uow.now, is_proven=is_proven)
    if switch is None:
        return
    if switch.source is not None:
        source = view.part_row(switch.source)
        source.route_state = RouteState.DRAINING if switch.source.is_live else RouteState.NONE
        source.draining_since = uow.now
        # The database holds that one route is active: the old one leaves before the new one comes.
        uow.session.flush()
    target = view.part_row(switch.target)
    target.route_state = RouteState.ACTIVE
    view.row.active_deployment_id = target.deployment_id
    narrate(
        uow,
        view.row,
        "ROUTE_SWITCHED",
        f"Calls go to {target.datacenter} ({target.country}).",
        reason="FirstRoute" if switch.source is None else "Ready",
        deployment_id=target.deployment_id,
        part_id=target.id,
    )
    uow.emit(RoutingChanged(target.tenant_id, target.service_id))


def _fit_scale(uow: UnitOfWork, view: _View) -> None:
    """Carry out the wanted bounds on the wanted part; more held replicas only if its pool has room."""
    wanted = _wanted(view)
    if wanted is None:
        return
    row = view.part_row(wanted)
    plan = view.wish.plan
    replicas_min = plan.replicas_min if view.row.scale_min is None else view.row.scale_min
    replicas_max = plan.replicas_max if view.row.scale_max is None else view.row.scale_max
    if (row.replicas_min, row.replicas_max) == (replicas_min, replicas_max):
        return
    held = max(1, replicas_min)
    if held != row.replicas_reserved and not _reserve_again(uow, row, held):
        message = f"{row.datacenter} has no room to hold {held} replicas; it is tried again when it has."
        view.waits.append(message)
        if message not in view.row.messages:
            narrate(uow, view.row, "SCALE_WAITING", message, reason="NoCapacity", part_id=row.id)
        return
    row.replicas_min, row.replicas_max, row.replicas_reserved = replicas_min, replicas_max, held
    _mark_changed(uow, row)


def _reserve_again(uow: UnitOfWork, row: RegionalDeploymentRow, replicas: int) -> bool:
    """Change what is held, or leave it untouched and return False."""
    events_before = len(uow.events)
    savepoint = uow.session.begin_nested()
    capacity.release(uow, row.id)
    is_held = capacity.reserve(
        uow,
        row.pool_id,
        row.id,
        replicas=replicas,
        gpus_per_replica=row.gpus_per_replica,
        cpu_milli=row.cpu_milli,
        memory_mib=row.memory_mib,
    )
    if is_held:
        savepoint.commit()
    else:
        savepoint.rollback()
        # What was rolled back did not happen: telling it would wake everybody for nothing, again and again.
        del uow.events[events_before:]
    return is_held


def _stop(uow: UnitOfWork, view: _View, stop: Stop) -> None:
    row = view.part_row(stop.part)
    if not is_stuck(stop.part, uow.now):
        # Only a pool that could not run the service is not chosen again for it.
        row.blocked_since = None
    row.status = RUN_TRANSITIONS.next(RunStatus(row.status), stop.trigger)
    row.messages = [stop.message]
    _mark_changed(uow, row)
    narrate(
        uow,
        view.row,
        "REGIONAL_DEPLOYMENT_STOPPING",
        f"The part in {row.datacenter} stops: {stop.message}",
        reason=stop.reason,
        deployment_id=row.deployment_id,
        part_id=row.id,
    )
    uow.emit(RoutingChanged(row.tenant_id, row.service_id))


def _mark_changed(uow: UnitOfWork, row: RegionalDeploymentRow) -> None:
    row.generation += 1
    row.updated_at = uow.now
    uow.emit(RegionalDeploymentChanged(row.tenant_id, row.id))


def _close_routes(uow: UnitOfWork, view: _View) -> None:
    """Take routes away that nothing stands behind and nothing is to be said about."""
    for row in view.part_rows:
        is_over = RunStatus(row.status) in ENDED
        is_deleted = view.row.status == ServiceStatus.DELETING
        if is_over and (
            row.route_state == RouteState.DRAINING or (is_deleted and row.route_state != RouteState.NONE)
        ):
            row.route_state = RouteState.NONE
            uow.emit(RoutingChanged(row.tenant_id, row.service_id))


def _mirror(uow: UnitOfWork, view: _View) -> None:
    """Let each deployment stand where its parts do, by the steps that the table allows."""
    for row in view.deployment_rows:
        before = RunStatus(row.status)
        is_wanted = row.id == view.wish_row.id and is_running(view.service)
        after = mirror_status(repository.to_deployment(row), view.parts, is_wanted=is_wanted)
        for trigger in find_path(RUN_TRANSITIONS, before, after):
            row.status = RUN_TRANSITIONS.next(RunStatus(row.status), trigger)
            if trigger is RunTrigger.PLACE:
                row.allocated_at = row.allocated_at or uow.now
                view.row.last_provisioned_deployment_id = row.id
        _explain(uow, view, row)
        if before is after:
            continue
        row.updated_at = uow.now
        if after in READY:
            row.succeeded_at = row.succeeded_at or uow.now
        if after not in (RunStatus.PENDING, RunStatus.PROVISIONING, RunStatus.SCHEDULED):
            row.started_at = row.started_at or uow.now
        row.terminated_at = uow.now if after in ENDED else None
        narrate(
            uow,
            view.row,
            "DEPLOYMENT_STATUS_CHANGED",
            f"Deployment {row.number} is {after}.",
            reason=str(after),
            deployment_id=row.id,
        )


def _explain(uow: UnitOfWork, view: _View, row: DeploymentRow) -> None:
    """Say why a deployment does not serve as it should, and tell of it when it begins to matter."""
    deployment = repository.to_deployment(row)
    messages = list(describe_deployment(deployment, view.parts, uow.now))
    if messages == list(row.messages):
        return
    row.messages, row.updated_at = messages, uow.now
    telling = find_telling(deployment, view.parts)
    if telling is not None and is_stuck(telling, uow.now):
        narrate(
            uow,
            view.row,
            "PART_BLOCKED",
            " ".join(messages),
            reason="Blocked",
            deployment_id=row.id,
            part_id=telling.id,
        )


def _settle_service(uow: UnitOfWork, view: _View) -> None:
    messages = list(
        describe_service(view.latest, view.active, is_running=is_running(view.service), waits=view.waits)
    )
    if messages != list(view.row.messages):
        view.row.messages, view.row.updated_at = messages, uow.now
    before = ServiceStatus(view.row.status)
    after = decide_service_status(view.service, view.latest, view.parts, uow.now)
    for trigger in find_path(SERVICE_TRANSITIONS, before, after):
        view.row.status = SERVICE_TRANSITIONS.next(ServiceStatus(view.row.status), trigger)
    if before is after:
        return
    view.row.updated_at = uow.now
    if after is ServiceStatus.HEALTHY:
        view.row.started_at = view.row.started_at or uow.now
    if after is ServiceStatus.DELETED:
        view.row.terminated_at = uow.now
    if after in (ServiceStatus.PAUSED, ServiceStatus.DELETED):
        view.row.active_deployment_id = None
    narrate(uow, view.row, "SERVICE_STATUS_CHANGED", f"The service is {after}.", reason=str(after))
    uow.emit(RoutingChanged(view.row.tenant_id, view.row.id))


def finish_part(uow: UnitOfWork, row: RegionalDeploymentRow) -> None:
    """Record that a cell holds nothing of a leaving part any more, and give its capacity back."""
    row.status = RUN_TRANSITIONS.next(RunStatus(row.status), RunTrigger.FINISH)
    row.terminated_at, row.updated_at, row.replicas_ready = uow.now, uow.now, 0
    if row.route_state == RouteState.DRAINING:
        row.route_state = RouteState.NONE
    repository.end_instances(uow, row)
    capacity.release(uow, row.id)


def find_part(uow: UnitOfWork, part_id: RegionalDeploymentId) -> RegionalDeployment | None:
    row = repository.find_part_row(uow, part_id)
    return None if row is None else repository.to_part(row)
