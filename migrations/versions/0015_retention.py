"""What the retention schedule deletes is found by its age, and the platform may delete it.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.policies import SYSTEM

revision = "0015"
down_revision = "0014"

_AGES = (
    ("outbox_event", "routed_at", None),
    ("idempotency", "created_at", None),
    ("service_event", "occurred_at", None),
    ("cold_start", "recorded_at", None),
    ("instance", "terminated_at", "terminated_at IS NOT NULL"),
    ("usage_event_conflict", "received_at", None),
)
_DELETED = ("instance", "cold_start", "usage_event_conflict", "service_event")


def upgrade() -> None:
    for table, column, condition in _AGES:
        where = None if condition is None else sa.text(condition)
        op.create_index(f"ix_{table}_age", table, [column], postgresql_where=where)
    # Most events are ticks, and they go thirty times as soon as the others.
    op.create_index(
        "ix_outbox_event_tick_age",
        "outbox_event",
        ["routed_at"],
        postgresql_where=sa.text("topic LIKE 'tick.%'"),
    )
    for table in _DELETED:
        op.execute(f"GRANT DELETE ON {table} TO {SYSTEM}")
    # A tenant's role has no right to delete events; the platform's deletes those whose time is over.
    _guard_events("UPDATE OR TRUNCATE")


def downgrade() -> None:
    _guard_events("UPDATE OR DELETE OR TRUNCATE")
    for table in _DELETED:
        op.execute(f"REVOKE DELETE ON {table} FROM {SYSTEM}")
    op.drop_index("ix_outbox_event_tick_age", "outbox_event")
    for table, _, _ in _AGES:
        op.drop_index(f"ix_{table}_age", table)


def _guard_events(acts: str) -> None:
    op.execute("DROP TRIGGER service_event_append_only ON service_event")
    op.execute(
        f"CREATE TRIGGER service_event_append_only BEFORE {acts} ON service_event "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
