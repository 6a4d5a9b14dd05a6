"""Under which secret key a hash or a sealed value was made, so that secrets can be replaced while all goes on.

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.policies import APP, SYSTEM

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    for table, column in (("api_key", "hash_key_id"), ("secret_version", "sealing_key_id")):
        op.add_column(table, sa.Column(column, sa.String(16), nullable=False, server_default="1"))
    op.execute(f"GRANT UPDATE (nonce, ciphertext, sealing_key_id) ON secret_version TO {SYSTEM}")
    op.execute(f"GRANT INSERT (sealing_key_id) ON secret_version TO {APP}")


def downgrade() -> None:
    op.execute(f"REVOKE UPDATE (nonce, ciphertext, sealing_key_id) ON secret_version FROM {SYSTEM}")
    op.drop_column("secret_version", "sealing_key_id")
    op.drop_column("api_key", "hash_key_id")
