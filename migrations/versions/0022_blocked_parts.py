"""Since when a part cannot serve; events that are told again are one record with a count.

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.policies import APP, SYSTEM

revision = "0022"
down_revision = "0021"

_FIXED = (
    "tenant_id",
    "id",
    "service_id",
    "deployment_id",
    "regional_deployment_id",
    "type",
    "reason",
    "occurred_at",
)


# A wait that goes on keeps its newest wording.
_WAITS = "'PLACEMENT_PENDING', 'SCALE_WAITING', 'PART_BLOCKED'"


def upgrade() -> None:
    op.add_column("regional_deployment", sa.Column("blocked_since", sa.DateTime(timezone=True)))
    op.add_column("service_event", sa.Column("count", sa.Integer, nullable=False, server_default="1"))
    op.add_column("service_event", sa.Column("last_at", sa.DateTime(timezone=True)))
    op.execute("DROP TRIGGER service_event_append_only ON service_event")
    op.execute(
        "CREATE TRIGGER service_event_kept BEFORE TRUNCATE ON service_event "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in _FIXED)
    changed += f" OR (OLD.message IS DISTINCT FROM NEW.message AND OLD.type NOT IN ({_WAITS}))"
    op.execute(
        f"CREATE TRIGGER service_event_append_only BEFORE UPDATE ON service_event FOR EACH ROW WHEN ({changed}) "
        "EXECUTE FUNCTION refuse_change()"
    )
    op.execute(f"GRANT UPDATE (count, last_at, message) ON service_event TO {APP}, {SYSTEM}")


def downgrade() -> None:
    op.execute(f"REVOKE UPDATE (count, last_at, message) ON service_event FROM {APP}, {SYSTEM}")
    op.execute("DROP TRIGGER service_event_kept ON service_event")
    op.execute("DROP TRIGGER service_event_append_only ON service_event")
    op.execute(
        "CREATE TRIGGER service_event_append_only BEFORE UPDATE OR TRUNCATE ON service_event "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.drop_column("service_event", "last_at")
    op.drop_column("service_event", "count")
    op.drop_column("regional_deployment", "blocked_since")
