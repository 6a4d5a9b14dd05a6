"""Datacenters, cells, node pools, nodes, reservations.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

from migrations.policies import grant_platform_table, protect_tenant_table

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _create_sites()
    _create_pools()
    op.create_table(
        "reservation",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("holder", UUID(as_uuid=True), nullable=False),
        sa.Column("pool_id", UUID(as_uuid=True), nullable=False),
        sa.Column("gpus", sa.Integer, nullable=False),
        sa.Column("cpu_milli", sa.Integer, nullable=False),
        sa.Column("memory_mib", sa.Integer, nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "holder", name="pk_reservation"),
        sa.ForeignKeyConstraint(["pool_id"], ["node_pool.id"], name="fk_reservation_pool_id"),
    )
    protect_tenant_table("reservation", app="SELECT", system="SELECT, INSERT, DELETE")


def _create_sites() -> None:
    op.create_table(
        "datacenter",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("code", sa.String(40), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("operator_entity_id", UUID(as_uuid=True), nullable=False),
        sa.Column("owner_entity_id", UUID(as_uuid=True), nullable=False),
        sa.Column("power_kw", sa.Integer, nullable=False),
        sa.Column("rack_kw_max", sa.Integer, nullable=False),
        sa.Column("pue_milli", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_datacenter"),
        sa.UniqueConstraint("code", name="uq_datacenter_code"),
    )
    op.create_table(
        "cell",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("datacenter_id", UUID(as_uuid=True), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cell"),
        sa.UniqueConstraint("name", name="uq_cell_name"),
        sa.ForeignKeyConstraint(["datacenter_id"], ["datacenter.id"], name="fk_cell_datacenter_id"),
    )
    for table in ("datacenter", "cell"):
        grant_platform_table(table, app="SELECT", system="SELECT, INSERT, UPDATE")


def _create_pools() -> None:
    amounts = (
        "gpus_per_node",
        "cpu_milli_per_node",
        "memory_mib_per_node",
        "watts_per_node",
        "replicas",
        "ready_nodes",
    )
    reserved = ("gpus_reserved", "cpu_milli_reserved", "memory_mib_reserved")
    op.create_table(
        "node_pool",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("datacenter_id", UUID(as_uuid=True), nullable=False),
        sa.Column("cell_id", UUID(as_uuid=True), nullable=False),
        sa.Column("provider", sa.String(20), nullable=False),
        sa.Column("instance_type", sa.String(63), nullable=False),
        sa.Column("accelerator_sku", sa.String(63)),
        *(sa.Column(name, sa.Integer, nullable=False) for name in (*amounts, *reserved)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_node_pool"),
        sa.UniqueConstraint("name", name="uq_node_pool_name"),
        sa.ForeignKeyConstraint(["datacenter_id"], ["datacenter.id"], name="fk_node_pool_datacenter_id"),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name="fk_node_pool_cell_id"),
        *(sa.CheckConstraint(f"{name} >= 0", name=f"ck_node_pool_{name}") for name in reserved),
    )
    grant_platform_table("node_pool", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE")
    op.create_table(
        "node",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("pool_name", sa.String(50), nullable=False),
        sa.Column("node_name", sa.String(253), nullable=False),
        sa.Column("phase", sa.String(32), nullable=False),
        sa.Column("is_simulated", sa.Boolean, nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True)),
        sa.Column("acceptance", JSONB, nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_node"),
    )
    op.create_index("ix_node_pool_name", "node", ["pool_name"])
    grant_platform_table("node", app=None)


def downgrade() -> None:
    for table in ("reservation", "node", "node_pool", "cell", "datacenter"):
        op.drop_table(table)
