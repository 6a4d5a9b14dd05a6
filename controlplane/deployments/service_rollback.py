"""Going back to an earlier version of a service."""

from __future__ import annotations

from controlplane.deployments import repository
from controlplane.deployments.catalogue_check import check_definition
from controlplane.deployments.definition_rules import load_plan
from controlplane.deployments.domain import (
    ENDED,
    LEAVING,
    RUN_TRANSITIONS,
    RunStatus,
    RunTrigger,
    Service,
)
from controlplane.deployments.events import ServiceChanged
from controlplane.deployments.models import DeploymentRow, ServiceRow
from controlplane.deployments.service_budget import spend
from controlplane.deployments.service_narrate import narrate
from controlplane.deployments.service_services import check_room, lock_running, record, succeed
from controlplane.deployments.write_budget_rules import Write
from controlplane.kernel.errors import Conflict, NotFound
from controlplane.kernel.ids import DeploymentId, ProjectId, ServiceId
from controlplane.plumbing.database import UnitOfWork


def roll_back(
    uow: UnitOfWork,
    service_id: ServiceId,
    *,
    actor: str,
    bound: ProjectId | None,
    deployment_id: DeploymentId | None,
) -> Service:
    """Go back to an earlier version: a new deployment of its definition, with the values of secrets it had.

    `deployment_id` None: while the latest version does not serve, it is given up for the one that does; otherwise the
    newest earlier one that was ready. Errors: NotFound, Conflict when there is none to go back to, TooManyRequests.
    """
    row = lock_running(uow, service_id, bound)
    latest = repository.find_deployment_row(uow, uow.tenant, row.latest_deployment_id)
    assert latest is not None
    spend(uow, Write.DEPLOY, row.id)
    target = _find_target(uow, row, latest, deployment_id)
    if target.succeeded_at is None:
        raise Conflict(f"Deployment {target.number} was never ready: choose one that was.")
    if target.id == latest.id and target.id == row.active_deployment_id:
        raise Conflict(f"Deployment {target.number} serves already.")
    if target.id == row.active_deployment_id:
        _fall_back(uow, row, latest, target)
    else:
        _go_back(uow, row, latest, target)
    record(uow, row, actor, "service.rolled_back", {"deployment": str(target.id), "number": target.number})
    uow.emit(ServiceChanged(row.tenant_id, row.id))
    return repository.to_service(row)


def _find_target(
    uow: UnitOfWork, row: ServiceRow, latest: DeploymentRow, wanted: DeploymentId | None
) -> DeploymentRow:
    if wanted is not None:
        named = repository.find_deployment_row(uow, uow.tenant, wanted)
        if named is None or named.service_id != row.id:
            raise NotFound(f"The service has no deployment {wanted}.")
        return named
    active = row.active_deployment_id
    if active is not None and active != latest.id:
        serving = repository.find_deployment_row(uow, uow.tenant, active)
        assert serving is not None
        return serving
    previous = repository.find_previous_ready(uow, uow.tenant, row.id, latest.number)
    if previous is None:
        raise Conflict("No earlier version of the service was ready once: there is nothing to go back to.")
    return previous


def _fall_back(uow: UnitOfWork, row: ServiceRow, latest: DeploymentRow, target: DeploymentRow) -> None:
    """Give up what does not serve yet; the version that serves is wanted again, without a new start."""
    if RunStatus(latest.status) not in ENDED | LEAVING:
        latest.status = RUN_TRANSITIONS.next(RunStatus(latest.status), RunTrigger.CANCEL)
        latest.updated_at = uow.now
        latest.terminated_at = uow.now if latest.status == RunStatus.CANCELED else None
    row.latest_deployment_id = target.id
    row.version, row.updated_at = row.version + 1, uow.now
    narrate(
        uow,
        row,
        "SERVICE_ROLLED_BACK",
        f"Deployment {latest.number} was given up: deployment {target.number} goes on.",
        deployment_id=target.id,
    )


def _go_back(uow: UnitOfWork, row: ServiceRow, latest: DeploymentRow, target: DeploymentRow) -> None:
    plan = check_definition(uow, load_plan(target.plan))
    check_room(uow, plan, plan.replicas_max, besides=row.id)
    row.scale_min = row.scale_max = None
    succeed(uow, row, latest, plan, target.definition, secret_versions=target.secret_versions)
    narrate(
        uow,
        row,
        "SERVICE_ROLLED_BACK",
        f"A new deployment takes up the definition of deployment {target.number}.",
        deployment_id=row.latest_deployment_id,
    )
