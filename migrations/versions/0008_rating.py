"""SKUs, immutable price versions, plans, credits, rated periods, budgets and their alerts.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

from migrations.policies import grant_platform_table, protect_tenant_table

revision = "0008"
down_revision = "0007"

_APPEND_ONLY = ("price_version", "tenant_plan", "credit_grant", "credit_use", "rated_period", "rated_line")


def upgrade() -> None:
    _create_prices()
    _create_plans()
    _create_credits()
    _create_rated()
    _create_budgets()
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def _create_prices() -> None:
    op.create_table(
        "sku",
        sa.Column("code", sa.String(100), nullable=False),
        sa.Column("description_fr", sa.String(200), nullable=False),
        sa.Column("description_en", sa.String(200), nullable=False),
        sa.Column("meter", sa.String(40)),
        sa.Column("unit", sa.String(20), nullable=False),
        sa.Column("matches", JSONB, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_sku"),
        # Two SKUs that price the same usage would leave it to chance which one does.
        sa.UniqueConstraint("meter", "matches", name="uq_sku_meter_matches"),
    )
    op.create_table(
        "price_version",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("book", sa.String(63), nullable=False),
        sa.Column("sku", sa.String(100), nullable=False),
        sa.Column("model", sa.String(16), nullable=False),
        sa.Column("base_quantity", sa.Numeric(20, 4), nullable=False),
        sa.Column("free_quantity", sa.Numeric(38, 4), nullable=False),
        sa.Column("tiers", JSONB, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_price_version"),
        sa.ForeignKeyConstraint(["sku"], ["sku.code"], name="fk_price_version_sku"),
        sa.UniqueConstraint("book", "sku", "valid_from", name="uq_price_version_book_sku_valid_from"),
        sa.CheckConstraint("base_quantity > 0", name="ck_price_version_base_quantity"),
        sa.CheckConstraint("free_quantity >= 0", name="ck_price_version_free_quantity"),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="ck_price_version_valid"),
        sa.CheckConstraint("model IN ('PER_UNIT', 'GRADUATED', 'FLAT')", name="ck_price_version_model"),
    )
    grant_platform_table("sku", app="SELECT", system="SELECT, INSERT")
    grant_platform_table("price_version", app="SELECT", system="SELECT, INSERT")


def _create_plans() -> None:
    op.create_table(
        "plan",
        sa.Column("code", sa.String(63), nullable=False),
        sa.Column("title_fr", sa.String(200), nullable=False),
        sa.Column("title_en", sa.String(200), nullable=False),
        sa.Column("book", sa.String(63), nullable=False),
        sa.Column("fee_sku", sa.String(100)),
        sa.Column("discount_percent", sa.Numeric(5, 2), nullable=False),
        sa.Column("minimum_minor", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_plan"),
        sa.ForeignKeyConstraint(["fee_sku"], ["sku.code"], name="fk_plan_fee_sku"),
        sa.CheckConstraint("discount_percent BETWEEN 0 AND 100", name="ck_plan_discount_percent"),
        sa.CheckConstraint("minimum_minor >= 0", name="ck_plan_minimum_minor"),
    )
    # A plan is a promise: another promise is another plan.
    grant_platform_table("plan", app="SELECT", system="SELECT, INSERT")
    op.create_table(
        "tenant_plan",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("plan", sa.String(63), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "valid_from", name="pk_tenant_plan"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_tenant_plan_tenant_id"),
        sa.ForeignKeyConstraint(["plan"], ["plan.code"], name="fk_tenant_plan_plan"),
    )
    protect_tenant_table("tenant_plan", app="SELECT", system="SELECT, INSERT")


def _create_credits() -> None:
    op.create_table(
        "credit_grant",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_credit_grant"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_credit_grant_tenant_id"),
        sa.CheckConstraint("amount_minor > 0", name="ck_credit_grant_amount_minor"),
        sa.CheckConstraint(
            "expires_at IS NULL OR expires_at > effective_from", name="ck_credit_grant_expires_at"
        ),
        sa.CheckConstraint(
            "kind = 'PREPAID' OR expires_at IS NOT NULL", name="ck_credit_grant_promotional_ends"
        ),
    )
    protect_tenant_table("credit_grant", app="SELECT", system="SELECT, INSERT")


def _create_rated() -> None:
    op.create_table(
        "rated_period",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cutoff", sa.BigInteger),
        sa.Column("plan_code", sa.String(63), nullable=False),
        sa.Column("rating_hash", sa.String(64), nullable=False),
        sa.Column("is_correction", sa.Boolean, nullable=False),
        sa.Column("net_minor", sa.BigInteger, nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_rated_period"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_rated_period_tenant_id"),
        sa.UniqueConstraint("tenant_id", "rating_hash", name="uq_rated_period_tenant_id_rating_hash"),
    )
    op.create_index(
        "uq_rated_period_first",
        "rated_period",
        ["tenant_id", "period_start"],
        unique=True,
        postgresql_where=sa.text("NOT is_correction"),
    )
    op.create_table(
        "rated_line",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("rated_period_id", UUID(as_uuid=True), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("sku", sa.String(100), nullable=False),
        sa.Column("price_version_id", UUID(as_uuid=True)),
        sa.Column("tier", sa.Integer, nullable=False),
        sa.Column("quantity", sa.Numeric(38, 4), nullable=False),
        sa.Column("exact_amount", sa.Numeric(48, 18), nullable=False),
        sa.Column("net_minor", sa.BigInteger, nullable=False),
        sa.Column("line", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "rated_period_id", "position", name="pk_rated_line"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rated_period_id"],
            ["rated_period.tenant_id", "rated_period.id"],
            name="fk_rated_line_tenant_id_rated_period_id",
        ),
    )
    op.create_table(
        "credit_use",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("rated_period_id", UUID(as_uuid=True), nullable=False),
        sa.Column("grant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "rated_period_id", "grant_id", name="pk_credit_use"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rated_period_id"],
            ["rated_period.tenant_id", "rated_period.id"],
            name="fk_credit_use_tenant_id_rated_period_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "grant_id"],
            ["credit_grant.tenant_id", "credit_grant.id"],
            name="fk_credit_use_tenant_id_grant_id",
        ),
        sa.CheckConstraint("amount_minor > 0", name="ck_credit_use_amount_minor"),
    )
    for table in ("rated_period", "rated_line", "credit_use"):
        protect_tenant_table(table, app="SELECT", system="SELECT, INSERT")


def _create_budgets() -> None:
    op.create_table(
        "budget",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("project_id", UUID(as_uuid=True)),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("is_hard", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_budget"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_budget_tenant_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "project_id"],
            ["project.tenant_id", "project.id"],
            name="fk_budget_tenant_id_project_id",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("amount_minor > 0", name="ck_budget_amount_minor"),
    )
    op.create_index(
        "uq_budget_scope",
        "budget",
        ["tenant_id", sa.text("coalesce(project_id, tenant_id)")],
        unique=True,
    )
    protect_tenant_table("budget")
    op.create_table(
        "budget_alert",
        sa.Column("tenant_id", UUID(as_uuid=True), nullable=False),
        sa.Column("scope_id", UUID(as_uuid=True), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("threshold_percent", sa.Integer, nullable=False),
        sa.Column("cost_minor", sa.BigInteger, nullable=False),
        sa.Column("budget_minor", sa.BigInteger, nullable=False),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=False),
        # The key is the promise: one alert for each threshold of a month, however many workers look.
        sa.PrimaryKeyConstraint(
            "tenant_id", "scope_id", "period_start", "threshold_percent", name="pk_budget_alert"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_budget_alert_tenant_id"),
    )
    protect_tenant_table("budget_alert", app="SELECT", system="SELECT, INSERT")


def downgrade() -> None:
    for table in (
        "budget_alert",
        "budget",
        "credit_use",
        "rated_line",
        "rated_period",
        "credit_grant",
        "tenant_plan",
        "plan",
        "price_version",
        "sku",
    ):
        op.drop_table(table)
