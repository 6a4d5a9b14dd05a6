"""Outbox, deliveries and leases on real PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import pytest
from sqlalchemy import func, select, text, update

from controlplane.kernel.events import DomainEvent, JsonValue
from controlplane.kernel.ids import EventId, TenantId
from controlplane.plumbing import consumers as plumbing_consumers
from controlplane.plumbing.consumers import Consumer, Consumers, Event, deliver, due_batch, route_batch
from controlplane.plumbing.database import Database, UnitOfWork
from controlplane.plumbing.outbox import DeliveryRow, OutboxEventRow
from controlplane.plumbing.schedule import Tick, record_due_ticks


@dataclass(frozen=True, slots=True)
class Happened(DomainEvent):
    topic: ClassVar[str] = "test.happened"
    tenant_id: TenantId

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"n": 1}


def emit(database: Database) -> TenantId:
    tenant = TenantId.new()
    with database.tenant(tenant) as uow:
        uow.emit(Happened(tenant))
    return tenant


def route(database: Database, consumers: Consumers) -> list[tuple[EventId, str]]:
    with database.system() as uow:
        return route_batch(uow.session, consumers)


def make_due(database: Database) -> None:
    """Let every waiting time be over, as if the clock had moved on."""
    with database.system() as uow:
        uow.session.execute(
            update(DeliveryRow).values(
                next_attempt_at=func.clock_timestamp(),
                lease_until=func.clock_timestamp() - text("interval '1 s'"),
            )
        )


class TestOutbox:
    def test_an_event_of_a_rolled_back_transaction_never_happened(self, database: Database) -> None:
        tenant = TenantId.new()

        def fail_after_emitting() -> None:
            with database.tenant(tenant) as uow:
                uow.emit(Happened(tenant))
                raise RuntimeError("the transaction fails")

        with pytest.raises(RuntimeError, match="the transaction fails"):
            fail_after_emitting()
        assert route(database, Consumers([])) == []

    def test_an_event_reaches_each_of_its_consumers_once(self, database: Database) -> None:
        seen: list[str] = []
        consumers = Consumers(
            Consumer(name, frozenset({"test.happened"}), effect=lambda _, name=name: seen.append(name))  # type: ignore[misc]
            for name in ("one", "two")
        )
        emit(database)
        for event_id, name in route(database, consumers):
            assert deliver(database, consumers, event_id, name)
            assert not deliver(database, consumers, event_id, name)
        assert seen == ["one", "two"]
        assert route(database, consumers) == []


class TestDeliver:
    def test_a_transactional_consumer_commits_with_its_done_mark_or_not_at_all(
        self, database: Database
    ) -> None:
        tenant = emit(database)
        attempts: list[int] = []

        def fail_once(uow: UnitOfWork, event: Event) -> None:
            assert event.tenant_id == tenant
            uow.emit(Happened(tenant))
            attempts.append(1)
            if len(attempts) == 1:
                raise RuntimeError("first attempt fails after its write")

        consumers = Consumers([Consumer("c", frozenset({"test.happened"}), transactional=fail_once)])
        ((event_id, name),) = route(database, consumers)
        assert not deliver(database, consumers, event_id, name)
        assert deliver(database, consumers, event_id, name)
        with database.system() as uow:
            # The first event, and the second of the attempt that succeeded.
            assert uow.session.scalar(select(func.count()).select_from(OutboxEventRow)) == 2

    def test_a_lost_hint_comes_back_from_the_row(self, database: Database) -> None:
        consumers = Consumers([Consumer("c", frozenset({"test.happened"}), effect=lambda _: None)])
        emit(database)
        routed = route(database, consumers)
        with database.system() as uow:
            assert due_batch(uow.session) == []
        make_due(database)
        with database.system() as uow:
            assert due_batch(uow.session) == routed

    def test_a_dead_workers_delivery_is_taken_over_and_its_late_finish_is_refused(
        self, database: Database
    ) -> None:
        started, release = threading.Event(), threading.Event()
        runs: list[str] = []

        def slow_first(_: Event) -> None:
            runs.append("run")
            if len(runs) == 1:
                started.set()
                assert release.wait(10)

        consumers = Consumers([Consumer("c", frozenset({"test.happened"}), effect=slow_first)])
        emit(database)
        ((event_id, name),) = route(database, consumers)
        results: list[bool] = []
        first = threading.Thread(target=lambda: results.append(deliver(database, consumers, event_id, name)))
        first.start()
        assert started.wait(10)
        assert not deliver(database, consumers, event_id, name)
        make_due(database)
        assert deliver(database, consumers, event_id, name)
        release.set()
        first.join(10)
        assert results == [False]
        assert len(runs) == 2

    def test_a_running_handler_keeps_its_short_lease(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plumbing_consumers, "RENEW_SECONDS", 0.02)
        ends: list[datetime] = []

        def watch_lease(_: Event) -> None:
            deadline = time.monotonic() + 10
            while len(set(ends)) < 3:
                assert time.monotonic() < deadline, "the lease was not renewed while the handler ran"
                with database.system() as uow:
                    ends.append(uow.session.scalars(select(DeliveryRow.lease_until)).one() or uow.now)

        consumers = Consumers([Consumer("c", frozenset({"test.happened"}), effect=watch_lease)])
        emit(database)
        ((event_id, name),) = route(database, consumers)
        assert deliver(database, consumers, event_id, name)
        assert ends == sorted(ends)

    def test_a_delivery_that_always_fails_ends_dead_and_keeps_its_reason(self, database: Database) -> None:
        def fail(_: Event) -> None:
            raise RuntimeError("the far side is gone")

        consumers = Consumers([Consumer("c", frozenset({"test.happened"}), effect=fail)])
        emit(database)
        ((event_id, name),) = route(database, consumers)
        for _ in range(25):
            deliver(database, consumers, event_id, name)
        with database.system() as uow:
            row = uow.session.get_one(DeliveryRow, (event_id, name))
            assert row.state == "DEAD"
            assert row.attempts == 20
            assert "the far side is gone" in str(row.last_error)


class TestTicks:
    def test_two_tickers_make_one_event_a_slot(self, database: Database) -> None:
        for _ in range(2):
            with database.system() as uow:
                record_due_ticks(uow, [Tick("sweep", 3600)])
        with database.system() as uow:
            assert uow.session.scalar(select(func.count()).select_from(OutboxEventRow)) == 1
