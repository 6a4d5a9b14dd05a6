"""A limit on everything that a tenant can make more of.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

DEFAULTS = {"api_keys": 100, "apps": 200, "secrets": 200}


def upgrade() -> None:
    table = sa.table("quota_default", sa.column("name"), sa.column("limit_count"))
    op.bulk_insert(table, [{"name": name, "limit_count": count} for name, count in DEFAULTS.items()])


def downgrade() -> None:
    for name in ("quota", "quota_default"):
        table = sa.table(name, sa.column("name"))
        op.execute(sa.delete(table).where(table.c.name.in_(DEFAULTS)))
