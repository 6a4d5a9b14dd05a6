"""Roles of the operator's keys, what a producer reports for, and when the end of access was last warned of.

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

# The naming convention was applied to a name that already followed it.
_ROLES = "ck_api_key_ck_api_key_platform_role"
_ALL = "'platform', 'platform_sre', 'platform_billing', 'platform_auditor', 'producer'"


def upgrade() -> None:
    op.add_column("api_key", sa.Column("source", sa.String(100)))
    op.add_column("api_key", sa.Column("warned_days", sa.SmallInteger))
    op.execute(
        "ALTER TABLE api_key ADD CONSTRAINT ck_api_key_source_of_producer"
        " CHECK (source IS NULL OR role = 'producer')"
    )
    _set_roles(_ALL)


def downgrade() -> None:
    op.execute("DELETE FROM api_key WHERE role IN ('platform_sre', 'platform_billing', 'platform_auditor')")
    _set_roles("'platform', 'producer'")
    op.execute("ALTER TABLE api_key DROP CONSTRAINT ck_api_key_source_of_producer")
    op.drop_column("api_key", "warned_days")
    op.drop_column("api_key", "source")


def _set_roles(names: str) -> None:
    op.execute(f"ALTER TABLE api_key DROP CONSTRAINT {_ROLES}")
    op.execute(f"ALTER TABLE api_key ADD CONSTRAINT {_ROLES} CHECK ((role IN ({names})) = (kind = 'adm'))")
