"""Budgets of writes, sizes of secrets, and the rights to forget old deployments.

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from migrations.policies import SYSTEM, protect_tenant_table

revision = "0018"
down_revision = "0017"

_FORGOTTEN = "regional_deployment, placement_explanation, deployment"


def upgrade() -> None:
    op.create_table(
        "write_allowance",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", UUID(as_uuid=True), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "subject", name="pk_write_allowance"),
    )
    op.create_index("ix_write_allowance_full_at", "write_allowance", ["full_at"])
    protect_tenant_table(
        "write_allowance", app="SELECT, INSERT, UPDATE", system="SELECT, INSERT, UPDATE, DELETE"
    )
    op.add_column("secret", sa.Column("size_bytes", sa.Integer, nullable=False, server_default="0"))
    # Even the owner sees no row while row-level security is forced. AES-GCM adds a tag of 16 bytes.
    _force("NO FORCE")
    op.execute(
        "UPDATE secret SET size_bytes = octet_length(v.ciphertext) - 16 FROM secret_version v"
        " WHERE v.tenant_id = secret.tenant_id AND v.secret_id = secret.id AND v.version = secret.version"
    )
    _force("FORCE")
    op.execute(f"GRANT DELETE ON {_FORGOTTEN} TO {SYSTEM}")


def _force(word: str) -> None:
    for table in ("secret", "secret_version"):
        op.execute(f"ALTER TABLE {table} {word} ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute(f"REVOKE DELETE ON {_FORGOTTEN} FROM {SYSTEM}")
    op.drop_column("secret", "size_bytes")
    op.drop_table("write_allowance")
