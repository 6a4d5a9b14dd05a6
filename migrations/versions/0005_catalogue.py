"""Models and instance types.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.policies import grant_platform_table

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    _create_instance_types()
    _create_models()
    for table in ("catalogue_instance_type", "catalogue_model"):
        grant_platform_table(table, app="SELECT", system="SELECT, INSERT, UPDATE")


def _create_instance_types() -> None:
    op.create_table(
        "catalogue_instance_type",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("cpu_milli", sa.Integer, nullable=False),
        sa.Column("memory_mib", sa.Integer, nullable=False),
        sa.Column("gpus", sa.Integer, nullable=False),
        sa.Column("gpu_sku", sa.String(63)),
        sa.Column("price_per_hour_micro", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_catalogue_instance_type"),
        sa.CheckConstraint("price_per_hour_micro >= 0", name="ck_catalogue_instance_type_price"),
    )


def _create_models() -> None:
    op.create_table(
        "catalogue_model",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("licence_colour", sa.String(10), nullable=False),
        sa.Column("licence_spdx", sa.String(64), nullable=False),
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("origin_country", sa.String(2)),
        sa.Column("uri", sa.String(1024), nullable=False),
        sa.Column("digest", sa.String(71)),
        sa.Column("engine_name", sa.String(64), nullable=False),
        sa.Column("engine_image", sa.String(256), nullable=False),
        sa.Column("engine_args", JSONB, nullable=False),
        sa.Column("parameters", sa.BigInteger, nullable=False),
        sa.Column("context_tokens", sa.Integer, nullable=False),
        sa.Column("cpu_milli", sa.Integer, nullable=False),
        sa.Column("memory_mib", sa.Integer, nullable=False),
        sa.Column("gpus", sa.Integer, nullable=False),
        sa.Column("gpu_sku", sa.String(63)),
        sa.Column("instance_type", sa.String(63), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_catalogue_model"),
        sa.ForeignKeyConstraint(
            ["instance_type"], ["catalogue_instance_type.name"], name="fk_catalogue_model_instance_type"
        ),
        sa.CheckConstraint(
            "licence_colour IN ('green', 'yellow', 'blue')", name="ck_catalogue_model_licence_colour"
        ),
        sa.CheckConstraint("digest ~ '^sha256:[0-9a-f]{64}$'", name="ck_catalogue_model_digest"),
    )


def downgrade() -> None:
    op.drop_table("catalogue_model")
    op.drop_table("catalogue_instance_type")
