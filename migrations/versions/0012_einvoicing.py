"""Files of issued invoices, archived once; what the platform says of them.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from migrations.policies import protect_tenant_table

revision = "0012"
down_revision = "0011"

_STATES = "'PENDING', 'RENDER_FAILED', 'ARCHIVED', 'SUBMITTED', 'SUBMIT_FAILED', 'NOT_TRANSMITTED'"


def _invoice_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", "invoice_id"], ["invoice.tenant_id", "invoice.id"], name=f"fk_{table}_invoice_id"
    )


def upgrade() -> None:
    op.create_table(
        "einvoice",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("invoice_id", UUID(as_uuid=True), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("profile", sa.String(200), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("flow_id", sa.String(100)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "invoice_id", name="pk_einvoice"),
        _invoice_key("einvoice"),
        sa.CheckConstraint(f"state IN ({_STATES})", name="ck_einvoice_state"),
    )
    protect_tenant_table("einvoice", app="SELECT", system="SELECT, INSERT, UPDATE")
    op.create_table(
        "invoice_archive",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("invoice_id", UUID(as_uuid=True), nullable=False),
        sa.Column("kind", sa.String(3), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "invoice_id", "kind", name="pk_invoice_archive"),
        _invoice_key("invoice_archive"),
        sa.CheckConstraint("kind IN ('pdf', 'xml')", name="ck_invoice_archive_kind"),
        sa.CheckConstraint("sha256 = encode(sha256(content), 'hex')", name="ck_invoice_archive_sha256"),
    )
    protect_tenant_table("invoice_archive", app="SELECT", system="SELECT, INSERT")
    op.create_table(
        "einvoice_status",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("invoice_id", UUID(as_uuid=True), nullable=False),
        sa.Column("code", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("is_simulated", sa.Boolean, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_einvoice_status"),
        _invoice_key("einvoice_status"),
        sa.CheckConstraint("code BETWEEN 200 AND 699", name="ck_einvoice_status_code"),
    )
    op.create_index(
        "ix_einvoice_status_invoice", "einvoice_status", ["tenant_id", "invoice_id", "occurred_at"]
    )
    protect_tenant_table("einvoice_status", app="SELECT", system="SELECT, INSERT")
    op.execute(
        """
        CREATE FUNCTION refuse_change_of_archive() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the archive is written once' USING ERRCODE = '23001';
        END $$
        """
    )
    for table in ("invoice_archive", "einvoice_status"):
        op.execute(
            f"CREATE TRIGGER written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_archive()"
        )


def downgrade() -> None:
    for table in ("einvoice_status", "invoice_archive", "einvoice"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change_of_archive()")
