"""The writer: dedup, store, sum up and chain, all in the caller's transaction (metering.md §3.1).

Order of locks, the same for everybody: the freeze lock (shared), keys in their order, rollup rows in their order,
the shard's chain. So two ingests can wait for one another, but never in a circle.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import text

from controlplane.metering.chain_rules import decide_chain
from controlplane.metering.domain import BatchId, ReadEvent
from controlplane.metering.rollup_rules import Addition, Frozen, RollupKey
from controlplane.plumbing.database import UnitOfWork

# Held in share by every ingest and alone by a freeze, so that no batch is on both sides of a cutoff.
FREEZE_LOCK = 7_007_002

_STAGING = """
CREATE TEMP TABLE IF NOT EXISTS usage_staging (
    key uuid NOT NULL, payload_hash bytea NOT NULL, tenant_id uuid NOT NULL, occurred_at timestamptz NOT NULL,
    batch_id bigint NOT NULL, type text NOT NULL, payload text NOT NULL
) ON COMMIT DELETE ROWS
"""

_STORE = """
WITH fresh AS (
    INSERT INTO usage_event_key (key, payload_hash, event_day, batch_id)
    SELECT key, payload_hash, (occurred_at AT TIME ZONE 'UTC')::date, batch_id FROM usage_staging ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING key
), stored AS (
    INSERT INTO usage_event (key, tenant_id, occurred_at, batch_id, type, payload)
    SELECT s.key, s.tenant_id, s.occurred_at, s.batch_id, s.type, s.payload
    FROM usage_staging s JOIN fresh USING (key)
)
SELECT count(*) FROM fresh
"""

_KNOWN = "SELECT key, payload_hash FROM usage_event_key WHERE key = ANY(%s) AND batch_id <> %s"

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


def begin(uow: UnitOfWork, months: Iterable[datetime]) -> BatchId:
    """Hold off freezes, see that the months have a place, and take the batch's number."""
    connection = connection_of(uow)
    row = connection.execute(
        "SELECT pg_advisory_xact_lock_shared(%s), nextval('ingest_batch_id')", (FREEZE_LOCK,)
    ).fetchone()
    assert row is not None
    for month in sorted({instant.strftime("%Y_%m") for instant in months}):
        found = connection.execute("SELECT to_regclass(%s)", (f"metering_partitions.usage_event_{month}",))
        if found.fetchone() == (None,):
            ensure_month(uow, f"{month.replace('_', '-')}-01")
    return BatchId(row[1])


def ensure_month(uow: UnitOfWork, day: str) -> None:
    """Make the partition of a day's month unless it is there."""
    connection_of(uow).execute("SELECT metering_ensure_month(%s::date)", (day,))


def store(uow: UnitOfWork, batch_id: BatchId, events: Sequence[ReadEvent]) -> dict[bytes, bytes]:
    """Store the events whose keys are new; return the others' keys with the hash that is known for them.

    Shapes: no two events have one key.
    """
    connection = connection_of(uow)
    connection.execute(_STAGING)
    with connection.cursor() as cursor:
        with cursor.copy("COPY usage_staging FROM STDIN") as copy:
            copy.write(_encode(batch_id, events))
        cursor.execute(_STORE)
        row = cursor.fetchone()
        assert row is not None
        if row[0] == len(events):
            return {}
        cursor.execute(_KNOWN, ([uuid.UUID(bytes=event.key) for event in events], batch_id))
        known = {key.bytes: bytes(payload_hash) for key, payload_hash in cursor.fetchall()}
        assert len(known) + row[0] == len(events), "every event is either new or known"
        return known


def _encode(batch_id: BatchId, events: Sequence[ReadEvent]) -> bytes:
    """COPY's text form; canonical JSON holds no raw tab or newline, so only backslashes are escaped."""
    lines = []
    tenants: dict[uuid.UUID, bytes] = {}
    batch = str(batch_id).encode()
    for event in events:
        tenant = tenants.get(event.tenant_id)
        if tenant is None:
            tenant = tenants[event.tenant_id] = event.tenant_id.hex.encode()
        payload = event.payload
        if b"\\" in payload:
            payload = payload.replace(b"\\", b"\\\\")
        parts = (
            event.key.hex().encode(),
            b"\\\\x" + event.payload_hash.hex().encode(),
            tenant,
            event.occurred_at.isoformat().encode(),
            batch,
            event.type.encode(),
            payload,
        )
        lines.append(b"\t".join(parts))
    lines.append(b"")
    return b"\n".join(lines)


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
    rows = uow.session.execute(
        text(
            "SELECT p.tenant_id, p.starts_at, p.ends_at,"
            " (SELECT max(sequence) FROM billing_period a WHERE a.tenant_id = p.tenant_id)"
            " FROM billing_period p WHERE p.tenant_id = ANY(:tenants) AND p.ends_at > :earliest"
        ),
        {"tenants": list(tenants), "earliest": earliest},
    )
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
    connection = connection_of(uow)
    head = connection.execute(
        "SELECT position, chain FROM ingest_shard WHERE shard = %s FOR UPDATE", (shard,)
    ).fetchone()
    assert head is not None
    position, chain = head[0] + 1, decide_chain(bytes(head[1]), root, batch_id, event_count)
    connection.execute(
        "UPDATE ingest_shard SET position = %s, chain = %s WHERE shard = %s", (position, chain, shard)
    )
    connection.execute(
        "INSERT INTO ingest_batch (id, shard, position, event_count, root, chain, received_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (batch_id, shard, position, event_count, root, chain, uow.now),
    )
