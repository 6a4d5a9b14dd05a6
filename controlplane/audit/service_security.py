"""Security events: what the doors refused, to whom and since when. Kept beside the chains, which hold what was done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from controlplane.audit import repository_security
from controlplane.audit.domain import SecurityEvent
from controlplane.audit.repository_security import Wanted
from controlplane.kernel.ids import EventId, TenantId
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.refusal_rules import Counted, RefusalKind

__all__ = ["list_events", "store", "take_in"]


def store(uow: UnitOfWork, source: str, rows: Sequence[Counted]) -> None:
    """Keep what a door of this installation counted (platform transaction)."""
    take_in(
        uow,
        [
            SecurityEvent(EventId.new(), source, row.refusal, row.count, row.first_at, row.last_at)
            for row in rows
        ],
    )


def take_in(uow: UnitOfWork, events: Sequence[SecurityEvent]) -> int:
    """Keep events that were reported; those that are kept already stay as they are. Return how many were new."""
    return repository_security.insert(uow, events)


def list_events(
    uow: UnitOfWork,
    tenant_id: TenantId | None,
    *,
    after: UUID | None,
    limit: int,
    kind: RefusalKind | None = None,
    address: str | None = None,
    since: datetime | None = None,
) -> Page[SecurityEvent]:
    """Return the events of a tenant (for None, of everybody), newest first: those that still went on at `since`."""
    wanted = Wanted(tenant_id, kind, address, since)
    rows = repository_security.list_events(uow, wanted, after=after, limit=limit + 1)
    return Page.of(rows, limit, lambda event: event.id.value)
