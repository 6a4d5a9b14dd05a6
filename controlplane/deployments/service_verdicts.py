"""What a service's places stand on: verdicts with their proof, and what is announced to end them."""

from __future__ import annotations

from controlplane.capacity import service as capacity
from controlplane.deployments import repository
from controlplane.deployments.definition_rules import load_plan
from controlplane.deployments.lifecycle import LIVE
from controlplane.deployments.models import RegionalDeploymentRow, ServiceRow
from controlplane.deployments.service_narrate import MESSAGE_LENGTH_MAX, narrate
from controlplane.kernel.ids import DeploymentId, ServiceId
from controlplane.plumbing.database import UnitOfWork
from controlplane.sovereignty import service as sovereignty
from controlplane.sovereignty.domain import Verdict
from controlplane.sovereignty.requirement_rules import load_requirement

# More sites than this are not judged for one answer.
SITES_SHOWN_MAX = 50

KIND = "VERDICT_ENDING"


def list_verdicts(
    uow: UnitOfWork, service_id: ServiceId, deployment_id: DeploymentId
) -> list[tuple[Verdict, Verdict | None]]:
    """Judge now the places where a service runs, all sites where it runs nowhere, by a deployment's requirement.

    Each with the first verdict against it that stated facts announce, None where they announce none.
    """
    deployment = repository.find_deployment_row(uow, uow.tenant, deployment_id)
    if deployment is None:
        return []
    requirement = load_requirement(load_plan(deployment.plan).sovereignty)
    places = repository.list_places(uow, service_id, LIVE)
    sites = [site for site in capacity.list_sites(uow) if not places or site.code in places][:SITES_SHOWN_MAX]
    verdicts = sovereignty.evaluate(uow, sites, requirement, uow.now)
    return [
        (
            verdicts[site.code],
            sovereignty.foresee(uow, site, requirement, uow.now)
            if verdicts[site.code].is_admissible
            else None,
        )
        for site in sites
    ]


def warn_of_end(uow: UnitOfWork, service: ServiceRow, row: RegionalDeploymentRow, policy_hash: str) -> None:
    """Tell a service's story of an announced end, once for each date and reason.

    Source: BSI C3A v1.0, SOV-1-04: notice before a change of control.
    """
    foreseen = sovereignty.read_foreseen(uow, policy_hash, row.datacenter)
    if foreseen is None:
        return
    message = (
        f"From {foreseen.at.isoformat(timespec='minutes')} on, {row.datacenter} will no longer meet the requirement:"
        f" {foreseen.text} The service moves then if another place fits."
    )
    message = message[:MESSAGE_LENGTH_MAX]
    if not repository.has_event(uow, row.service_id, KIND, message):
        narrate(
            uow, service, KIND, message, reason="Announced", deployment_id=row.deployment_id, part_id=row.id
        )
