"""Roles, outbox, deliveries, idempotency, simulated clock, audit.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

from migrations.policies import APP, SYSTEM, grant_platform_table, protect_tenant_table

revision = "0001"
down_revision = None


def upgrade() -> None:
    for role in (APP, SYSTEM):
        op.execute(
            f"DO $$ BEGIN CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    _create_outbox()
    _create_small_tables()
    _create_audit()


def _create_outbox() -> None:
    op.create_table(
        "outbox_event",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True)),
        sa.Column("topic", sa.String(100), nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("routed_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_event"),
        sa.UniqueConstraint("position", name="uq_outbox_event_position"),
    )
    op.create_index(
        "ix_outbox_event_unrouted",
        "outbox_event",
        ["position"],
        postgresql_where=sa.text("routed_at IS NULL"),
    )
    # A tenant's transaction may only add facts of its own; what becomes of them is the platform's work.
    protect_tenant_table("outbox_event", app="INSERT", system="SELECT, INSERT, UPDATE, DELETE")
    op.create_table(
        "delivery",
        sa.Column("event_id", UUID(as_uuid=True), nullable=False),
        sa.Column("consumer", sa.String(100), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, server_default="PENDING"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_token", UUID(as_uuid=True)),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("last_error", sa.Text),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("event_id", "consumer", name="pk_delivery"),
        sa.ForeignKeyConstraint(
            ["event_id"], ["outbox_event.id"], name="fk_delivery_event_id", ondelete="CASCADE"
        ),
        sa.CheckConstraint("state IN ('PENDING', 'DONE', 'DEAD')", name="ck_delivery_state"),
    )
    op.create_index(
        "ix_delivery_due", "delivery", ["next_attempt_at"], postgresql_where=sa.text("state = 'PENDING'")
    )
    grant_platform_table("delivery", app=None)


def _create_small_tables() -> None:
    op.create_table(
        "idempotency",
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True)),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("etag", sa.String(64)),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_idempotency"),
    )
    protect_tenant_table("idempotency", app="SELECT, INSERT", system="SELECT, INSERT, DELETE")
    op.create_table(
        "simulated_clock",
        sa.Column("is_only_row", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("offset_seconds", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("is_only_row", name="pk_simulated_clock"),
        sa.CheckConstraint("is_only_row", name="ck_simulated_clock_one_row"),
    )
    op.execute("INSERT INTO simulated_clock DEFAULT VALUES")
    grant_platform_table("simulated_clock", app="SELECT", system="SELECT, UPDATE")


def _create_audit() -> None:
    op.create_table(
        "audit_event",
        sa.Column("chain", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True)),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("detail", JSONB, nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("chain", "sequence", name="pk_audit_event"),
    )
    protect_tenant_table("audit_event", app="SELECT, INSERT")
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.create_table(
        "audit_head",
        sa.Column("chain", sa.String(64), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True)),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("chain", name="pk_audit_head"),
    )
    protect_tenant_table("audit_head", app="SELECT, INSERT, UPDATE")


def downgrade() -> None:
    for table in ("audit_head", "audit_event", "simulated_clock", "idempotency", "delivery", "outbox_event"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change()")
