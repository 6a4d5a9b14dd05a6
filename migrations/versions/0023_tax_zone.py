"""Where a tenant is taxed, by what was shown at sign-up or approved since.

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    # Null for those from before: their billing party counts as it is, and is recorded when it changes.
    op.add_column("tenant", sa.Column("tax_zone", sa.String(16)))


def downgrade() -> None:
    op.drop_column("tenant", "tax_zone")
