"""Usage events with their keys, batches and quarantine; hourly rollups; GPU intervals; frozen periods.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from migrations.policies import SYSTEM, grant_platform_table, protect_tenant_table

revision = "0007"
down_revision = "0006"

# Smaller indexes, so that random keys stay in memory.
KEY_PARTITIONS = 16
TABLES = (
    "usage_event", "usage_event_key", "usage_event_conflict", "ingest_batch", "ingest_shard", "usage_hourly",
    "gpu_allocation", "usage_producer", "billing_period",
)  # fmt: skip

# Partitions are made by their owner alone; the programs may only ask for a month. In a schema of their own
# nobody can name them: row-level security is that of the parent.
ENSURE_MONTH = """
CREATE FUNCTION metering_ensure_month(wanted date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    first date := date_trunc('month', wanted)::date;
    name text := 'usage_event_' || to_char(first, 'YYYY_MM');
BEGIN
    IF to_regclass('metering_partitions.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(7007001);
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS metering_partitions.%I PARTITION OF public.usage_event '
        'FOR VALUES FROM (%L) TO (%L)',
        name, first || ' 00:00:00+00', (first + interval '1 month')::date || ' 00:00:00+00'
    );
END $$
"""


def upgrade() -> None:
    _set_platform_roles("role IN ('platform', 'producer')")
    _create_events()
    _create_batches()
    _create_rollup()
    _create_allocations()
    op.create_table(
        "billing_period",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cutoff_batch_id", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_billing_period"),
        sa.UniqueConstraint("tenant_id", "sequence", name="uq_billing_period_tenant_id_sequence"),
        sa.UniqueConstraint("tenant_id", "starts_at", name="uq_billing_period_tenant_id_starts_at"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_billing_period_tenant_id"),
        sa.CheckConstraint("ends_at > starts_at", name="ck_billing_period_ends_after_start"),
    )
    protect_tenant_table("billing_period", app="SELECT", system="SELECT, INSERT")


def _create_events() -> None:
    op.execute("CREATE SCHEMA metering_partitions")
    # To see whether a month is there; nothing in it is granted.
    op.execute(f"GRANT USAGE ON SCHEMA metering_partitions TO {SYSTEM}")
    op.execute(
        "CREATE TABLE usage_event (key uuid NOT NULL, tenant_id uuid NOT NULL, occurred_at timestamptz NOT NULL,"
        " batch_id bigint NOT NULL, type text NOT NULL, payload text NOT NULL)"
        " PARTITION BY RANGE (occurred_at)"
    )
    op.execute("CREATE INDEX ix_usage_event_tenant_id_occurred_at ON usage_event (tenant_id, occurred_at)")
    op.execute("CREATE INDEX ix_usage_event_batch_id ON usage_event USING brin (batch_id)")
    protect_tenant_table("usage_event", app="SELECT", system="SELECT, INSERT")
    op.execute(ENSURE_MONTH)
    op.execute("REVOKE ALL ON FUNCTION metering_ensure_month(date) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION metering_ensure_month(date) TO {SYSTEM}")
    op.execute(
        "SELECT metering_ensure_month((now() + make_interval(months => m))::date)"
        " FROM generate_series(-2, 2) AS m"
    )
    op.execute(
        "CREATE TABLE usage_event_key (key uuid NOT NULL, payload_hash bytea NOT NULL, event_day date NOT NULL,"
        " batch_id bigint NOT NULL, CONSTRAINT pk_usage_event_key PRIMARY KEY (key)) PARTITION BY HASH (key)"
    )
    for part in range(KEY_PARTITIONS):
        op.execute(
            f"CREATE TABLE metering_partitions.usage_event_key_{part:02d} PARTITION OF usage_event_key"
            f" FOR VALUES WITH (MODULUS {KEY_PARTITIONS}, REMAINDER {part})"
        )
    grant_platform_table("usage_event_key", app=None, system="SELECT, INSERT, DELETE")
    op.create_table(
        "usage_event_conflict",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("key", UUID(as_uuid=True), nullable=False),
        sa.Column("payload_hash", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage_event_conflict"),
        # The same wrong event sent again is one case, not two.
        sa.UniqueConstraint("key", "payload_hash", name="uq_usage_event_conflict_key_payload_hash"),
    )
    protect_tenant_table("usage_event_conflict", app="SELECT", system="SELECT, INSERT")


def _create_batches() -> None:
    """Four shards, each with a chain of its own, so that batches of different producers do not wait."""
    op.execute("CREATE SEQUENCE ingest_batch_id")
    op.execute(f"GRANT USAGE, SELECT ON SEQUENCE ingest_batch_id TO {SYSTEM}")
    op.create_table(
        "ingest_batch",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("event_count", sa.Integer, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ingest_batch"),
        sa.UniqueConstraint("shard", "position", name="uq_ingest_batch_shard_position"),
        sa.CheckConstraint("event_count > 0", name="ck_ingest_batch_event_count"),
    )
    grant_platform_table("ingest_batch", app=None, system="SELECT, INSERT")
    op.create_table(
        "ingest_shard",
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("shard", name="pk_ingest_shard"),
    )
    op.execute(
        "INSERT INTO ingest_shard SELECT n, 0, sha256(('rempart-usage-' || n)::bytea)"
        " FROM generate_series(0, 3) AS n"
    )
    grant_platform_table("ingest_shard", app=None, system="SELECT, UPDATE")


def _create_rollup() -> None:
    dimensions = ("model", "sku", "datacenter", "country")
    op.create_table(
        "usage_hourly",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("meter", sa.String(32), nullable=False),
        sa.Column("service_id", sa.String(64), nullable=False),
        sa.Column("project_id", UUID(as_uuid=True), nullable=False),
        *(sa.Column(name, sa.String(256), nullable=False) for name in dimensions),
        sa.Column("is_simulated", sa.Boolean, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("event_count", sa.BigInteger, nullable=False),
        sa.Column("unknown_count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "hour", "meter", "service_id", "project_id", *dimensions, "is_simulated", "generation",
            name="pk_usage_hourly",
        ),
    )  # fmt: skip
    protect_tenant_table("usage_hourly", app="SELECT", system="SELECT, INSERT, UPDATE")


def _create_allocations() -> None:
    texts = ("service_id", "regional_deployment_id", "instance", "source", "pod_uid", "node", "gpu_id")
    times = ("opened_at", "last_seen_at")
    op.create_table(
        "gpu_allocation",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("project_id", UUID(as_uuid=True), nullable=False),
        *(sa.Column(name, sa.String(256), nullable=False) for name in texts),
        *(sa.Column(name, sa.String(256), nullable=False) for name in ("sku", "datacenter", "country")),
        sa.Column("is_simulated", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in times),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("billed_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(256), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_gpu_allocation"),
        sa.CheckConstraint("state IN ('open', 'closed', 'estimated')", name="ck_gpu_allocation_state"),
        sa.CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ck_gpu_allocation_open_has_no_end"),
        sa.CheckConstraint("ended_at >= opened_at", name="ck_gpu_allocation_ends_after_start"),
        sa.CheckConstraint("billed_until >= opened_at", name="ck_gpu_allocation_billed_since_open"),
    )
    # One open interval a GPU: the database refuses a second one, whoever writes.
    op.create_index(
        "uq_gpu_allocation_open", "gpu_allocation", ["source", "gpu_id"], unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )  # fmt: skip
    op.create_index("ix_gpu_allocation_gpu", "gpu_allocation", ["source", "gpu_id", "opened_at"])
    op.create_index("ix_gpu_allocation_tenant_id_opened_at", "gpu_allocation", ["tenant_id", "opened_at"])
    op.create_index(
        "ix_gpu_allocation_unbilled", "gpu_allocation", ["source"],
        postgresql_where=sa.text("ended_at IS NULL OR billed_until <> ended_at"),
    )  # fmt: skip
    protect_tenant_table("gpu_allocation", app="SELECT", system="SELECT, INSERT, UPDATE")
    op.create_table(
        "usage_producer",
        sa.Column("source", sa.String(256), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_usage_producer"),
    )
    grant_platform_table("usage_producer", app=None, system="SELECT, INSERT, UPDATE")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION metering_ensure_month(date)")
    op.execute("DROP SEQUENCE ingest_batch_id")
    op.execute("DROP SCHEMA metering_partitions")
    op.execute("DELETE FROM api_key WHERE role = 'producer'")
    _set_platform_roles("role = 'platform'")


def _set_platform_roles(condition: str) -> None:
    """Which roles belong to keys of the installation itself."""
    # The naming convention was applied to a name that already followed it.
    name = "ck_api_key_ck_api_key_platform_role"
    op.execute(f"ALTER TABLE api_key DROP CONSTRAINT {name}")
    op.execute(f"ALTER TABLE api_key ADD CONSTRAINT {name} CHECK (({condition}) = (kind = 'adm'))")
