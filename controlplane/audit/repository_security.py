"""All SQL of security events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as insert_into

from controlplane.audit.domain import SecurityEvent
from controlplane.audit.models import SecurityEventRow
from controlplane.kernel.ids import EventId, TenantId
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.refusal_rules import Refusal, RefusalKind


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: None asks for any. `since`: those whose last refusal is not older."""

    tenant_id: TenantId | None
    kind: RefusalKind | None
    address: str | None
    since: datetime | None


def insert(uow: UnitOfWork, events: Sequence[SecurityEvent]) -> int:
    """Add events; one whose id is there stays as it is. Return how many were new."""
    if not events:
        return 0
    values = [
        {
            "id": event.id,
            "tenant_id": None if event.refusal.tenant_id is None else TenantId.parse(event.refusal.tenant_id),
            "source": event.source,
            "kind": event.refusal.kind.value,
            "reason": event.refusal.reason,
            "route": event.refusal.route,
            "address": event.refusal.address,
            "key_id": event.refusal.key_id,
            "count": event.count,
            "first_at": event.first_at,
            "last_at": event.last_at,
        }
        for event in events
    ]
    added = uow.session.execute(
        insert_into(SecurityEventRow).values(values).on_conflict_do_nothing().returning(SecurityEventRow.id)
    )
    return len(added.all())


def list_events(
    uow: UnitOfWork, wanted: Wanted, *, after: UUID | None, limit: int
) -> Sequence[SecurityEvent]:
    query = select(SecurityEventRow)
    if after is not None:
        query = query.where(SecurityEventRow.id < EventId(after))
    if wanted.tenant_id is not None:
        query = query.where(SecurityEventRow.tenant_id == wanted.tenant_id)
    if wanted.kind is not None:
        query = query.where(SecurityEventRow.kind == wanted.kind.value)
    if wanted.address is not None:
        query = query.where(SecurityEventRow.address == wanted.address)
    if wanted.since is not None:
        query = query.where(SecurityEventRow.last_at >= wanted.since)
    rows = uow.session.scalars(query.order_by(SecurityEventRow.id.desc()).limit(limit))
    return [_to_event(row) for row in rows]


def _to_event(row: SecurityEventRow) -> SecurityEvent:
    tenant_id = None if row.tenant_id is None else str(row.tenant_id)
    refusal = Refusal(RefusalKind(row.kind), row.reason, row.route, row.address, row.key_id, tenant_id)
    return SecurityEvent(row.id, row.source, refusal, row.count, row.first_at, row.last_at)
