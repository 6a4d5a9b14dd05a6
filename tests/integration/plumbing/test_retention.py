"""The retention schedule on real PostgreSQL: what is old goes, what is younger stays, however much there is."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import (
    Boolean,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.types import BigInteger

from controlplane.entrypoints.retention import RULES
from controlplane.plumbing.consumers import Consumer, Consumers, deliver, route_batch
from controlplane.plumbing.database import Database, normalise_url
from controlplane.plumbing.outbox import DeliveryRow, OutboxEventRow
from controlplane.plumbing.retention import Rule, purge
from controlplane.plumbing.schedule import Tick, record_due_ticks
from tests.fixtures.database import DatabaseUrls
from tests.integration.plumbing.test_consumers import emit

SECOND = timedelta(seconds=1)
# Longer than a slow machine takes between the two ends of a test.
MINUTE = timedelta(minutes=1)
_NUMBERS = itertools.count(1)
# Where a column's value decides whether the rule speaks of the row.
SPECIAL = {"topic": "tick.test"}


class Rows:
    """Puts rows into any table, with what its columns need, beside the tables that they refer to."""

    def __init__(self, owner_url: str) -> None:
        self.engine = create_engine(normalise_url(owner_url))
        self.metadata = MetaData()

    def table(self, name: str) -> Table:
        return Table(name, self.metadata, autoload_with=self.engine, resolve_fks=False)

    def add(self, name: str, **given: Any) -> None:
        table = self.table(name)
        values = {
            column.name: given.get(column.name, _value(column))
            for column in table.columns
            if column.name in given or (not column.nullable and column.identity is None)
        }
        with self.engine.begin() as connection:
            # The rows that it would refer to are not what is looked at here.
            connection.exec_driver_sql("SET session_replication_role = replica")
            connection.execute(table.insert().values(values))

    def count(self, name: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(self.table(name))).scalar_one())


def _value(column: Any) -> Any:
    number = next(_NUMBERS)
    if column.name in SPECIAL:
        return SPECIAL[column.name]
    kind = column.type
    if isinstance(kind, UUID):
        return uuid.uuid4()
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, BigInteger | Integer):
        return number
    if isinstance(kind, DateTime):
        return datetime.now(UTC)
    if isinstance(kind, JSONB):
        return {}
    if isinstance(kind, LargeBinary):
        return str(number).encode()
    return str(number)[: kind.length or 40]


@pytest.fixture
def rows(database_urls: DatabaseUrls) -> Rows:
    return Rows(database_urls.owner)


@pytest.mark.case("X15")
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.table} after {rule.keep.days} d")
def test_rows_go_when_their_time_is_over_and_not_before(rule: Rule, rows: Rows, database: Database) -> None:
    now = datetime.now(UTC)
    for age in (rule.keep + SECOND, rule.keep + timedelta(days=3_000)):
        rows.add(rule.table, **{rule.age_column: now - age})
    for age in (rule.keep - MINUTE, timedelta()):
        rows.add(rule.table, **{rule.age_column: now - age})
    assert purge(database, [rule])[rule.table] == 2
    assert rows.count(rule.table) == 2
    assert purge(database, [rule])[rule.table] == 0


@pytest.mark.case("X15")
def test_a_backlog_of_any_size_goes_in_batches_and_a_short_round_leaves_the_rest_to_the_next(
    rows: Rows, database: Database
) -> None:
    (rule,) = (rule for rule in RULES if rule.table == "idempotency")
    for _ in range(25):
        rows.add("idempotency", created_at=datetime.now(UTC) - timedelta(days=2))
    ticking = itertools.count(
        step=15
    )  # Each look at the clock is 15 s later: a round has time for two batches.
    deleted = []
    while rows.count("idempotency"):
        deleted.append(purge(database, [rule], clock=lambda: next(ticking), batch_rows=4)["idempotency"])
    assert sum(deleted) == 25
    assert max(deleted) < 25


@pytest.mark.case("X15")
def test_an_event_whose_share_is_not_done_is_kept_whatever_its_age(database: Database) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("not yet")

    topics = frozenset({"test.happened"})
    consumers = Consumers(
        [Consumer("good", topics, effect=lambda _: None), Consumer("bad", topics, effect=fail)]
    )
    emit(database)
    with database.system() as uow:
        pairs = route_batch(uow.session, consumers)
    for event_id, name in pairs:
        deliver(database, consumers, event_id, name)

    def age() -> None:
        with database.system() as uow:
            uow.session.execute(
                update(OutboxEventRow).values(routed_at=datetime.now(UTC) - timedelta(days=99))
            )

    age()
    assert purge(database, RULES)["outbox_event"] == 0
    with database.system() as uow:
        uow.session.execute(update(DeliveryRow).values(state="DEAD").where(DeliveryRow.consumer == "bad"))
    assert purge(database, RULES)["outbox_event"] == 0
    with database.system() as uow:
        uow.session.execute(update(DeliveryRow).values(state="DONE"))
    assert purge(database, RULES)["outbox_event"] == 1
    with database.system() as uow:
        assert uow.session.scalars(select(DeliveryRow)).all() == []


@pytest.mark.case("X15")
def test_a_stack_at_rest_for_a_month_holds_a_day_of_ticks(database: Database) -> None:
    """Every tick of 30 days of a real table of ticks, as the beat records them, with the purge keeping up."""
    tick = Tick("rest", 3_600)
    begun = datetime.now(UTC)
    with database.system() as uow:
        for hour in range(30 * 24):
            uow.now = begun - timedelta(hours=hour)
            record_due_ticks(uow, [tick])
        uow.session.execute(update(OutboxEventRow).values(routed_at=OutboxEventRow.occurred_at))
    purge(database, RULES)
    with database.system() as uow:
        left = uow.session.scalars(select(OutboxEventRow.occurred_at)).all()
    assert 24 <= len(left) <= 25
    assert min(left) > begun - timedelta(days=1, minutes=1)


@pytest.mark.case("X15")
def test_a_tenant_cannot_delete_what_the_schedule_deletes(database_urls: DatabaseUrls) -> None:
    tables = {rule.table for rule in RULES} | {"delivery"}
    with psycopg.connect(database_urls.app, autocommit=True) as connection:
        for table in sorted(tables):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
