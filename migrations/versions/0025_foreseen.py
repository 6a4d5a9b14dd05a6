"""What is announced to end a kept verdict.

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("verdict", sa.Column("foreseen", JSONB))


def downgrade() -> None:
    op.drop_column("verdict", "foreseen")
