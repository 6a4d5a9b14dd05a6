"""Tenants, projects, quotas, API keys.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from migrations.policies import grant_platform_table, protect_tenant_table

revision = "0002"
down_revision = "0001"

# What a new tenant may have before anybody has spoken with it.
QUOTA_DEFAULTS = {"projects": 10, "services": 50, "gpus": 64}


def upgrade() -> None:
    _create_tenant()
    _create_project()
    _create_quota()
    _create_api_key()


def _instant(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _create_tenant() -> None:
    op.create_table(
        "tenant",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("suspension_reason", sa.String(500)),
        sa.Column("legal_name", sa.String(200), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("siren", sa.String(9)),
        sa.Column("vat_id", sa.String(16)),
        sa.Column("address_line1", sa.String(200), nullable=False),
        sa.Column("address_line2", sa.String(200), nullable=False),
        sa.Column("postal_code", sa.String(20), nullable=False),
        sa.Column("city", sa.String(100), nullable=False),
        sa.Column("address_country", sa.String(2), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        _instant("created_at"),
        _instant("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenant"),
        sa.UniqueConstraint("name", name="uq_tenant_name"),
        sa.CheckConstraint("status IN ('ACTIVE', 'SUSPENDED')", name="ck_tenant_status"),
    )
    # A tenant comes into being by the platform's transaction and is never deleted by its own.
    protect_tenant_table("tenant", app="SELECT, UPDATE", system="SELECT, INSERT, UPDATE")


def _create_project() -> None:
    op.create_table(
        "project",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("description", sa.String(500), nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        _instant("created_at"),
        _instant("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_project"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_project_tenant_id"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_project_tenant_id_id"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_project_tenant_id_name"),
    )
    op.create_index(
        "uq_project_default", "project", ["tenant_id"], unique=True, postgresql_where=sa.text("is_default")
    )
    protect_tenant_table("project")


def _create_quota() -> None:
    defaults = op.create_table(
        "quota_default",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("limit_count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_quota_default"),
    )
    op.bulk_insert(defaults, [{"name": name, "limit_count": count} for name, count in QUOTA_DEFAULTS.items()])
    grant_platform_table("quota_default", app="SELECT", system="SELECT, UPDATE")
    op.create_table(
        "quota",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("limit_count", sa.Integer, nullable=False),
        _instant("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id", "name", name="pk_quota"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_quota_tenant_id"),
        sa.ForeignKeyConstraint(["name"], ["quota_default.name"], name="fk_quota_name"),
        sa.CheckConstraint("limit_count >= 0", name="ck_quota_limit_not_negative"),
    )
    # A tenant sees its limits; only the platform moves them.
    protect_tenant_table("quota", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE")


def _create_api_key() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("tenant_id", UUID(as_uuid=True)),
        sa.Column("project_id", UUID(as_uuid=True)),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(3), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("scopes", ARRAY(sa.String(16)), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("last_four", sa.String(4), nullable=False),
        _instant("created_at"),
        sa.Column("created_by", sa.String(100), nullable=False),
        _instant("expires_at", nullable=True),
        _instant("revoked_at", nullable=True),
        _instant("last_used_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("hash", name="uq_api_key_hash"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_api_key_tenant_id"),
        # A key that is bound to a project dies with it: it must not widen to the whole tenant.
        sa.ForeignKeyConstraint(
            ["tenant_id", "project_id"],
            ["project.tenant_id", "project.id"],
            name="fk_api_key_tenant_id_project_id",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("(tenant_id IS NULL) = (kind = 'adm')", name="ck_api_key_platform_has_no_tenant"),
        sa.CheckConstraint("(role = 'platform') = (kind = 'adm')", name="ck_api_key_platform_role"),
        sa.CheckConstraint("length(hash) = 64", name="ck_api_key_hash_is_sha256"),
    )
    op.create_index("ix_api_key_tenant_id_id", "api_key", ["tenant_id", "id"])
    op.create_index(
        "ix_api_key_usable", "api_key", ["tenant_id"], postgresql_where=sa.text("revoked_at IS NULL")
    )
    protect_tenant_table("api_key", app="SELECT, INSERT, UPDATE")


def downgrade() -> None:
    for table in ("api_key", "quota", "quota_default", "project", "tenant"):
        op.drop_table(table)
