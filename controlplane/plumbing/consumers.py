"""Who listens to which topic, and the claim → act → apply of one delivery.

A room's `tasks.py` declares consumers. A transactional consumer changes rows only: it runs in the transaction that
marks the delivery done, so it happens exactly once. An effect reaches outside (a cluster, Redis): it opens its own
units of work, is safe to repeat, and is marked done afterwards under its lease.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from controlplane.kernel.ids import EventId, TenantId
from controlplane.plumbing.database import Database, UnitOfWork
from controlplane.plumbing.metrics import DELIVERIES, DELIVERY_SECONDS
from controlplane.plumbing.outbox import DeliveryRow, DeliveryState, OutboxEventRow

log = structlog.get_logger()

# What a killed worker held is free again after this; a live one renews in time, even if it misses two turns.
LEASE_SECONDS = 10
RENEW_SECONDS = 3
# 90 s: longer than any handler should run (60 s). One that hangs loses its lease, and another worker tries.
RENEWALS_MAX = 30
# A hint that was lost (a broker wiped, a worker killed before claiming) is repeated after this.
HINT_PATIENCE_SECONDS = 5
ROUTE_BATCH = 200
# 2^12 s with the ceiling below is about 2.5 hours of trying before a person must look.
ATTEMPTS_MAX = 20
BACKOFF_CEILING_SECONDS = 600
ERROR_TEXT_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Event:
    """An outbox event as a consumer sees it."""

    id: EventId
    topic: str
    tenant_id: TenantId | None
    payload: dict[str, Any]
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Consumer:
    name: str
    topics: frozenset[str]
    transactional: Callable[[UnitOfWork, Event], None] | None = None
    effect: Callable[[Event], None] | None = None

    def __post_init__(self) -> None:
        if (self.transactional is None) == (self.effect is None):
            raise ValueError(f"consumer {self.name} is either transactional or an effect")


class Consumers:
    """The registry that the relay routes by and the worker runs from."""

    def __init__(self, consumers: Iterable[Consumer]) -> None:
        self.by_name: dict[str, Consumer] = {}
        for consumer in consumers:
            if consumer.name in self.by_name:
                raise ValueError(f"two consumers are called {consumer.name}")
            self.by_name[consumer.name] = consumer

    def of_topic(self, topic: str) -> list[str]:
        return sorted(name for name, consumer in self.by_name.items() if topic in consumer.topics)


def route_batch(session: Session, consumers: Consumers) -> list[tuple[EventId, str]]:
    """Turn unrouted events into deliveries; return the pairs to hint. Safe beside other relays (SKIP LOCKED)."""
    rows = session.scalars(
        select(OutboxEventRow)
        .where(OutboxEventRow.routed_at.is_(None))
        .order_by(OutboxEventRow.position)
        .limit(ROUTE_BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    pairs: list[tuple[EventId, str]] = []
    for row in rows:
        pairs += [(row.id, name) for name in consumers.of_topic(row.topic)]
    if pairs:
        session.execute(
            insert(DeliveryRow)
            .values(
                [
                    {"event_id": event_id, "consumer": name, "next_attempt_at": _later(HINT_PATIENCE_SECONDS)}
                    for event_id, name in pairs
                ]
            )
            .on_conflict_do_nothing()
        )
    if rows:
        session.execute(
            update(OutboxEventRow)
            .where(OutboxEventRow.id.in_([row.id for row in rows]))
            .values(routed_at=func.clock_timestamp())
        )
    return pairs


def due_batch(session: Session) -> list[tuple[EventId, str]]:
    """Return deliveries whose hint was lost, whose retry is due or whose worker died, and postpone them."""
    due = (
        select(DeliveryRow.event_id, DeliveryRow.consumer)
        .where(
            DeliveryRow.state == DeliveryState.PENDING,
            DeliveryRow.next_attempt_at <= func.clock_timestamp(),
            (DeliveryRow.lease_until.is_(None)) | (DeliveryRow.lease_until < func.clock_timestamp()),
        )
        .order_by(DeliveryRow.next_attempt_at)
        .limit(ROUTE_BATCH)
        .with_for_update(skip_locked=True)
    )
    pairs = [(event_id, name) for event_id, name in session.execute(due)]
    for event_id, name in pairs:
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.event_id == event_id, DeliveryRow.consumer == name)
            .values(next_attempt_at=_later(HINT_PATIENCE_SECONDS))
        )
    return pairs


def deliver(database: Database, consumers: Consumers, event_id: EventId, consumer_name: str) -> bool:
    """Run one delivery; return False when somebody else holds it or it is finished."""
    consumer = consumers.by_name[consumer_name]
    claimed = _claim(database, event_id, consumer_name)
    if claimed is None:
        return False
    event, token = claimed
    outcome = "failed"
    try:
        with (
            _kept_lease(database, event_id, consumer_name, token),
            DELIVERY_SECONDS.labels(consumer_name).time(),
        ):
            is_finished = _act(database, consumer, event, token)
        outcome = "done" if is_finished else "lost"
        return is_finished
    except Exception as err:  # noqa: BLE001 - any failure becomes a recorded retry, never a lost event
        log.warning(
            "delivery_failed",
            consumer=consumer_name,
            event_id=str(event_id),
            topic=event.topic,
            error=repr(err),
        )
        _fail(database, event_id, consumer_name, token, repr(err))
        return False
    finally:
        DELIVERIES.labels(consumer_name, outcome).inc()


def _act(database: Database, consumer: Consumer, event: Event, token: UUID) -> bool:
    if consumer.transactional is not None:
        with database.system(event.tenant_id) as uow:
            consumer.transactional(uow, event)
            if not _finish(uow.session, event.id, consumer.name, token):
                raise LeaseLost(f"{consumer.name} lost its lease on {event.id}")
        return True
    assert consumer.effect is not None
    consumer.effect(event)
    with database.system() as uow:
        return _finish(uow.session, event.id, consumer.name, token)


class LeaseLost(Exception):
    """Somebody else took the delivery over; this run's transaction is rolled back."""


def _claim(database: Database, event_id: EventId, consumer: str) -> tuple[Event, UUID] | None:
    token = uuid4()
    with database.system() as uow:
        claimed = uow.session.execute(
            update(DeliveryRow)
            .where(
                DeliveryRow.event_id == event_id,
                DeliveryRow.consumer == consumer,
                DeliveryRow.state == DeliveryState.PENDING,
                (DeliveryRow.lease_until.is_(None)) | (DeliveryRow.lease_until < func.clock_timestamp()),
            )
            .values(lease_token=token, lease_until=_later(LEASE_SECONDS), attempts=DeliveryRow.attempts + 1)
            .returning(DeliveryRow.event_id)
        ).scalar_one_or_none()
        if claimed is None:
            return None
        row = uow.session.get_one(OutboxEventRow, event_id)
        return Event(row.id, row.topic, row.tenant_id, row.payload, row.occurred_at), token


@contextmanager
def _kept_lease(database: Database, event_id: EventId, consumer: str, token: UUID) -> Iterator[None]:
    """Renew the lease from a thread of its own while the handler runs, so that it may be short."""
    ended = threading.Event()

    def renew() -> None:
        for _ in range(RENEWALS_MAX):
            if ended.wait(RENEW_SECONDS) or not _renew(database, event_id, consumer, token):
                return

    threading.Thread(target=renew, name=f"lease-{consumer}", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _renew(database: Database, event_id: EventId, consumer: str, token: UUID) -> bool:
    """Return False when the lease is no longer this run's; a database that is away is asked again."""
    try:
        with database.system() as uow:
            renewed = uow.session.execute(
                update(DeliveryRow)
                .where(
                    DeliveryRow.event_id == event_id,
                    DeliveryRow.consumer == consumer,
                    DeliveryRow.lease_token == token,
                )
                .values(lease_until=_later(LEASE_SECONDS))
                .returning(DeliveryRow.event_id)
            ).scalar_one_or_none()
    except SQLAlchemyError as err:
        log.warning("lease_not_renewed", consumer=consumer, event_id=str(event_id), error=type(err).__name__)
        return True
    return renewed is not None


def _finish(session: Session, event_id: EventId, consumer: str, token: UUID) -> bool:
    finished = session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.event_id == event_id,
            DeliveryRow.consumer == consumer,
            DeliveryRow.lease_token == token,
        )
        .values(
            state=DeliveryState.DONE,
            lease_token=None,
            lease_until=None,
            last_error=None,
            finished_at=func.clock_timestamp(),
        )
        .returning(DeliveryRow.event_id)
    ).scalar_one_or_none()
    return finished is not None


def _fail(database: Database, event_id: EventId, consumer: str, token: UUID, error: str) -> None:
    with database.system() as uow:
        row = uow.session.scalars(
            select(DeliveryRow)
            .where(
                DeliveryRow.event_id == event_id,
                DeliveryRow.consumer == consumer,
                DeliveryRow.lease_token == token,
            )
            .with_for_update()
        ).one_or_none()
        if row is None:
            return
        row.lease_token = None
        row.lease_until = None
        row.last_error = error[:ERROR_TEXT_MAX]
        if row.attempts >= ATTEMPTS_MAX:
            row.state = DeliveryState.DEAD
            log.error("delivery_dead", consumer=consumer, event_id=str(event_id), attempts=row.attempts)
        else:
            delay = min(BACKOFF_CEILING_SECONDS, 2 ** min(row.attempts, 12) // 2)
            row.next_attempt_at = uow.session.execute(
                text("SELECT clock_timestamp() + make_interval(secs => :s)"), {"s": delay}
            ).scalar_one()


def _later(seconds: int) -> Any:
    return func.clock_timestamp() + timedelta(seconds=seconds)
