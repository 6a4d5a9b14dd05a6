"""Racks, dated operators and owners, closed sites; what a pool may draw, holds by hand and marks; readiness of nodes.

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

from migrations.policies import grant_platform_table

revision = "0020"
down_revision = "0019"

_EMPTY = sa.text("'{}'::jsonb")
_NONE = sa.text("'[]'::jsonb")


def upgrade() -> None:
    op.add_column("datacenter", sa.Column("rack_count", sa.Integer))
    op.add_column("datacenter", sa.Column("closed_at", sa.DateTime(timezone=True)))
    _create_roles()
    for name in ("nodes_seen", "nodes_there"):
        op.add_column("node_pool", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    # Whatever was wanted may be there; the cell's next report says what is.
    op.execute("UPDATE node_pool SET nodes_there = greatest(replicas, ready_nodes), nodes_seen = ready_nodes")
    op.add_column("node_pool", sa.Column("is_paused", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("node_pool", sa.Column("node_labels", JSONB, nullable=False, server_default=_EMPTY))
    op.add_column("node_pool", sa.Column("node_taints", JSONB, nullable=False, server_default=_NONE))
    op.add_column("node_pool", sa.Column("held_reason", sa.Text, nullable=False, server_default=""))
    for name in ("is_ready", "is_leaving"):
        op.add_column("node", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("node", sa.Column("reason", sa.String(64), nullable=False, server_default=""))
    op.add_column("node", sa.Column("message", sa.Text, nullable=False, server_default=""))
    op.add_column("node", sa.Column("gpus", sa.Integer, nullable=False, server_default="0"))
    op.add_column("node", sa.Column("labels", JSONB, nullable=False, server_default=_EMPTY))
    op.add_column("node", sa.Column("taints", JSONB, nullable=False, server_default=_NONE))
    op.add_column("reservation", sa.Column("replicas", sa.Integer, nullable=False, server_default="1"))


def _create_roles() -> None:
    op.create_table(
        "site_role",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("datacenter_id", UUID(as_uuid=True), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("entity_id", UUID(as_uuid=True), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_site_role"),
        sa.ForeignKeyConstraint(["datacenter_id"], ["datacenter.id"], name="fk_site_role_datacenter_id"),
        sa.CheckConstraint("role IN ('operator', 'owner')", name="ck_site_role_role"),
    )
    op.create_index("ix_site_role_datacenter_id", "site_role", ["datacenter_id"])
    # A fact is never changed or deleted: nobody is granted either.
    grant_platform_table("site_role", app="SELECT", system="SELECT, INSERT")
    for role in ("operator", "owner"):
        op.execute(
            "INSERT INTO site_role (id, datacenter_id, role, entity_id, valid_from, evidence, recorded_at)"  # noqa: S608
            f" SELECT gen_random_uuid(), id, '{role}', {role}_entity_id, created_at,"
            " 'stated when the site was registered', created_at FROM datacenter"
        )
        op.drop_column("datacenter", f"{role}_entity_id")


def downgrade() -> None:
    for role in ("operator", "owner"):
        op.add_column("datacenter", sa.Column(f"{role}_entity_id", UUID(as_uuid=True)))
        op.execute(
            f"UPDATE datacenter SET {role}_entity_id = (SELECT entity_id FROM site_role"  # noqa: S608
            f" WHERE datacenter_id = datacenter.id AND role = '{role}' AND valid_from <= now()"
            " ORDER BY valid_from DESC, recorded_at DESC LIMIT 1)"
        )
        op.alter_column("datacenter", f"{role}_entity_id", nullable=False)
    op.drop_table("site_role")
    for table, names in (
        ("datacenter", ("rack_count", "closed_at")),
        (
            "node_pool",
            ("nodes_seen", "nodes_there", "is_paused", "node_labels", "node_taints", "held_reason"),
        ),
        ("node", ("is_ready", "is_leaving", "reason", "message", "gpus", "labels", "taints")),
        ("reservation", ("replicas",)),
    ):
        for name in names:
            op.drop_column(table, name)
