"""Rows of the tenancy room. A tenant's id is its `tenant_id`, so that row-level security reads one column."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.plumbing.orm import Base, IdType


class TenantRow(Base):
    __tablename__ = "tenant"

    id: Mapped[TenantId] = mapped_column("tenant_id", IdType(TenantId), primary_key=True)
    # Not unique: an answer "taken" would tell strangers who is a customer.
    name: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(16))
    suspension_reason: Mapped[str | None] = mapped_column(String(500))
    legal_name: Mapped[str] = mapped_column(String(200))
    country: Mapped[str] = mapped_column(String(2))
    siren: Mapped[str | None] = mapped_column(String(9))
    vat_id: Mapped[str | None] = mapped_column(String(30))
    address_line1: Mapped[str] = mapped_column(String(200))
    address_line2: Mapped[str] = mapped_column(String(200))
    postal_code: Mapped[str] = mapped_column(String(20))
    city: Mapped[str] = mapped_column(String(100))
    address_country: Mapped[str] = mapped_column(String(2))
    tax_zone: Mapped[str | None] = mapped_column(String(16))
    terms: Mapped[str | None] = mapped_column(String(40))
    terms_accepted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        CheckConstraint("status IN ('PENDING', 'ACTIVE', 'SUSPENDED', 'REFUSED')", name="status"),
        CheckConstraint("(terms IS NULL) = (terms_accepted_at IS NULL)", name="terms_with_instant"),
        Index("ix_tenant_pending", "tenant_id", postgresql_where=text("status = 'PENDING'")),
        # By what an operator finds another organization of the same company.
        Index("ix_tenant_name", "name"),
        Index("ix_tenant_siren", "siren"),
        Index("ix_tenant_vat_id", "vat_id"),
    )


class ProjectRow(Base):
    __tablename__ = "project"

    id: Mapped[ProjectId] = mapped_column(IdType(ProjectId), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(
        IdType(TenantId), ForeignKey("tenant.tenant_id", name="fk_project_tenant_id")
    )
    name: Mapped[str] = mapped_column(String(40))
    description: Mapped[str] = mapped_column(String(500))
    is_default: Mapped[bool]
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        # Children point at (tenant_id, id), so that no child can lie in another tenant.
        UniqueConstraint("tenant_id", "id", name="uq_project_tenant_id_id"),
        UniqueConstraint("tenant_id", "name", name="uq_project_tenant_id_name"),
        Index("uq_project_default", "tenant_id", unique=True, postgresql_where=text("is_default")),
    )


class QuotaDefaultRow(Base):
    """The platform's own limits, as data: they bind every tenant that has no row of its own.

    `pending_count` binds each tenant that waits for approval, whatever its other limits say.
    """

    __tablename__ = "quota_default"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    limit_count: Mapped[int] = mapped_column(Integer)
    pending_count: Mapped[int] = mapped_column(Integer)


class QuotaRow(Base):
    __tablename__ = "quota"

    tenant_id: Mapped[TenantId] = mapped_column(
        IdType(TenantId), ForeignKey("tenant.tenant_id", name="fk_quota_tenant_id"), primary_key=True
    )
    name: Mapped[str] = mapped_column(
        String(32), ForeignKey("quota_default.name", name="fk_quota_name"), primary_key=True
    )
    limit_count: Mapped[int] = mapped_column(Integer)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (CheckConstraint("limit_count >= 0", name="limit_not_negative"),)
