"""The story of a service: append-only events, each a sentence that a person can act on."""

from __future__ import annotations

import time
from uuid import UUID

from controlplane.deployments.models import ServiceEventRow, ServiceRow
from controlplane.kernel.ids import DeploymentId, EventId, RegionalDeploymentId, uuid7
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
            id=_next_id(),
            service_id=service.id,
            deployment_id=deployment_id,
            regional_deployment_id=part_id,
            type=kind,
            reason=reason[:100],
            message=message[:MESSAGE_LENGTH_MAX],
            occurred_at=uow.now,
        )
    )


def _next_id() -> EventId:
    """An id whose order is the order of telling, also within a millisecond.

    Source: RFC 9562 §6.2 method 3: the twelve bits after the version hold the fraction of the millisecond.
    """
    ns = time.time_ns()
    fraction = (ns % 1_000_000) * 4096 // 1_000_000
    random = uuid7(ns // 1_000_000).int
    return EventId(UUID(int=random & ~(0xFFF << 64) | fraction << 64))
