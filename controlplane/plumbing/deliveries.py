"""What the operator sees of deliveries: how many wait, which ones are dead, and the way to send those again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from controlplane.kernel.errors import NotFound
from controlplane.kernel.ids import EventId, TenantId
from controlplane.plumbing.database import Database, UnitOfWork
from controlplane.plumbing.outbox import DeliveryRow, DeliveryState, OutboxEventRow


@dataclass(frozen=True, slots=True)
class DeadDelivery:
    """A delivery that nobody tries any more. `last_error` is what its consumer raised the last time."""

    event_id: EventId
    consumer: str
    topic: str
    tenant_id: TenantId | None
    occurred_at: datetime
    attempts: int
    last_error: str


def list_dead(
    uow: UnitOfWork, *, after: UUID | None, limit: int, consumer: str | None = None
) -> Sequence[DeadDelivery]:
    """Return the dead deliveries of up to `limit` events, oldest event first, from the one behind `after` on."""
    is_wanted = [DeliveryRow.state == DeliveryState.DEAD]
    if consumer is not None:
        is_wanted.append(DeliveryRow.consumer == consumer)
    events = (
        select(DeliveryRow.event_id).where(*is_wanted).distinct().order_by(DeliveryRow.event_id).limit(limit)
    )
    if after is not None:
        events = events.where(DeliveryRow.event_id > EventId(after))
    rows = uow.session.execute(
        select(DeliveryRow, OutboxEventRow)
        .join(OutboxEventRow, OutboxEventRow.id == DeliveryRow.event_id)
        .where(DeliveryRow.event_id.in_(events.scalar_subquery()), *is_wanted)
        .order_by(DeliveryRow.event_id, DeliveryRow.consumer)
    )
    return [
        DeadDelivery(
            event_id=delivery.event_id,
            consumer=delivery.consumer,
            topic=event.topic,
            tenant_id=event.tenant_id,
            occurred_at=event.occurred_at,
            attempts=delivery.attempts,
            last_error=delivery.last_error or "",
        )
        for delivery, event in rows
    ]


def retry_dead(uow: UnitOfWork, event_id: EventId, consumer: str) -> None:
    """Let a dead delivery be tried again from now on, as often as a new one. Errors: NotFound."""
    if not _revive(uow, DeliveryRow.event_id == event_id, DeliveryRow.consumer == consumer):
        raise NotFound("There is no dead delivery of this event to this consumer.")


def retry_all_dead(uow: UnitOfWork, consumer: str | None = None) -> int:
    """Let every dead delivery (of one consumer) be tried again; return how many there were."""
    return _revive(uow, *(() if consumer is None else (DeliveryRow.consumer == consumer,)))


def _revive(uow: UnitOfWork, *conditions: object) -> int:
    revived = uow.session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.state == DeliveryState.DEAD, *conditions)  # type: ignore[arg-type]
        .values(
            state=DeliveryState.PENDING,
            attempts=0,
            next_attempt_at=func.clock_timestamp(),
            lease_token=None,
            lease_until=None,
        )
        .returning(DeliveryRow.event_id)
    ).all()
    if revived:
        uow.session.execute(text("NOTIFY outbox"))
    return len(revived)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the outbox holds: counts, and the age in seconds of the oldest that waits."""

    unrouted: int
    pending: int
    dead: int
    oldest_seconds: float


def read_backlog(uow: UnitOfWork) -> Backlog:
    """Count what waits and what is dead; each count has an index of its own, however much was done before."""
    row = uow.session.execute(
        text(
            "SELECT (SELECT count(*) FROM outbox_event WHERE routed_at IS NULL),"
            " (SELECT count(*) FROM delivery WHERE state = 'PENDING'),"
            " (SELECT count(*) FROM delivery WHERE state = 'DEAD'),"
            " (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(e.occurred_at)), 0)"
            "  FROM delivery d JOIN outbox_event e ON e.id = d.event_id WHERE d.state = 'PENDING')"
        )
    ).one()
    return Backlog(int(row[0]), int(row[1]), int(row[2]), max(0.0, float(row[3])))


_UP = ("rempart_outbox_up", "1 if the database answered.")


def gauges_of(backlog: Backlog | None) -> Iterator[Metric]:
    """The gauges of a backlog; of None, which stands for a database that is away, one gauge that says so."""
    yield GaugeMetricFamily(*_UP, value=0 if backlog is None else 1)
    if backlog is None:
        return
    yield GaugeMetricFamily("rempart_outbox_unrouted", "Events without deliveries yet.", backlog.unrouted)
    yield GaugeMetricFamily("rempart_deliveries_pending", "Deliveries that wait.", backlog.pending)
    yield GaugeMetricFamily("rempart_deliveries_dead", "Deliveries that wait for a person.", backlog.dead)
    yield GaugeMetricFamily(
        "rempart_deliveries_oldest_seconds", "Age of the oldest one that waits.", backlog.oldest_seconds
    )


class BacklogCollector(Collector):
    """The backlog as gauges, asked of the database when Prometheus asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterator[Metric]:
        """Name a gauge without asking the database, which need not be there when the program starts."""
        yield GaugeMetricFamily(*_UP)

    def collect(self) -> Iterator[Metric]:
        try:
            with self._database.system(is_read_only=True) as uow:
                backlog = read_backlog(uow)
        except SQLAlchemyError:
            yield from gauges_of(None)
            return
        yield from gauges_of(backlog)
