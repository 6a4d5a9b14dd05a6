"""The two short transactions around telling a cell: what should it hold, and what was it told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from controlplane.deployments import repository
from controlplane.deployments.catalogue_check import find_engine
from controlplane.deployments.domain import (
    ENDED,
    LEAVING,
    LIVE,
    RUN_TRANSITIONS,
    RegionalDeployment,
    RunStatus,
    RunTrigger,
)
from controlplane.deployments.events import ServiceChanged
from controlplane.deployments.manifest import build_manifests
from controlplane.deployments.sealing import SecretDamaged
from controlplane.deployments.service_converge import finish_part
from controlplane.deployments.service_narrate import narrate
from controlplane.deployments.service_secrets import reveal
from controlplane.kernel.errors import NotFound
from controlplane.kernel.ids import RegionalDeploymentId
from controlplane.kernel.keyring import Keyring
from controlplane.plumbing.database import UnitOfWork


@dataclass(frozen=True, slots=True)
class Wish:
    """What a cell should hold of a part: `manifests` in order, or nothing when the part is leaving or has ended."""

    part: RegionalDeployment
    manifests: tuple[dict[str, Any], ...]

    def __repr__(self) -> str:
        # The manifests hold secrets' values: they never reach a log by accident.
        return f"Wish({self.part.id}, {len(self.manifests)} manifests)"


class CannotBuild(Exception):
    """A part whose objects cannot be made: no retry mends it, only another definition or catalogue entry."""

    def __init__(self, part: RegionalDeployment, message: str) -> None:
        super().__init__(message)
        self.part = part
        self.message = message


def read_wish(uow: UnitOfWork, ring: Keyring, part_id: RegionalDeploymentId) -> Wish | None:
    """What to tell the cell now; None for a part that is not known here. Errors: CannotBuild."""
    row = repository.find_part_row(uow, part_id)
    if row is None:
        return None
    part = repository.to_part(row)
    if not part.is_live:
        return Wish(part, ())
    deployment_row = repository.find_deployment_row(uow, part.tenant_id, part.deployment_id)
    assert deployment_row is not None
    deployment = repository.to_deployment(deployment_row)
    try:
        secrets = reveal(uow, ring, part.tenant_id, part.project_id, deployment.secret_versions)
        engine = find_engine(uow, deployment.plan, part)
        return Wish(part, tuple(build_manifests(part, deployment.plan, engine, secrets)))
    except (NotFound, SecretDamaged) as err:
        raise CannotBuild(part, str(err)) from err
    except KeyError as err:
        raise CannotBuild(part, f"the secret {err} is gone") from err
    except ValidationError as err:
        # Only where and what kind: a message could repeat a value.
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in err.errors()[:5])
        raise CannotBuild(part, f"the custom resource cannot be made: {problems}") from err


def record_applied(uow: UnitOfWork, told: RegionalDeployment, cluster_generation: int) -> bool:
    """Record that the cell was told; False when the wish has changed since and must be told again."""
    row = repository.find_part_row(uow, told.id, is_locked=True)
    assert row is not None
    status = RunStatus(row.status)
    if status not in LIVE:
        return False
    if row.generation == told.generation:
        row.applied_generation, row.cluster_generation = told.generation, cluster_generation
    if status is RunStatus.PROVISIONING:
        row.status = RUN_TRANSITIONS.next(status, RunTrigger.APPLY)
        row.updated_at = uow.now
        uow.emit(ServiceChanged(row.tenant_id, row.service_id))
    return row.generation == told.generation


def record_gone(uow: UnitOfWork, part_id: RegionalDeploymentId) -> None:
    """Record that the cell holds nothing of a leaving part; repeating it changes nothing."""
    row = repository.find_part_row(uow, part_id, is_locked=True)
    assert row is not None
    if RunStatus(row.status) in LEAVING:
        finish_part(uow, row)
        uow.emit(ServiceChanged(row.tenant_id, row.service_id))


def record_refused(uow: UnitOfWork, told: RegionalDeployment, sentence: str) -> None:
    """The cell's API server refused the part, in its words: the part ends, and its deployment if it has no other."""
    service_row = repository.find_service_row(uow, told.tenant_id, told.service_id, is_locked=True)
    row = repository.find_part_row(uow, told.id, is_locked=True)
    deployment_row = repository.find_deployment_row(uow, told.tenant_id, told.deployment_id)
    assert service_row is not None
    assert row is not None
    assert deployment_row is not None
    if RunStatus(row.status) not in LIVE:
        return
    row.status = RUN_TRANSITIONS.next(RunStatus(row.status), RunTrigger.REFUSE)
    row.messages, row.updated_at = [sentence[:1000]], uow.now
    row.generation += 1
    uow.session.flush()
    parts = [
        repository.to_part(each) for each in repository.list_part_rows(uow, told.tenant_id, told.service_id)
    ]
    has_other = any(part.is_live and part.deployment_id == told.deployment_id for part in parts)
    before = RunStatus(deployment_row.status)
    if not has_other and before not in ENDED | LEAVING:
        deployment_row.status = RUN_TRANSITIONS.next(before, RunTrigger.REFUSE)
        deployment_row.messages, deployment_row.updated_at = [sentence[:1000]], uow.now
    narrate(
        uow,
        service_row,
        "REGIONAL_DEPLOYMENT_REFUSED",
        f"The cell in {row.datacenter} refused it: {sentence}",
        reason="Refused",
        deployment_id=row.deployment_id,
        part_id=row.id,
    )
    uow.emit(ServiceChanged(row.tenant_id, row.service_id))
