"""Where audited acts were asked for, and what was refused to whom.

Revision ID: 0027
Revises: 0026
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from migrations.policies import protect_tenant_table

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.create_table(
        "audit_origin",
        sa.Column("chain", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True)),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("user_agent", sa.String(200), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64)),
        sa.PrimaryKeyConstraint("chain", "sequence", name="pk_audit_origin"),
    )
    op.create_index("ix_audit_origin_occurred_at", "audit_origin", ["occurred_at"])
    protect_tenant_table("audit_origin", app="SELECT, INSERT", system="SELECT, INSERT, DELETE")
    op.create_table(
        "security_event",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True)),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("reason", sa.String(100), nullable=False),
        sa.Column("route", sa.String(100), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64)),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_security_event"),
        sa.CheckConstraint("count > 0", name="ck_security_event_count"),
    )
    op.create_index("ix_security_event_tenant_id_id", "security_event", ["tenant_id", "id"])
    op.create_index("ix_security_event_address_id", "security_event", ["address", "id"])
    op.create_index("ix_security_event_last_at", "security_event", ["last_at"])
    protect_tenant_table("security_event", app="SELECT", system="SELECT, INSERT, DELETE")


def downgrade() -> None:
    op.drop_table("security_event")
    op.drop_table("audit_origin")
