"""The story of a service: append-only events, each a sentence that a person can act on."""

from __future__ import annotations

import time
from uuid import UUID

from sqlalchemy import select

from controlplane.deployments.models import ServiceEventRow, ServiceRow
from controlplane.kernel.ids import DeploymentId, EventId, RegionalDeploymentId, uuid7
from controlplane.plumbing.database import UnitOfWork

MESSAGE_LENGTH_MAX = 2_000
# A wait goes on under another wording when what it waits for has changed a little.
_WAITS = frozenset({"PLACEMENT_PENDING", "SCALE_WAITING", "PART_BLOCKED"})


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
    """Append an event. `kind` is `NOUN_PAST`, `reason` one CamelCase word; no secret and no content of a call.

    What is the service's newest event already is counted there instead: a fact that repeats is one record.
    """
    reason, message = reason[:100], message[:MESSAGE_LENGTH_MAX]
    # What was made just now was never told before.
    newest = None if kind.endswith("_CREATED") else _find_newest(uow, service)
    if newest is not None:
        told = (newest.type, newest.reason, newest.deployment_id, newest.regional_deployment_id)
        is_same = told == (kind, reason, deployment_id, part_id)
        if is_same and (kind in _WAITS or newest.message == message):
            newest.count, newest.last_at, newest.message = newest.count + 1, uow.now, message
            return
    uow.session.add(
        ServiceEventRow(
            tenant_id=service.tenant_id,
            id=_next_id(),
            service_id=service.id,
            deployment_id=deployment_id,
            regional_deployment_id=part_id,
            type=kind,
            reason=reason,
            message=message,
            occurred_at=uow.now,
        )
    )


def _find_newest(uow: UnitOfWork, service: ServiceRow) -> ServiceEventRow | None:
    row = ServiceEventRow
    return uow.session.scalars(
        select(row)
        .where(row.tenant_id == service.tenant_id, row.service_id == service.id)
        .order_by(row.id.desc())
        .limit(1)
    ).one_or_none()


def _next_id() -> EventId:
    """An id whose order is the order of telling, also within a millisecond.

    Source: RFC 9562 §6.2 method 3: the twelve bits after the version hold the fraction of the millisecond.
    """
    ns = time.time_ns()
    fraction = (ns % 1_000_000) * 4096 // 1_000_000
    random = uuid7(ns // 1_000_000).int
    return EventId(UUID(int=random & ~(0xFFF << 64) | fraction << 64))
