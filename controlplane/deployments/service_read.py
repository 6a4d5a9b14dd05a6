"""Questions about services and what they became: reads only, each within one tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from controlplane.deployments import repository
from controlplane.deployments.domain import (
    ColdStart,
    Deployment,
    Instance,
    RegionalDeployment,
    Service,
    ServiceEvent,
    ServiceStatus,
)
from controlplane.deployments.models import (
    ColdStartRow,
    DeploymentRow,
    ExplanationRow,
    InstanceRow,
    RegionalDeploymentRow,
    ServiceEventRow,
    ServiceRow,
)
from controlplane.kernel.errors import InvalidInput, NotFound
from controlplane.kernel.ids import (
    AppId,
    DeploymentId,
    InstanceId,
    ProjectId,
    RegionalDeploymentId,
    ServiceId,
)
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork

COLD_STARTS_MAX = 50
# Replicas whose logs one query gathers: each is a request to a cell's API server.
LOG_PODS_MAX = 8


def get_service(uow: UnitOfWork, service_id: ServiceId, bound: ProjectId | None) -> Service:
    row = repository.find_service_row(uow, uow.tenant, service_id)
    if row is None or (bound is not None and row.project_id != bound):
        raise NotFound(f"There is no service {service_id}.")
    return repository.to_service(row)


def list_services(
    uow: UnitOfWork,
    *,
    project_id: ProjectId | None,
    app_id: AppId | None,
    name: str | None,
    statuses: Sequence[ServiceStatus],
    after: UUID | None,
    limit: int,
) -> Page[Service]:
    """A page of services, newest first; deleted ones only when their status is asked for."""
    filters = _filters(ServiceRow, project_id=project_id, app_id=app_id, name=name)
    if statuses:
        filters.append(ServiceRow.status.in_([str(status) for status in statuses]))
    else:
        filters.append(ServiceRow.status != ServiceStatus.DELETED)
    rows = repository.page(uow, ServiceRow, uow.tenant, after=after, limit=limit, filters=filters)
    return Page.of([repository.to_service(row) for row in rows], limit, lambda item: item.id.value)


def get_deployment(uow: UnitOfWork, deployment_id: DeploymentId, bound: ProjectId | None) -> Deployment:
    row = repository.find_deployment_row(uow, uow.tenant, deployment_id)
    if row is None or (bound is not None and row.project_id != bound):
        raise NotFound(f"There is no deployment {deployment_id}.")
    return repository.to_deployment(row)


def list_deployments(
    uow: UnitOfWork,
    *,
    project_id: ProjectId | None,
    app_id: AppId | None,
    service_id: ServiceId | None,
    statuses: Sequence[str],
    after: UUID | None,
    limit: int,
) -> Page[Deployment]:
    filters = _filters(DeploymentRow, project_id=project_id, app_id=app_id, service_id=service_id)
    if statuses:
        filters.append(DeploymentRow.status.in_(list(statuses)))
    rows = repository.page(uow, DeploymentRow, uow.tenant, after=after, limit=limit, filters=filters)
    return Page.of([repository.to_deployment(row) for row in rows], limit, lambda item: item.id.value)


def get_regional_deployment(
    uow: UnitOfWork, part_id: RegionalDeploymentId, bound: ProjectId | None
) -> RegionalDeployment:
    row = repository.find_part_row(uow, part_id)
    if row is None or row.tenant_id != uow.tenant or (bound is not None and row.project_id != bound):
        raise NotFound(f"There is no regional deployment {part_id}.")
    return repository.to_part(row)


def list_regional_deployments(
    uow: UnitOfWork,
    *,
    project_id: ProjectId | None,
    service_id: ServiceId | None,
    deployment_id: DeploymentId | None,
    after: UUID | None,
    limit: int,
) -> Page[RegionalDeployment]:
    row = RegionalDeploymentRow
    filters = _filters(row, project_id=project_id, service_id=service_id, deployment_id=deployment_id)
    rows = repository.page(uow, row, uow.tenant, after=after, limit=limit, filters=filters)
    return Page.of([repository.to_part(each) for each in rows], limit, lambda item: item.id.value)


def get_instance(uow: UnitOfWork, instance_id: InstanceId, bound: ProjectId | None) -> Instance:
    row = uow.session.scalars(
        select(InstanceRow).where(InstanceRow.tenant_id == uow.tenant, InstanceRow.id == instance_id)
    ).one_or_none()
    if row is None or (bound is not None and row.project_id != bound):
        raise NotFound(f"There is no instance {instance_id}.")
    return repository.to_instance(row)


def list_instances(
    uow: UnitOfWork,
    *,
    project_id: ProjectId | None,
    service_id: ServiceId | None,
    deployment_id: DeploymentId | None,
    regional_deployment_id: RegionalDeploymentId | None,
    statuses: Sequence[str],
    after: UUID | None,
    limit: int,
) -> Page[Instance]:
    filters = _filters(
        InstanceRow,
        project_id=project_id,
        service_id=service_id,
        deployment_id=deployment_id,
        regional_deployment_id=regional_deployment_id,
    )
    if statuses:
        filters.append(InstanceRow.status.in_(list(statuses)))
    rows = repository.page(uow, InstanceRow, uow.tenant, after=after, limit=limit, filters=filters)
    return Page.of([repository.to_instance(row) for row in rows], limit, lambda item: item.id.value)


def list_service_events(
    uow: UnitOfWork,
    *,
    service_id: ServiceId,
    bound: ProjectId | None,
    kinds: Sequence[str],
    after: UUID | None,
    limit: int,
) -> Page[ServiceEvent]:
    """A page of a service's story, newest first."""
    get_service(uow, service_id, bound)
    filters: list[Any] = [ServiceEventRow.service_id == service_id]
    if kinds:
        filters.append(ServiceEventRow.type.in_(list(kinds)))
    rows = repository.page(uow, ServiceEventRow, uow.tenant, after=after, limit=limit, filters=filters)
    found: Page[ServiceEventRow] = Page.of(rows, limit, lambda row: row.id.value)
    return Page([_to_event(row) for row in found.items], found.next_after)


def get_explanation(uow: UnitOfWork, service_id: ServiceId, bound: ProjectId | None) -> ExplanationRow:
    """The newest findings of placement for what serves, or for what is to serve first; NotFound until there are any."""
    service = get_service(uow, service_id, bound)
    return _find_explanation(uow, service.active_deployment_id or service.latest_deployment_id)


def get_deployment_explanation(
    uow: UnitOfWork, deployment_id: DeploymentId, bound: ProjectId | None
) -> ExplanationRow:
    """The newest findings of placement for one deployment; NotFound until there are any."""
    return _find_explanation(uow, get_deployment(uow, deployment_id, bound).id)


def _find_explanation(uow: UnitOfWork, deployment_id: DeploymentId) -> ExplanationRow:
    row = uow.session.scalars(
        select(ExplanationRow)
        .where(ExplanationRow.tenant_id == uow.tenant, ExplanationRow.deployment_id == deployment_id)
        .order_by(ExplanationRow.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        raise NotFound("No place has been looked for yet; ask again in a moment.")
    return row


def list_cold_starts(uow: UnitOfWork, service_id: ServiceId, bound: ProjectId | None) -> list[ColdStart]:
    """The latest starts from zero, newest first."""
    get_service(uow, service_id, bound)
    rows = uow.session.scalars(
        select(ColdStartRow)
        .where(ColdStartRow.tenant_id == uow.tenant, ColdStartRow.service_id == service_id)
        .order_by(ColdStartRow.recorded_at.desc(), ColdStartRow.instance)
        .limit(COLD_STARTS_MAX)
    )
    return [_to_cold_start(row) for row in rows]


def list_log_pods(
    uow: UnitOfWork, *, service_id: ServiceId | None, instance_id: InstanceId | None, bound: ProjectId | None
) -> list[tuple[str, Instance]]:
    """Which pods to read: (namespace, instance). Errors: NotFound, InvalidInput unless exactly one is named."""
    if (service_id is None) == (instance_id is None):
        raise InvalidInput("Name either a service_id or an instance_id.")
    if instance_id is not None:
        found = [get_instance(uow, instance_id, bound)]
    else:
        assert service_id is not None
        get_service(uow, service_id, bound)
        rows = uow.session.scalars(
            select(InstanceRow)
            .where(
                InstanceRow.tenant_id == uow.tenant,
                InstanceRow.service_id == service_id,
                InstanceRow.terminated_at.is_(None),
            )
            .order_by(InstanceRow.id.desc())
            .limit(LOG_PODS_MAX)
        )
        found = [repository.to_instance(row) for row in rows]
    return [(f"rmp-{instance.project_id.suffix}", instance) for instance in found]


def _filters(row: type[Any], **wanted: Any) -> list[Any]:
    return [getattr(row, name) == value for name, value in wanted.items() if value is not None]


def _to_event(row: ServiceEventRow) -> ServiceEvent:
    return ServiceEvent(
        id=str(row.id),
        service_id=row.service_id,
        deployment_id=row.deployment_id,
        regional_deployment_id=row.regional_deployment_id,
        type=row.type,
        reason=row.reason,
        message=row.message,
        occurred_at=row.occurred_at,
        count=row.count,
        last_at=row.last_at,
    )


def _to_cold_start(row: ColdStartRow) -> ColdStart:
    return ColdStart(
        instance=row.instance,
        regional_deployment_id=row.regional_deployment_id,
        request_id=row.request_id,
        first_byte_at=row.first_byte_at,
        wanted_at=row.wanted_at,
        pod_created_at=row.pod_created_at,
        scheduled_at=row.scheduled_at,
        started_at=row.started_at,
        ready_at=row.ready_at,
        first_token_at=row.first_token_at,
    )
