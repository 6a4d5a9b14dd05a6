"""Rows of the rating room. Prices, plans, credits and what was booked never change (triggers of migration 0008)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.plumbing.orm import Base, IdType
from controlplane.rating.domain import CreditGrantId, PriceVersionId


class SkuRow(Base):
    __tablename__ = "sku"

    code: Mapped[str] = mapped_column(String(100), primary_key=True)
    description_fr: Mapped[str] = mapped_column(String(200))
    description_en: Mapped[str] = mapped_column(String(200))
    meter: Mapped[str | None] = mapped_column(String(40))
    unit: Mapped[str] = mapped_column(String(20))
    matches: Mapped[dict[str, str]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (UniqueConstraint("meter", "matches", name="uq_sku_meter_matches"),)


class PriceVersionRow(Base):
    """`tiers` is [{up_to, unit_price}] with decimals as texts."""

    __tablename__ = "price_version"

    id: Mapped[PriceVersionId] = mapped_column(IdType(PriceVersionId), primary_key=True)
    book: Mapped[str] = mapped_column(String(63))
    sku: Mapped[str] = mapped_column(String(100), ForeignKey("sku.code"))
    model: Mapped[str] = mapped_column(String(16))
    base_quantity: Mapped[Decimal] = mapped_column(Numeric(20, 4))
    free_quantity: Mapped[Decimal] = mapped_column(Numeric(38, 4))
    tiers: Mapped[list[dict[str, str | None]]] = mapped_column(JSONB)
    currency: Mapped[str] = mapped_column(String(3))
    valid_from: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    valid_to: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_by: Mapped[str] = mapped_column(String(100))

    __table_args__ = (
        UniqueConstraint("book", "sku", "valid_from", name="uq_price_version_book_sku_valid_from"),
    )


class PlanRow(Base):
    __tablename__ = "plan"

    code: Mapped[str] = mapped_column(String(63), primary_key=True)
    title_fr: Mapped[str] = mapped_column(String(200))
    title_en: Mapped[str] = mapped_column(String(200))
    book: Mapped[str] = mapped_column(String(63))
    fee_sku: Mapped[str | None] = mapped_column(String(100), ForeignKey("sku.code"))
    discount_percent: Mapped[Decimal] = mapped_column(Numeric(5, 2))
    minimum_minor: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class TenantPlanRow(Base):
    """A tenant's plan from `valid_from` on, until the next row."""

    __tablename__ = "tenant_plan"

    tenant_id: Mapped[TenantId] = mapped_column(
        IdType(TenantId), ForeignKey("tenant.tenant_id"), primary_key=True
    )
    valid_from: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    plan: Mapped[str] = mapped_column(String(63), ForeignKey("plan.code"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_by: Mapped[str] = mapped_column(String(100))


class CreditGrantRow(Base):
    __tablename__ = "credit_grant"

    tenant_id: Mapped[TenantId] = mapped_column(
        IdType(TenantId), ForeignKey("tenant.tenant_id"), primary_key=True
    )
    id: Mapped[CreditGrantId] = mapped_column(IdType(CreditGrantId), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    label: Mapped[str] = mapped_column(String(200))
    priority: Mapped[int] = mapped_column(Integer)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    effective_from: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    deposit_id: Mapped[UUID | None] = mapped_column(PG_UUID(as_uuid=True))


class RatedPeriodRow(Base):
    """What was billed for a period: once as a whole, then corrections. `booked_at` is when it went on an invoice."""

    __tablename__ = "rated_period"

    tenant_id: Mapped[TenantId] = mapped_column(
        IdType(TenantId), ForeignKey("tenant.tenant_id"), primary_key=True
    )
    id: Mapped[UUID] = mapped_column(PG_UUID(as_uuid=True), primary_key=True)
    period_start: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    period_end: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    cutoff: Mapped[int | None] = mapped_column(BigInteger)
    plan_code: Mapped[str] = mapped_column(String(63))
    rating_hash: Mapped[str] = mapped_column(String(64))
    is_correction: Mapped[bool] = mapped_column(Boolean)
    net_minor: Mapped[int] = mapped_column(BigInteger)
    booked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        UniqueConstraint("tenant_id", "rating_hash", name="uq_rated_period_tenant_id_rating_hash"),
        Index(
            "uq_rated_period_first",
            "tenant_id",
            "period_start",
            unique=True,
            postgresql_where=text("NOT is_correction"),
        ),
    )


class RatedLineRow(Base):
    """A booked line; `line` is the whole of it, the columns are what is summed."""

    __tablename__ = "rated_line"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    rated_period_id: Mapped[UUID] = mapped_column(PG_UUID(as_uuid=True), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    sku: Mapped[str] = mapped_column(String(100))
    price_version_id: Mapped[PriceVersionId | None] = mapped_column(IdType(PriceVersionId))
    tier: Mapped[int] = mapped_column(Integer)
    quantity: Mapped[Decimal] = mapped_column(Numeric(38, 4))
    exact_amount: Mapped[Decimal] = mapped_column(Numeric(48, 18))
    net_minor: Mapped[int] = mapped_column(BigInteger)
    line: Mapped[dict[str, Any]] = mapped_column(JSONB)

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "rated_period_id"],
            ["rated_period.tenant_id", "rated_period.id"],
            name="fk_rated_line_tenant_id_rated_period_id",
        ),
    )


class CreditUseRow(Base):
    __tablename__ = "credit_use"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    rated_period_id: Mapped[UUID] = mapped_column(PG_UUID(as_uuid=True), primary_key=True)
    grant_id: Mapped[CreditGrantId] = mapped_column(IdType(CreditGrantId), primary_key=True)
    amount_minor: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "rated_period_id"],
            ["rated_period.tenant_id", "rated_period.id"],
            name="fk_credit_use_tenant_id_rated_period_id",
        ),
        ForeignKeyConstraint(
            ["tenant_id", "grant_id"],
            ["credit_grant.tenant_id", "credit_grant.id"],
            name="fk_credit_use_tenant_id_grant_id",
        ),
    )


class BudgetRow(Base):
    """A tenant's monthly budget, or one of its projects'; at most one each (unique index `uq_budget_scope`)."""

    __tablename__ = "budget"

    tenant_id: Mapped[TenantId] = mapped_column(
        IdType(TenantId), ForeignKey("tenant.tenant_id"), primary_key=True
    )
    id: Mapped[UUID] = mapped_column(PG_UUID(as_uuid=True), primary_key=True)
    project_id: Mapped[ProjectId | None] = mapped_column(IdType(ProjectId))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    is_hard: Mapped[bool] = mapped_column(Boolean)
    version: Mapped[int] = mapped_column(Integer)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "project_id"],
            ["project.tenant_id", "project.id"],
            name="fk_budget_tenant_id_project_id",
            ondelete="CASCADE",
        ),
    )


class BudgetAlertRow(Base):
    """One alert that fired. `scope_id` is the project's id, or the tenant's for the whole of it."""

    __tablename__ = "budget_alert"

    tenant_id: Mapped[TenantId] = mapped_column(
        IdType(TenantId), ForeignKey("tenant.tenant_id"), primary_key=True
    )
    scope_id: Mapped[UUID] = mapped_column(PG_UUID(as_uuid=True), primary_key=True)
    period_start: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    threshold_percent: Mapped[int] = mapped_column(Integer, primary_key=True)
    cost_minor: Mapped[int] = mapped_column(BigInteger)
    budget_minor: Mapped[int] = mapped_column(BigInteger)
    fired_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
