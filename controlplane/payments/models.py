"""Rows of the payments room: all tables only grow."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, DateTime, String
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.ids import TenantId
from controlplane.payments.domain import AllocationId, PaymentId, RefundId
from controlplane.plumbing.orm import Base, IdType


class PaymentRow(Base):
    __tablename__ = "payment"

    id: Mapped[PaymentId] = mapped_column(IdType(PaymentId), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    received_on: Mapped[date] = mapped_column(Date)
    method: Mapped[str] = mapped_column(String(16))
    bank_reference: Mapped[str] = mapped_column(String(100), unique=True)
    remittance: Mapped[str] = mapped_column(String(140))
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class RefundRow(Base):
    __tablename__ = "payment_refund"

    id: Mapped[RefundId] = mapped_column(IdType(RefundId), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId))
    payment_id: Mapped[PaymentId] = mapped_column(IdType(PaymentId))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    paid_on: Mapped[date] = mapped_column(Date)
    bank_reference: Mapped[str] = mapped_column(String(100))
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class AllocationRow(Base):
    __tablename__ = "payment_allocation"

    id: Mapped[AllocationId] = mapped_column(IdType(AllocationId), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId))
    payment_id: Mapped[PaymentId] = mapped_column(IdType(PaymentId))
    invoice_id: Mapped[InvoiceId] = mapped_column(IdType(InvoiceId))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    vat_minor: Mapped[int] = mapped_column(BigInteger)
    allocated_on: Mapped[date] = mapped_column(Date)
    allocated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
