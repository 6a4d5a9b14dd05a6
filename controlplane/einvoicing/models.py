"""Rows of the e-invoicing room."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, DateTime, Integer, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.einvoicing.domain import StatusId
from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.orm import Base, IdType


class EInvoiceRow(Base):
    __tablename__ = "einvoice"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    invoice_id: Mapped[InvoiceId] = mapped_column(IdType(InvoiceId), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    profile: Mapped[str] = mapped_column(String(200))
    message: Mapped[str] = mapped_column(Text)
    flow_id: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ArchiveRow(Base):
    """A file in the database itself: see the room's README for why."""

    __tablename__ = "invoice_archive"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    invoice_id: Mapped[InvoiceId] = mapped_column(IdType(InvoiceId), primary_key=True)
    kind: Mapped[str] = mapped_column(String(3), primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[str] = mapped_column(String(64))
    archived_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class StatusRow(Base):
    __tablename__ = "einvoice_status"

    id: Mapped[StatusId] = mapped_column(IdType(StatusId), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId))
    invoice_id: Mapped[InvoiceId] = mapped_column(IdType(InvoiceId))
    code: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(300))
    source: Mapped[str] = mapped_column(String(100))
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    is_simulated: Mapped[bool] = mapped_column(Boolean)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
