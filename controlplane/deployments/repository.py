"""Rows of the deployments room as values, and the queries that find them: tenant-scoped by row-level security.

Queries name the tenant too, so that a system transaction made for one tenant reads no other's rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from controlplane.deployments.convergence_rules import NOT_RUNNING
from controlplane.deployments.definition_rules import load_plan
from controlplane.deployments.domain import (
    ENDED,
    App,
    Deployment,
    Instance,
    InstanceStatus,
    Placement,
    RegionalDeployment,
    RouteState,
    RouteVerdict,
    RunStatus,
    Secret,
    Service,
    ServiceStatus,
)
from controlplane.deployments.models import (
    AppRow,
    DeploymentRow,
    InstanceRow,
    RegionalDeploymentRow,
    SecretRow,
    ServiceEventRow,
    ServiceRow,
)
from controlplane.kernel.ids import AppId, DeploymentId, ProjectId, RegionalDeploymentId, ServiceId, TenantId
from controlplane.plumbing.database import UnitOfWork

# A service has one live regional deployment, a second one while it moves, and rarely a third that ends.
OPEN_PARTS_MAX = 50

Named = TypeVar("Named", AppRow, SecretRow, ServiceRow)


def add_unless_taken(uow: UnitOfWork, kind: type[Named], **values: Any) -> Named | None:
    """Insert a row in one statement and return it; None when its name is taken.

    A transaction that takes the name at the same moment is waited for.
    """
    return uow.session.scalars(
        insert(kind).values(**values).on_conflict_do_nothing().returning(kind)
    ).one_or_none()


def count_rows(uow: UnitOfWork, kind: type[Named], tenant: TenantId) -> int:
    """Count what a tenant has of one kind, over all its projects."""
    query = select(func.count()).select_from(kind).where(kind.tenant_id == tenant)
    return uow.session.execute(query).scalar_one()


def find_app_row(
    uow: UnitOfWork, tenant: TenantId, app_id: AppId, *, is_locked: bool = False
) -> AppRow | None:
    query = select(AppRow).where(AppRow.tenant_id == tenant, AppRow.id == app_id)
    return uow.session.scalars(_lock(query, is_locked)).one_or_none()


def find_app_by_name(uow: UnitOfWork, tenant: TenantId, project: ProjectId, name: str) -> AppRow | None:
    return uow.session.scalars(
        select(AppRow).where(AppRow.tenant_id == tenant, AppRow.project_id == project, AppRow.name == name)
    ).one_or_none()


def find_service_row(
    uow: UnitOfWork, tenant: TenantId, service_id: ServiceId, *, is_locked: bool = False
) -> ServiceRow | None:
    query = select(ServiceRow).where(ServiceRow.tenant_id == tenant, ServiceRow.id == service_id)
    return uow.session.scalars(_lock(query, is_locked)).one_or_none()


def find_service_by_name(
    uow: UnitOfWork, tenant: TenantId, project: ProjectId, name: str
) -> ServiceRow | None:
    return uow.session.scalars(
        select(ServiceRow).where(
            ServiceRow.tenant_id == tenant,
            ServiceRow.project_id == project,
            ServiceRow.name == name,
            ServiceRow.status != ServiceStatus.DELETED,
        )
    ).one_or_none()


# Neither deleted nor on its way out.
_IS_LIVE = ServiceRow.status.not_in([ServiceStatus.DELETED, ServiceStatus.DELETING])


def count_live_services(uow: UnitOfWork, tenant: TenantId) -> int:
    return uow.session.execute(
        select(func.count()).select_from(ServiceRow).where(ServiceRow.tenant_id == tenant, _IS_LIVE)
    ).scalar_one()


def list_running_ids(uow: UnitOfWork, tenant: TenantId) -> Sequence[ServiceId]:
    """Services that are neither paused nor deleted, nor on their way there."""
    query = select(ServiceRow.id).where(ServiceRow.tenant_id == tenant, ServiceRow.status.not_in(NOT_RUNNING))
    return uow.session.scalars(query).all()


def list_live_names(uow: UnitOfWork, tenant: TenantId, app_id: AppId, limit: int) -> Sequence[str]:
    """Names of the first live services of an app."""
    return uow.session.scalars(
        select(ServiceRow.name)
        .where(ServiceRow.tenant_id == tenant, ServiceRow.app_id == app_id, _IS_LIVE)
        .order_by(ServiceRow.id)
        .limit(limit)
    ).all()


def find_deployment_row(
    uow: UnitOfWork, tenant: TenantId, deployment_id: DeploymentId
) -> DeploymentRow | None:
    return uow.session.scalars(
        select(DeploymentRow).where(DeploymentRow.tenant_id == tenant, DeploymentRow.id == deployment_id)
    ).one_or_none()


def list_open_deployment_rows(
    uow: UnitOfWork, tenant: TenantId, service_id: ServiceId, latest: DeploymentId
) -> Sequence[DeploymentRow]:
    """Deployments of a service that have not ended, oldest first, and its latest one whatever its state."""
    return uow.session.scalars(
        select(DeploymentRow)
        .where(
            DeploymentRow.tenant_id == tenant,
            DeploymentRow.service_id == service_id,
            or_(DeploymentRow.status.not_in(list(ENDED)), DeploymentRow.id == latest),
        )
        .order_by(DeploymentRow.number)
    ).all()


def find_newest_number(uow: UnitOfWork, tenant: TenantId, service_id: ServiceId) -> int:
    return uow.session.execute(
        select(func.coalesce(func.max(DeploymentRow.number), 0)).where(
            DeploymentRow.tenant_id == tenant, DeploymentRow.service_id == service_id
        )
    ).scalar_one()


def find_previous_ready(
    uow: UnitOfWork, tenant: TenantId, service_id: ServiceId, before: int
) -> DeploymentRow | None:
    """The newest deployment with a smaller number that was ready once."""
    row = DeploymentRow
    return uow.session.scalars(
        select(row)
        .where(row.tenant_id == tenant, row.service_id == service_id)
        .where(row.number < before, row.succeeded_at.is_not(None))
        .order_by(row.number.desc())
        .limit(1)
    ).one_or_none()


def count_asked(uow: UnitOfWork, tenant: TenantId, besides: ServiceId | None) -> tuple[int, int]:
    """GPUs and replicas of all services that should run, each at its largest size."""
    replicas = func.coalesce(ServiceRow.scale_max, DeploymentRow.plan["replicas_max"].as_integer())
    query = (
        select(
            func.coalesce(func.sum(DeploymentRow.plan["gpus_per_replica"].as_integer() * replicas), 0),
            func.coalesce(func.sum(replicas), 0),
        )
        .select_from(ServiceRow)
        .join(
            DeploymentRow,
            (DeploymentRow.tenant_id == ServiceRow.tenant_id)
            & (DeploymentRow.id == ServiceRow.latest_deployment_id),
        )
        .where(
            ServiceRow.tenant_id == tenant,
            ServiceRow.status.not_in([ServiceStatus.DELETED, ServiceStatus.DELETING, ServiceStatus.PAUSED]),
        )
    )
    if besides is not None:
        query = query.where(ServiceRow.id != besides)
    gpus, replicas_asked = uow.session.execute(query).one()
    return int(gpus), int(replicas_asked)


def find_part_row(
    uow: UnitOfWork, part_id: RegionalDeploymentId, *, is_locked: bool = False
) -> RegionalDeploymentRow | None:
    """A part by its id alone: what cells report names no tenant."""
    query = select(RegionalDeploymentRow).where(RegionalDeploymentRow.id == part_id)
    return uow.session.scalars(_lock(query, is_locked)).one_or_none()


def find_last_refusal(uow: UnitOfWork, tenant: TenantId, deployment_id: DeploymentId) -> datetime | None:
    """When a cell last refused a part of a deployment."""
    return uow.session.execute(
        select(func.max(RegionalDeploymentRow.updated_at)).where(
            RegionalDeploymentRow.tenant_id == tenant,
            RegionalDeploymentRow.deployment_id == deployment_id,
            RegionalDeploymentRow.status.in_([RunStatus.ERRORING, RunStatus.ERROR]),
        )
    ).scalar_one()


def end_instances(uow: UnitOfWork, part: RegionalDeploymentRow) -> None:
    """No replica of a part is left."""
    uow.session.execute(
        update(InstanceRow)
        .where(
            InstanceRow.tenant_id == part.tenant_id,
            InstanceRow.regional_deployment_id == part.id,
            InstanceRow.terminated_at.is_(None),
        )
        .values(status=InstanceStatus.STOPPED, terminated_at=uow.now, updated_at=uow.now)
    )


def list_part_rows(
    uow: UnitOfWork, tenant: TenantId, service_id: ServiceId
) -> Sequence[RegionalDeploymentRow]:
    """What of a service is in some cell or still has a route, oldest first, locked."""
    return uow.session.scalars(
        select(RegionalDeploymentRow)
        .where(
            RegionalDeploymentRow.tenant_id == tenant,
            RegionalDeploymentRow.service_id == service_id,
            or_(
                RegionalDeploymentRow.terminated_at.is_(None),
                RegionalDeploymentRow.route_state != RouteState.NONE,
            ),
        )
        .order_by(RegionalDeploymentRow.id)
        .limit(OPEN_PARTS_MAX)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def page(
    uow: UnitOfWork,
    row: type[Any],
    tenant: TenantId,
    *,
    after: UUID | None,
    limit: int,
    filters: Iterable[Any] = (),
) -> Sequence[Any]:
    """Up to `limit + 1` rows of one kind, newest first."""
    query = select(row).where(row.tenant_id == tenant, *filters)
    if after is not None:
        query = query.where(row.id < row.id.type.kind(after))
    return uow.session.scalars(query.order_by(row.id.desc()).limit(limit + 1)).all()


def to_app(row: AppRow) -> App:
    return App(row.id, row.tenant_id, row.project_id, row.name, row.version, row.created_at, row.updated_at)


def to_service(row: ServiceRow) -> Service:
    return Service(
        id=row.id,
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        app_id=row.app_id,
        name=row.name,
        type=row.type,
        status=ServiceStatus(row.status),
        messages=tuple(row.messages),
        version=row.version,
        latest_deployment_id=row.latest_deployment_id,
        active_deployment_id=row.active_deployment_id,
        last_provisioned_deployment_id=row.last_provisioned_deployment_id,
        scale_min=row.scale_min,
        scale_max=row.scale_max,
        host=row.host,
        created_at=row.created_at,
        updated_at=row.updated_at,
        started_at=row.started_at,
        paused_at=row.paused_at,
        terminated_at=row.terminated_at,
    )


def to_deployment(row: DeploymentRow) -> Deployment:
    return Deployment(
        id=row.id,
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        app_id=row.app_id,
        service_id=row.service_id,
        number=row.number,
        parent_id=row.parent_id,
        child_id=row.child_id,
        status=RunStatus(row.status),
        messages=tuple(row.messages),
        definition=row.definition,
        plan=load_plan(row.plan),
        secret_versions=row.secret_versions,
        created_at=row.created_at,
        updated_at=row.updated_at,
        allocated_at=row.allocated_at,
        started_at=row.started_at,
        succeeded_at=row.succeeded_at,
        terminated_at=row.terminated_at,
    )


def to_part(row: RegionalDeploymentRow) -> RegionalDeployment:
    return RegionalDeployment(
        id=row.id,
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        app_id=row.app_id,
        service_id=row.service_id,
        deployment_id=row.deployment_id,
        service_name=row.service_name,
        object_name=row.object_name,
        status=RunStatus(row.status),
        messages=tuple(row.messages),
        route_state=RouteState(row.route_state),
        placement=Placement(
            pool_id=row.pool_id,
            pool_name=row.pool_name,
            datacenter=row.datacenter,
            country=row.country,
            cell=row.cell,
            operator=row.operator,
            instance_type=row.instance_type,
            accelerator_sku=row.accelerator_sku,
            gpus_per_replica=row.gpus_per_replica,
            cpu_milli=row.cpu_milli,
            memory_mib=row.memory_mib,
            is_simulated=row.is_simulated,
        ),
        verdict=RouteVerdict(row.is_admissible, row.policy_hash, row.verdict_reason, row.verdict_decided_at),
        replicas_min=row.replicas_min,
        replicas_max=row.replicas_max,
        replicas_reserved=row.replicas_reserved,
        generation=row.generation,
        applied_generation=row.applied_generation,
        cluster_generation=row.cluster_generation,
        replicas_ready=row.replicas_ready,
        blocked_since=row.blocked_since,
        violated_at=row.violated_at,
        refused_at=row.refused_at,
        draining_since=row.draining_since,
        replaces_id=row.replaces_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        ready_at=row.ready_at,
        terminated_at=row.terminated_at,
    )


def to_instance(row: InstanceRow) -> Instance:
    return Instance(
        id=row.id,
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        app_id=row.app_id,
        service_id=row.service_id,
        deployment_id=row.deployment_id,
        regional_deployment_id=row.regional_deployment_id,
        name=row.name,
        uid=row.uid,
        status=InstanceStatus(row.status),
        messages=tuple(row.messages),
        datacenter=row.datacenter,
        country=row.country,
        instance_type=row.instance_type,
        replica_index=row.replica_index,
        node=row.node,
        gpus=tuple(row.gpus),
        is_simulated=row.is_simulated,
        created_at=row.created_at,
        updated_at=row.updated_at,
        scheduled_at=row.scheduled_at,
        started_at=row.started_at,
        ready_at=row.ready_at,
        terminated_at=row.terminated_at,
    )


def to_secret(row: SecretRow) -> Secret:
    return Secret(
        row.id, row.tenant_id, row.project_id, row.name, row.version, row.created_at, row.updated_at
    )


def _lock(query: Select[Any], is_locked: bool) -> Select[Any]:
    # A row that this session has read before must be read again once the lock is ours.
    return query.with_for_update().execution_options(populate_existing=True) if is_locked else query


def has_event(uow: UnitOfWork, service_id: ServiceId, kind: str, message: str) -> bool:
    """Whether a service's story has an event of this kind with this message."""
    found = uow.session.scalars(
        select(ServiceEventRow.id)
        .where(
            ServiceEventRow.tenant_id == uow.tenant,
            ServiceEventRow.service_id == service_id,
            ServiceEventRow.type == kind,
            ServiceEventRow.message == message,
        )
        .limit(1)
    )
    return found.first() is not None


def list_places(uow: UnitOfWork, service_id: ServiceId, statuses: Iterable[RunStatus]) -> set[str]:
    """The datacenters where parts of a service have one of these statuses."""
    return set(
        uow.session.scalars(
            select(RegionalDeploymentRow.datacenter).where(
                RegionalDeploymentRow.tenant_id == uow.tenant,
                RegionalDeploymentRow.service_id == service_id,
                RegionalDeploymentRow.status.in_(list(statuses)),
            )
        )
    )
