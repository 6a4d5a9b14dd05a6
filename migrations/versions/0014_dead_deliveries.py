"""Dead deliveries are found without reading those that are done.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_index(
        "ix_delivery_dead", "delivery", ["event_id", "consumer"], postgresql_where=sa.text("state = 'DEAD'")
    )


def downgrade() -> None:
    op.drop_index("ix_delivery_dead", "delivery")
