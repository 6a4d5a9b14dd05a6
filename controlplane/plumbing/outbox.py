"""The outbox: events are rows of the transaction that caused them; deliveries are rows that carry truth.

Celery only wakes workers. A delivery is claimed with a lease and a token, acted on, and finished under that
token; what a dead worker held comes back when its lease ends.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, String, Text, func, insert, text
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.ids import EventId, TenantId, uuid7
from controlplane.plumbing.orm import Base, IdType

if TYPE_CHECKING:
    from controlplane.plumbing.database import UnitOfWork


class DeliveryState(StrEnum):
    PENDING = "PENDING"
    DONE = "DONE"
    DEAD = "DEAD"


class OutboxEventRow(Base):
    """A fact as it left its transaction. `position` orders what one tenant did."""

    __tablename__ = "outbox_event"

    id: Mapped[EventId] = mapped_column(IdType(EventId), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    tenant_id: Mapped[TenantId | None] = mapped_column(IdType(TenantId))
    topic: Mapped[str] = mapped_column(String(100))
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    routed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_outbox_event_unrouted", "position", postgresql_where=text("routed_at IS NULL")),
    )


class DeliveryRow(Base):
    """One consumer's share of one event: its inbox entry, its retry state and its lease in one row."""

    __tablename__ = "delivery"

    event_id: Mapped[EventId] = mapped_column(
        IdType(EventId), ForeignKey("outbox_event.id", ondelete="CASCADE"), primary_key=True
    )
    consumer: Mapped[str] = mapped_column(String(100), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), default=DeliveryState.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    lease_token: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    lease_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_error: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_delivery_due", "next_attempt_at", postgresql_where=text("state = 'PENDING'")),
        Index("ix_delivery_dead", "event_id", "consumer", postgresql_where=text("state = 'DEAD'")),
    )


def write_events(uow: UnitOfWork) -> None:
    """Insert what the unit of work emitted, and wake the relay when the transaction commits."""
    if not uow.events:
        return
    rows = [
        {
            "id": EventId(uuid7()),
            "tenant_id": event.tenant,
            "topic": event.topic,
            "payload": dict(event.payload()),
            "occurred_at": uow.now,
        }
        for event in uow.events
    ]
    # PostgreSQL tells of a transaction's equal notifications once, when it commits.
    notify = func.pg_notify("outbox", "")
    uow.session.execute(insert(OutboxEventRow).returning(notify), rows)
    uow.events.clear()
