"""The story of a service: append-only events, each a sentence that a person can act on."""

from __future__ import annotations

from controlplane.deployments.models import ServiceEventRow, ServiceRow
from controlplane.kernel.ids import DeploymentId, EventId, RegionalDeploymentId
from controlplane.plumbing.database import UnitOfWork

MESSAGE_LENGTH_MAX = 2_000


def narrate(
    uow: UnitOfWork,
    service: ServiceRow,
    kind: str,
    message: str,
    *,
    reason: str = "",
    deployment_id: DeploymentId | None = None,
    part_id: RegionalDeploymentId | None = None,
) -> None:
    """Append an event. `kind` is `NOUN_PAST`, `reason` one CamelCase word; no secret and no content of a call."""
    uow.session.add(
        ServiceEventRow(
            tenant_id=service.tenant_id,
            id=EventId.new(),
            service_id=service.id,
            deployment_id=deployment_id,
            regional_deployment_id=part_id,
            type=kind,
            reason=reason[:100],
            message=message[:MESSAGE_LENGTH_MAX],
            occurred_at=uow.now,
        )
    )
