"""Rows of the invoicing room. Facts that are read whole (parties, notes) are JSON; amounts of lines are columns."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, DateTime, ForeignKey, Integer, Numeric, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.invoicing.domain import InvoiceId, VatCheckId
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.orm import Base, IdType


class SellerRow(Base):
    __tablename__ = "invoice_seller"

    is_only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, default=True)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    version: Mapped[int] = mapped_column(Integer)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class SeriesRow(Base):
    """The locked row that numbers come from."""

    __tablename__ = "invoice_series"

    prefix: Mapped[str] = mapped_column(String(6), primary_key=True)
    year: Mapped[int] = mapped_column(Integer)
    last_number: Mapped[int] = mapped_column(Integer)
    last_issued_on: Mapped[date | None] = mapped_column(Date)


class InvoiceRow(Base):
    __tablename__ = "invoice"

    id: Mapped[InvoiceId] = mapped_column(IdType(InvoiceId), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(
        IdType(TenantId), ForeignKey("tenant.tenant_id", name="fk_invoice_tenant_id")
    )
    kind: Mapped[str] = mapped_column(String(3))
    state: Mapped[str] = mapped_column(String(16))
    period_start: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    period_end: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    currency: Mapped[str] = mapped_column(String(3))
    billing_mode: Mapped[str] = mapped_column(String(2))
    seller: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    buyer: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    vat: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    hold: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    preceding: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    deposits: Mapped[list[Any]] = mapped_column(JSONB)
    allowances: Mapped[list[Any]] = mapped_column(JSONB)
    breakdown: Mapped[list[Any]] = mapped_column(JSONB)
    totals: Mapped[dict[str, Any]] = mapped_column(JSONB)
    notes: Mapped[list[Any]] = mapped_column(JSONB)
    gross_minor: Mapped[int] = mapped_column(BigInteger)
    payment_terms: Mapped[str] = mapped_column(String(300))
    purchase_order: Mapped[str] = mapped_column(String(100))
    preceding_id: Mapped[InvoiceId | None] = mapped_column(IdType(InvoiceId))
    is_issue_wanted: Mapped[bool] = mapped_column(Boolean)
    number: Mapped[str | None] = mapped_column(String(20), unique=True)
    series_prefix: Mapped[str | None] = mapped_column(String(6))
    series_year: Mapped[int | None] = mapped_column(Integer)
    series_number: Mapped[int | None] = mapped_column(Integer)
    issued_on: Mapped[date | None] = mapped_column(Date)
    due_on: Mapped[date | None] = mapped_column(Date)
    issued_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    provenance: Mapped[dict[str, str]] = mapped_column(JSONB)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class InvoiceLineRow(Base):
    __tablename__ = "invoice_line"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    invoice_id: Mapped[InvoiceId] = mapped_column(IdType(InvoiceId), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    sku: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(300))
    description: Mapped[str] = mapped_column(String(1000))
    quantity: Mapped[Decimal] = mapped_column(Numeric(23, 4))
    unit_code: Mapped[str] = mapped_column(String(3))
    price: Mapped[Decimal] = mapped_column(Numeric(23, 6))
    base_quantity: Mapped[Decimal] = mapped_column(Numeric(23, 4))
    net_minor: Mapped[int] = mapped_column(BigInteger)
    period_start: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    period_end: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    calculation: Mapped[list[str]] = mapped_column(JSONB)
    price_version: Mapped[str | None] = mapped_column(String(40))
    is_correction: Mapped[bool] = mapped_column(Boolean)
    project_id: Mapped[str | None] = mapped_column(String(40))
    service_id: Mapped[str | None] = mapped_column(String(64))
    credited_position: Mapped[int | None] = mapped_column(Integer)


class PeriodCloseRow(Base):
    """A month that was closed for a tenant; `invoice_id` is None when nothing was used."""

    __tablename__ = "period_close"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    period_start: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    period_end: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    invoice_id: Mapped[InvoiceId | None] = mapped_column(IdType(InvoiceId))
    closed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class VatCheckRow(Base):
    __tablename__ = "vat_id_check"

    id: Mapped[VatCheckId] = mapped_column(IdType(VatCheckId), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId))
    vat_id: Mapped[str] = mapped_column(String(30))
    status: Mapped[str] = mapped_column(String(16))
    checked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    consultation_number: Mapped[str] = mapped_column(String(100))
    source: Mapped[str] = mapped_column(String(200))
    is_simulated: Mapped[bool] = mapped_column(Boolean)
