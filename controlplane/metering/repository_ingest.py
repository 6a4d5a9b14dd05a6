"""The writer: dedup, store, sum up and chain, all in the caller's transaction.

Order of locks, the same for everybody: the freeze lock (shared), keys in their order, rollup rows in their order,
the shard's chain. So two ingests can wait for one another, but never in a circle.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg

from controlplane.metering.domain import BatchId, ReadEvent
from controlplane.metering.rollup_rules import Addition, Frozen, RollupKey
from controlplane.plumbing.arrays import (
    BytesArray,
    DateArray,
    TextArray,
    TimeArray,
    UuidArray,
    days_of,
    microseconds_of,
)
from controlplane.plumbing.database import UnitOfWork

# Held in share by every ingest and alone by a freeze, so that no batch is on both sides of a cutoff.
FREEZE_LOCK = 7_007_002

# Takes the batch's number and names the months that have no place yet; a freeze in progress is waited for.
_BEGIN = """
SELECT pg_advisory_xact_lock_shared(%s), nextval('ingest_batch_id'), array(
    SELECT month FROM unnest(%s::text[]) AS month
    WHERE to_regclass('metering_partitions.usage_event_' || month) IS NULL
)
"""

_CLAIM = """
INSERT INTO usage_event_key (key, payload_hash, event_day, batch_id)
SELECT unnest(%s), unnest(%s), unnest(%s), %s
ON CONFLICT (key) DO NOTHING
"""

_STORE = """
INSERT INTO usage_event (key, tenant_id, occurred_at, batch_id, type, payload)
SELECT unnest(%s), unnest(%s), unnest(%s), %s, unnest(%s), unnest(%s)
"""

# A statement of its own after `_BEGIN`: it must see a freeze that was waited for.
_FROZEN = """
SELECT p.tenant_id, p.starts_at, p.ends_at,
    (SELECT max(sequence) FROM billing_period a WHERE a.tenant_id = p.tenant_id)
FROM billing_period p WHERE p.tenant_id = ANY(%s) AND p.ends_at > %s
"""

_KNOWN = "SELECT key, payload_hash FROM usage_event_key WHERE key = ANY(%s) AND batch_id <> %s"

# chain_rules.decide_chain, by the database: one round trip while the shard's head is locked instead of three.
_LINK = """
WITH head AS (
    UPDATE ingest_shard SET
        position = position + 1,
        chain = sha256(chain || %(root)s || int8send(%(batch)s) || int4send(%(count)s))
    WHERE shard = %(shard)s
    RETURNING position, chain
)
INSERT INTO ingest_batch (id, shard, position, event_count, root, chain, received_at)
SELECT %(batch)s, %(shard)s, head.position, %(count)s, %(root)s, head.chain, %(now)s FROM head
"""

_ROLLUP = """
INSERT INTO usage_hourly AS known (
    tenant_id, hour, meter, service_id, project_id, model, sku, datacenter, country, is_simulated, generation,
    quantity, event_count, unknown_count
)
SELECT * FROM unnest(
    %s::uuid[], %s::timestamptz[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[],
    %s::text[], %s::boolean[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[]
)
ON CONFLICT ON CONSTRAINT pk_usage_hourly DO UPDATE SET
    quantity = known.quantity + excluded.quantity,
    event_count = known.event_count + excluded.event_count,
    unknown_count = known.unknown_count + excluded.unknown_count
"""


def connection_of(uow: UnitOfWork) -> psycopg.Connection[Any]:
    """The driver's connection inside this transaction: COPY has no other door."""
    raw = uow.session.connection().connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def begin(uow: UnitOfWork, instants: Iterable[datetime]) -> BatchId:
    """Hold off freezes, see that the instants' months have a place, and take the batch's number."""
    months = [f"{year:04d}_{month:02d}" for year, month in {(at.year, at.month) for at in instants}]
    row = connection_of(uow).execute(_BEGIN, (FREEZE_LOCK, sorted(months))).fetchone()
    assert row is not None
    for month in row[2]:
        ensure_month(uow, f"{month.replace('_', '-')}-01")
    return BatchId(row[1])


def ensure_month(uow: UnitOfWork, day: str) -> None:
    """Make the partition of a day's month unless it is there."""
    connection_of(uow).execute("SELECT metering_ensure_month(%s::date)", (day,))


def store(uow: UnitOfWork, batch_id: BatchId, events: Sequence[ReadEvent]) -> dict[bytes, bytes]:
    """Store the events whose keys are new; return the others' keys with the hash that is known for them.

    Shapes: no two events have one key, and they come in the order of their keys.
    """
    connection = connection_of(uow)
    times = [microseconds_of(event.occurred_at) for event in events]
    keys = UuidArray([event.key for event in events])
    hashes = BytesArray([event.payload_hash for event in events])
    days = DateArray([days_of(time) for time in times])
    claimed = connection.execute(_CLAIM, (keys, hashes, days, batch_id)).rowcount
    known: dict[bytes, bytes] = {}
    if claimed < len(events):
        rows = connection.execute(_KNOWN, (keys, batch_id)).fetchall()
        known = {key.bytes: bytes(payload_hash) for key, payload_hash in rows}
        assert len(known) + claimed == len(events), "every event is either new or known"
        fresh = [at for at, event in enumerate(events) if event.key not in known]
        events, times = [events[at] for at in fresh], [times[at] for at in fresh]
    if events:
        _store_fresh(connection, batch_id, events, times)
    return known


def _store_fresh(
    connection: psycopg.Connection[Any], batch_id: BatchId, events: Sequence[ReadEvent], times: Sequence[int]
) -> None:
    tenants: dict[int, bytes] = {}
    for event in events:
        # By identity: equal ids are mostly one object, and hashing one is dear at this rate.
        if id(event.tenant_id) not in tenants:
            tenants[id(event.tenant_id)] = event.tenant_id.bytes
    connection.execute(
        _STORE,
        (
            UuidArray([event.key for event in events]),
            UuidArray([tenants[id(event.tenant_id)] for event in events]),
            TimeArray(times),
            batch_id,
            TextArray([event.type.encode() for event in events]),
            TextArray([event.payload for event in events]),
        ),
    )


def add_conflicts(uow: UnitOfWork, conflicts: Sequence[tuple[uuid.UUID, ReadEvent]]) -> None:
    """Keep aside what contradicts a known event; the same contradiction once."""
    with connection_of(uow).cursor() as cursor:
        cursor.executemany(
            "INSERT INTO usage_event_conflict"
            " (id, tenant_id, key, payload_hash, source, event_id, payload, received_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (key, payload_hash) DO NOTHING",
            [
                (
                    row_id,
                    e.tenant_id,
                    uuid.UUID(bytes=e.key),
                    e.payload_hash,
                    e.source,
                    e.id,
                    e.payload.decode(),
                    uow.now,
                )
                for row_id, e in conflicts
            ],
        )


def list_frozen(uow: UnitOfWork, tenants: Sequence[uuid.UUID], earliest: datetime) -> list[Frozen]:
    """Frozen periods that an event since `earliest` may fall into, with how often their tenants froze one."""
    rows = connection_of(uow).execute(_FROZEN, (UuidArray([tenant.bytes for tenant in tenants]), earliest))
    return [Frozen(*row) for row in rows]


def add_to_rollup(uow: UnitOfWork, additions: dict[RollupKey, Addition]) -> None:
    if not additions:
        return
    rows = [
        (*key, addition.quantity, addition.event_count, addition.unknown_count)
        for key, addition in sorted(additions.items())
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    connection_of(uow).execute(_ROLLUP, columns)


def append_batch(uow: UnitOfWork, batch_id: BatchId, shard: int, root: bytes, event_count: int) -> None:
    """Link the batch into its shard's chain; the lock on the shard's head lasts until the commit."""
    values = {"batch": batch_id, "shard": shard, "count": event_count, "root": root, "now": uow.now}
    linked = connection_of(uow).execute(_LINK, values).rowcount
    assert linked == 1, "there is no such shard"
