"""What is asked for single machines, and how far their drains are.

Revision ID: 0029
Revises: 0028
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.add_column("node_pool", sa.Column("node_orders", JSONB, nullable=False, server_default="[]"))
    # The next list of the cell fills them in.
    op.add_column("node", sa.Column("uid", sa.String(64), nullable=False, server_default=""))
    op.add_column("node", sa.Column("is_drained", sa.Boolean))
    op.add_column("node", sa.Column("drain_message", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    for name in ("uid", "is_drained", "drain_message"):
        op.drop_column("node", name)
    op.drop_column("node_pool", "node_orders")
