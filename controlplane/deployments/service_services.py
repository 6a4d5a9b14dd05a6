"""Use cases of services: what a tenant can ask for. Each writes the wish and an event; converging carries it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from controlplane.audit import service as audit
from controlplane.deployments import repository
from controlplane.deployments.catalogue_check import check_definition
from controlplane.deployments.convergence_rules import NOT_RUNNING
from controlplane.deployments.definition_rules import dump_plan, load_plan
from controlplane.deployments.domain import (
    ENDED,
    RUN_TRANSITIONS,
    SERVICE_TRANSITIONS,
    Definition,
    Deployment,
    RunStatus,
    RunTrigger,
    Service,
    ServiceStatus,
    ServiceTrigger,
)
from controlplane.deployments.events import DeploymentCreated, RoutingChanged, ServiceChanged
from controlplane.deployments.models import DeploymentRow, ServiceRow
from controlplane.deployments.service_budget import spend
from controlplane.deployments.service_narrate import narrate
from controlplane.deployments.service_secrets import pin_versions
from controlplane.deployments.write_budget_rules import Write
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput, NotFound
from controlplane.kernel.events import JsonValue
from controlplane.kernel.ids import AppId, DeploymentId, ProjectId, ServiceId
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import check_version
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import QuotaName

Document = Mapping[str, Any]
Change = Callable[[Document], tuple[Definition, Document]]


def create_service(
    uow: UnitOfWork,
    *,
    actor: str,
    app_id: AppId,
    bound: ProjectId | None,
    definition: Definition,
    document: Document,
    domain: str,
) -> Service:
    """Store a service and its first deployment, both waiting for a place, in the caller's transaction.

    Errors: NotFound (app), InvalidInput (definition), Conflict (name), QuotaExceeded.
    """
    app = repository.find_app_row(uow, uow.tenant, app_id, is_locked=True)
    if app is None or (bound is not None and app.project_id != bound):
        raise NotFound(f"There is no app {app_id}.")
    checked = check_definition(uow, definition)
    spend(uow, Write.DEPLOY, None)
    tenancy.check_quota(uow, QuotaName.SERVICES, lambda: repository.count_live_services(uow, uow.tenant))
    check_room(uow, checked, checked.replicas_max)
    service_id, deployment_id = ServiceId.new(), DeploymentId.new()
    row = repository.add_unless_taken(
        uow,
        ServiceRow,
        tenant_id=uow.tenant,
        id=service_id,
        project_id=app.project_id,
        app_id=app_id,
        name=checked.name,
        type="INFERENCE",
        status=ServiceStatus.STARTING,
        messages=[],
        version=1,
        latest_deployment_id=deployment_id,
        # The last characters of the id make the host unique; the name makes it readable.
        host=f"{checked.name}-{service_id.suffix[-8:]}.{domain}",
        created_at=uow.now,
        updated_at=uow.now,
    )
    if row is None:
        raise Conflict(
            f"The project already has a service called '{checked.name}'.",
            fields=(FieldProblem("definition.name", "is taken", "taken"),),
        )
    story = f"The service '{row.name}' was created for the model {checked.model}."
    _add_deployment(uow, row, deployment_id, 1, None, checked, document, before=("SERVICE_CREATED", story))
    record(uow, row, actor, "service.created", {"name": row.name, "model": checked.model})
    return repository.to_service(row)


def change_definition(
    uow: UnitOfWork,
    service_id: ServiceId,
    *,
    actor: str,
    bound: ProjectId | None,
    expected_version: int,
    change: Change,
) -> Service:
    """Make a new deployment from a changed definition; the running one serves until the new one can.

    `change` turns the latest document into the new definition; it raises InvalidInput.
    """
    row = lock_running(uow, service_id, bound)
    check_version(row.version, expected_version)
    latest = repository.find_deployment_row(uow, uow.tenant, row.latest_deployment_id)
    assert latest is not None
    definition, document = change(latest.definition)
    if definition.name != row.name:
        raise InvalidInput(
            "A service keeps its name: create another one.",
            fields=(FieldProblem("definition.name", f"must stay '{row.name}'", "immutable"),),
        )
    checked = check_definition(uow, definition)
    spend(uow, Write.DEPLOY, row.id)
    check_room(uow, checked, checked.replicas_max, besides=row.id)
    row.scale_min = row.scale_max = None
    succeed(uow, row, latest, checked, document)
    record(uow, row, actor, "service.changed", {"deployment": str(row.latest_deployment_id)})
    return repository.to_service(row)


def redeploy(uow: UnitOfWork, service_id: ServiceId, *, actor: str, bound: ProjectId | None) -> Service:
    """Make a new deployment of the same definition, with the present versions of its secrets."""
    row = lock_running(uow, service_id, bound)
    latest = repository.find_deployment_row(uow, uow.tenant, row.latest_deployment_id)
    assert latest is not None
    spend(uow, Write.DEPLOY, row.id)
    succeed(uow, row, latest, check_definition(uow, load_plan(latest.plan)), latest.definition)
    record(uow, row, actor, "service.redeployed", {"deployment": str(row.latest_deployment_id)})
    return repository.to_service(row)


def pause(uow: UnitOfWork, service_id: ServiceId, *, actor: str, bound: ProjectId | None) -> Service:
    """Stop everything and give the capacity back; calls are refused until the service is resumed."""
    row = lock_service(uow, service_id, bound)
    if row.status in (ServiceStatus.PAUSING, ServiceStatus.PAUSED):
        return repository.to_service(row)
    _advance(row, ServiceTrigger.PAUSE)
    row.paused_at = uow.now
    _touch(uow, row, actor, "service.paused")
    narrate(uow, row, "SERVICE_PAUSED", "The service was paused: its replicas stop and calls are refused.")
    return repository.to_service(row)


def resume(uow: UnitOfWork, service_id: ServiceId, *, actor: str, bound: ProjectId | None) -> Service:
    """Ask for a place again, under the law and the capacity of today."""
    row = lock_service(uow, service_id, bound)
    if row.status not in NOT_RUNNING:
        return repository.to_service(row)
    if row.status == ServiceStatus.PAUSING:
        raise Conflict("The service is still pausing; resume it once it is paused.")
    spend(uow, Write.OPERATE, row.id)
    _advance(row, ServiceTrigger.RESUME)
    latest = repository.find_deployment_row(uow, uow.tenant, row.latest_deployment_id)
    assert latest is not None
    plan = load_plan(latest.plan)
    check_room(uow, plan, row.scale_max or plan.replicas_max, besides=row.id)
    if latest.status == RunStatus.CANCELED:
        succeed(uow, row, latest, plan, latest.definition)
    elif RunStatus(latest.status) in ENDED:
        latest.status = RUN_TRANSITIONS.next(RunStatus(latest.status), RunTrigger.RETRY)
        latest.terminated_at, latest.updated_at, latest.messages = None, uow.now, []
    row.paused_at = None
    _touch(uow, row, actor, "service.resumed")
    narrate(uow, row, "SERVICE_RESUMED", "The service was resumed and looks for a place.")
    return repository.to_service(row)


def scale(
    uow: UnitOfWork,
    service_id: ServiceId,
    *,
    actor: str,
    bound: ProjectId | None,
    replicas_min: int,
    replicas_max: int,
) -> Service:
    """Move between other bounds than the definition's, without a new deployment, until the next definition."""
    row = lock_running(uow, service_id, bound)
    latest = repository.find_deployment_row(uow, uow.tenant, row.latest_deployment_id)
    assert latest is not None
    spend(uow, Write.OPERATE, row.id)
    check_room(uow, load_plan(latest.plan), replicas_max, besides=row.id)
    row.scale_min, row.scale_max = replicas_min, replicas_max
    _touch(uow, row, actor, "service.scaled", {"min": replicas_min, "max": replicas_max})
    narrate(uow, row, "SERVICE_SCALED", f"The service now runs {replicas_min} to {replicas_max} replicas.")
    return repository.to_service(row)


def delete_service(
    uow: UnitOfWork, service_id: ServiceId, *, actor: str, bound: ProjectId | None, expected_version: int
) -> Service:
    """Stop everything for good. Deleting twice is a success."""
    row = lock_service(uow, service_id, bound)
    if row.status in (ServiceStatus.DELETING, ServiceStatus.DELETED):
        return repository.to_service(row)
    check_version(row.version, expected_version)
    _advance(row, ServiceTrigger.DELETE)
    _touch(uow, row, actor, "service.deleted")
    narrate(uow, row, "SERVICE_DELETED", "The service was deleted: its replicas stop.")
    return repository.to_service(row)


def cancel_deployment(
    uow: UnitOfWork, deployment_id: DeploymentId, *, actor: str, bound: ProjectId | None
) -> Deployment:
    """Give up a deployment that does not serve yet; what served before goes on.

    Errors: Conflict when it has the traffic or has ended.
    """
    found = repository.find_deployment_row(uow, uow.tenant, deployment_id)
    if found is None or (bound is not None and found.project_id != bound):
        raise NotFound(f"There is no deployment {deployment_id}.")
    row = lock_service(uow, found.service_id, bound)
    uow.session.refresh(found)
    if found.id == row.active_deployment_id:
        raise Conflict(
            "The deployment has the service's traffic; pause the service or deploy another definition."
        )
    if found.status in (RunStatus.CANCELED, RunStatus.CANCELING):
        return repository.to_deployment(found)
    found.status = RUN_TRANSITIONS.next(RunStatus(found.status), RunTrigger.CANCEL)
    found.updated_at = uow.now
    if found.status == RunStatus.CANCELED:
        found.terminated_at = uow.now
    if row.latest_deployment_id == found.id and row.active_deployment_id is not None:
        # The wish falls back to what still serves; otherwise the service keeps its canceled latest one.
        row.latest_deployment_id = row.active_deployment_id
    _touch(uow, row, actor, "deployment.canceled", {"deployment": str(deployment_id)})
    narrate(
        uow, row, "DEPLOYMENT_CANCELED", f"Deployment {found.number} was canceled.", deployment_id=found.id
    )
    return repository.to_deployment(found)


def lock_service(uow: UnitOfWork, service_id: ServiceId, bound: ProjectId | None) -> ServiceRow:
    row = repository.find_service_row(uow, uow.tenant, service_id, is_locked=True)
    if row is None or (bound is not None and row.project_id != bound):
        raise NotFound(f"There is no service {service_id}.")
    return row


def lock_running(uow: UnitOfWork, service_id: ServiceId, bound: ProjectId | None) -> ServiceRow:
    """Lock a service that should run; Conflict while it is paused or being deleted."""
    row = lock_service(uow, service_id, bound)
    if row.status in NOT_RUNNING:
        raise Conflict(f"The service is {row.status}: this is possible only while it should run.")
    return row


def succeed(
    uow: UnitOfWork,
    row: ServiceRow,
    latest: DeploymentRow,
    definition: Definition,
    document: Document,
    secret_versions: Mapping[str, int] | None = None,
) -> None:
    """Add the deployment that follows the latest one; `secret_versions` None pins the present ones."""
    deployment_id = DeploymentId.new()
    newest = repository.find_newest_number(uow, uow.tenant, row.id)
    latest.child_id, latest.updated_at = deployment_id, uow.now
    row.latest_deployment_id = deployment_id
    row.version, row.updated_at = row.version + 1, uow.now
    _add_deployment(
        uow, row, deployment_id, newest + 1, latest.id, definition, document, secret_versions=secret_versions
    )


def _add_deployment(
    uow: UnitOfWork,
    row: ServiceRow,
    deployment_id: DeploymentId,
    number: int,
    parent_id: DeploymentId | None,
    definition: Definition,
    document: Document,
    before: tuple[str, str] | None = None,
    secret_versions: Mapping[str, int] | None = None,
) -> None:
    """Store a deployment. `before` is told of the service first: what is told together is one statement."""
    uow.session.add(
        DeploymentRow(
            tenant_id=row.tenant_id,
            id=deployment_id,
            project_id=row.project_id,
            app_id=row.app_id,
            service_id=row.id,
            number=number,
            parent_id=parent_id,
            status=RunStatus.PENDING,
            messages=[],
            definition=dict(document),
            plan=dump_plan(definition),
            secret_versions={
                **pin_versions(uow, row.project_id, definition.env),
                **(secret_versions or {}),
            },
            created_at=uow.now,
            updated_at=uow.now,
        )
    )
    uow.session.flush()
    if before is not None:
        narrate(uow, row, *before)
    narrate(
        uow, row, "DEPLOYMENT_CREATED", f"Deployment {number} waits for a place.", deployment_id=deployment_id
    )
    uow.emit(DeploymentCreated(row.tenant_id, row.id, deployment_id))


def _advance(row: ServiceRow, trigger: ServiceTrigger) -> None:
    row.status = SERVICE_TRANSITIONS.next(ServiceStatus(row.status), trigger)


def _touch(
    uow: UnitOfWork, row: ServiceRow, actor: str, action: str, detail: Mapping[str, JsonValue] | None = None
) -> None:
    """Count the change, record it, and wake whoever converges and routes."""
    row.version, row.updated_at = row.version + 1, uow.now
    record(uow, row, actor, action, detail or {})
    uow.emit(ServiceChanged(row.tenant_id, row.id))
    uow.emit(RoutingChanged(row.tenant_id, row.id))


def record(
    uow: UnitOfWork, row: ServiceRow, actor: str, action: str, detail: Mapping[str, JsonValue]
) -> None:
    uow.session.flush()
    audit.record(uow, tenant_id=uow.tenant, actor=actor, action=action, target=str(row.id), detail=detail)


def check_room(
    uow: UnitOfWork, definition: Definition, replicas_max: int, *, besides: ServiceId | None = None
) -> None:
    """Hold the tenant to its limits of GPUs and replicas, counted at every service's largest size."""
    wanted = definition.gpus_per_replica * replicas_max
    if wanted:
        tenancy.check_quota(
            uow, QuotaName.GPUS, lambda: repository.count_asked(uow, uow.tenant, besides)[0], wanted
        )
    if replicas_max:
        tenancy.check_quota(
            uow, QuotaName.REPLICAS, lambda: repository.count_asked(uow, uow.tenant, besides)[1], replicas_max
        )
