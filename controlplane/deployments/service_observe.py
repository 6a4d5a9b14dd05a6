"""What cells and gateways report, brought into rows. Reports are facts of the outside: they decide nothing here.

Each function takes a whole report and may be given it twice, late, or after a newer one of the same object was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import case, select
from sqlalchemy.dialects.postgresql import insert

from controlplane.deployments import repository, repository_fleet
from controlplane.deployments.domain import (
    APPLIED,
    ENDED,
    LEAVING,
    OBSERVED,
    READY,
    RUN_TRANSITIONS,
    InstanceStatus,
    RunStatus,
    RunTrigger,
)
from controlplane.deployments.events import RegionalDeploymentChanged, ServiceChanged
from controlplane.deployments.models import ColdStartRow, InstanceRow, RegionalDeploymentRow
from controlplane.deployments.projection import (
    ObservedColdStart,
    ObservedDeployment,
    ObservedInstance,
    read_observed,
    read_regional_deployment_id,
    read_time,
)
from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.ids import InstanceId, RegionalDeploymentId
from controlplane.plumbing.database import UnitOfWork

log = structlog.get_logger()

# A caller may wait this long before its demand is seen: the operators' poll, with room for a broken message.
CALLER_LEAD = timedelta(seconds=10)


def observe_inference_deployment(uow: UnitOfWork, resource: Mapping[str, Any]) -> None:
    """Take over one InferenceDeployment as its cell's API server shows it; foreign objects are passed over."""
    part_id = _read_id(resource)
    if part_id is None:
        return
    try:
        observed = read_observed(resource)
    except ValidationError as err:
        log.warning(
            "inference_deployment_unreadable", regional_deployment_id=str(part_id), problems=err.error_count()
        )
        return
    observe_regional_deployment(uow, part_id, observed)


def observe_inference_deployment_gone(uow: UnitOfWork, resource: Mapping[str, Any]) -> None:
    """The object is gone from its cell."""
    part_id = _read_id(resource)
    if part_id is not None:
        observe_regional_deployment(uow, part_id, None)


def settle_inference_deployments(uow: UnitOfWork, names: frozenset[str]) -> None:
    """After a whole list: parts that cells should hold and do not are looked at again, and so are leaving ones."""
    for row in repository_fleet.list_open_part_rows(uow):
        if row.object_name not in names and RunStatus(row.status) in APPLIED | LEAVING:
            observe_regional_deployment(uow, row.id, None)


def observe_regional_deployment(
    uow: UnitOfWork, part_id: RegionalDeploymentId, observed: ObservedDeployment | None
) -> None:
    """Bring one report into rows; None: the cell does not hold the object (any more).

    A live part that disappeared is applied again; an ended one that is still there is deleted again.
    """
    row = repository.find_part_row(uow, part_id, is_locked=True)
    if row is None:
        return
    status = RunStatus(row.status)
    if observed is None:
        if status in APPLIED:
            row.applied_generation = 0
        if status in APPLIED | LEAVING:
            uow.emit(RegionalDeploymentChanged(row.tenant_id, row.id))
        return
    _observe_instances(uow, row, observed)
    if observed.cold_start is not None:
        _record_cell_times(uow, row, observed.cold_start)
    if status in ENDED and not observed.is_deleting:
        uow.emit(RegionalDeploymentChanged(row.tenant_id, row.id))
        return
    if status not in APPLIED:
        return
    if observed.generation > row.cluster_generation and row.applied_generation == row.generation:
        # Somebody else changed the object's spec: what it should be is applied again.
        row.cluster_generation = observed.generation
        row.applied_generation = 0
        uow.emit(RegionalDeploymentChanged(row.tenant_id, row.id))
    _observe_status(uow, row, observed)


def record_wake(uow: UnitOfWork, wake: Mapping[str, Any]) -> None:
    """Take over what a gateway saw of a start from zero (docs/contracts.md, `rempart:wakes`).

    Of several requests that waited for the same replica, the one whose first byte came first counts.
    """
    instance = str(wake.get("instance") or "")
    first_byte_at = read_time(wake.get("first_byte_at"))
    try:
        part_id = RegionalDeploymentId.parse(str(wake.get("regional_deployment_id")))
    except InvalidInput:
        return
    row = repository.find_part_row(uow, part_id)
    if row is None or not instance or first_byte_at is None:
        return
    values = {
        "request_id": str(wake.get("request_id") or "")[:64] or None,
        "first_byte_at": first_byte_at,
        "first_token_at": read_time(wake.get("first_token_at")),
    }
    statement = insert(ColdStartRow).values(**_cold_start_key(uow, row, instance), **values)
    uow.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "regional_deployment_id", "instance"],
            set_={name: statement.excluded[name] for name in values},
            where=ColdStartRow.first_byte_at.is_(None)
            | (ColdStartRow.first_byte_at >= first_byte_at)
            # A later start of a replica that bears the same name.
            | (ColdStartRow.ready_at < first_byte_at),
        )
    )


def _read_id(resource: Mapping[str, Any]) -> RegionalDeploymentId | None:
    try:
        return RegionalDeploymentId.parse(read_regional_deployment_id(resource))
    except InvalidInput:
        return None


def _observe_status(uow: UnitOfWork, row: RegionalDeploymentRow, observed: ObservedDeployment) -> None:
    before, trigger = RunStatus(row.status), observed.trigger
    if trigger is RunTrigger.SLEEP and row.ready_at is None and not observed.has_been_ready:
        # Asleep before it was ready once: nothing has shown that it can serve.
        trigger = RunTrigger.START
    after = before if trigger is None else OBSERVED[trigger]
    messages = [observed.message] if observed.message else []
    if trigger is not None:
        row.status = RUN_TRANSITIONS.next(before, trigger)
    if after in READY:
        row.blocked_since = None
    elif row.blocked_since is None:
        row.blocked_since = uow.now
    is_said_anew = messages != list(row.messages)
    if (after, messages, observed.replicas_ready) == (before, list(row.messages), row.replicas_ready):
        return
    row.messages, row.replicas_ready, row.updated_at = messages, observed.replicas_ready, uow.now
    if after in READY:
        row.ready_at = row.ready_at or uow.now
    if after is not before or is_said_anew:
        uow.emit(ServiceChanged(row.tenant_id, row.service_id))


def _observe_instances(uow: UnitOfWork, row: RegionalDeploymentRow, observed: ObservedDeployment) -> None:
    known = {
        (instance.name, instance.uid): instance
        for instance in uow.session.scalars(
            select(InstanceRow).where(
                InstanceRow.tenant_id == row.tenant_id,
                InstanceRow.regional_deployment_id == row.id,
                InstanceRow.terminated_at.is_(None),
            )
        )
    }
    reported = {(instance.name, instance.uid): instance for instance in observed.instances}
    for key, report in reported.items():
        instance = known.get(key) or _find_ended(uow, row, report) or _add_instance(uow, row, report)
        _fill_instance(uow, instance, report)
    for key, instance in known.items():
        if key not in reported:
            instance.status = InstanceStatus.STOPPED
            instance.terminated_at = instance.updated_at = uow.now


def _find_ended(uow: UnitOfWork, row: RegionalDeploymentRow, report: ObservedInstance) -> InstanceRow | None:
    """A late report may name a replica that a newer one had already ended."""
    return uow.session.scalars(
        select(InstanceRow).where(
            InstanceRow.tenant_id == row.tenant_id,
            InstanceRow.regional_deployment_id == row.id,
            InstanceRow.name == report.name,
            InstanceRow.uid == report.uid,
        )
    ).one_or_none()


def _add_instance(uow: UnitOfWork, row: RegionalDeploymentRow, report: ObservedInstance) -> InstanceRow:
    instance = InstanceRow(
        tenant_id=row.tenant_id,
        id=InstanceId.new(),
        project_id=row.project_id,
        app_id=row.app_id,
        service_id=row.service_id,
        deployment_id=row.deployment_id,
        regional_deployment_id=row.id,
        name=report.name,
        uid=report.uid,
        status=report.status,
        messages=[],
        datacenter=row.datacenter,
        country=row.country,
        instance_type=row.instance_type,
        replica_index=report.replica_index,
        node="",
        gpus=[],
        is_simulated=row.is_simulated,
        created_at=report.created_at or uow.now,
        updated_at=uow.now,
    )
    uow.session.add(instance)
    return instance


def _fill_instance(uow: UnitOfWork, instance: InstanceRow, report: ObservedInstance) -> None:
    instance.status = report.status
    instance.messages = [report.message] if report.message else []
    instance.node = report.node
    instance.gpus = list(report.gpus)
    instance.scheduled_at = report.scheduled_at or instance.scheduled_at
    instance.started_at = report.started_at or instance.started_at
    instance.ready_at = report.ready_at or instance.ready_at
    instance.terminated_at = None
    instance.updated_at = uow.now


def _cold_start_key(uow: UnitOfWork, row: RegionalDeploymentRow, instance: str) -> dict[str, Any]:
    return {
        "tenant_id": row.tenant_id,
        "regional_deployment_id": row.id,
        "instance": instance,
        "service_id": row.service_id,
        "recorded_at": uow.now,
    }


def _record_cell_times(uow: UnitOfWork, row: RegionalDeploymentRow, start: ObservedColdStart) -> None:
    """Fill in what is known by now; a time that was known stays, unless it belongs to an earlier start.

    A replica that wakes again bears the same name: its row then tells of the newest start alone.
    """
    cell_times = {
        "wanted_at": start.wanted_at,
        "pod_created_at": start.pod_created_at,
        "scheduled_at": start.scheduled_at,
        "started_at": start.started_at,
        "ready_at": start.ready_at,
    }
    known = {name: at for name, at in cell_times.items() if at is not None}
    statement = insert(ColdStartRow).values(**_cold_start_key(uow, row, start.instance), **known)
    changes: dict[str, Any] = {name: statement.excluded[name] for name in known}
    if start.wanted_at is not None:
        is_earlier = ColdStartRow.wanted_at < start.wanted_at
        for name in cell_times.keys() - known.keys():
            changes[name] = case((is_earlier, None), else_=getattr(ColdStartRow, name))
        # What the gateway told may have come first: it belongs to this start if its caller came with it.
        came_before = ColdStartRow.first_byte_at < start.wanted_at - CALLER_LEAD
        for name in ("first_byte_at", "first_token_at", "request_id"):
            changes[name] = case((came_before, None), else_=getattr(ColdStartRow, name))
    uow.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "regional_deployment_id", "instance"], set_=changes
        )
        if changes
        else statement.on_conflict_do_nothing()
    )
