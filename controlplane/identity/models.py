"""API keys at rest: a keyed hash and the last four characters, never the key."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Index, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.ids import ApiKeyId, ProjectId, TenantId
from controlplane.plumbing.orm import Base, IdType


class ApiKeyRow(Base):
    """`expires_at` and `revoked_at` may lie ahead (a rolled key ends after its overlap); both then count.

    `source`: what a producer reports for. `warned_days`: of how few days left its holders were last warned.
    """

    __tablename__ = "api_key"

    id: Mapped[ApiKeyId] = mapped_column(IdType(ApiKeyId), primary_key=True)
    tenant_id: Mapped[TenantId | None] = mapped_column(IdType(TenantId))
    project_id: Mapped[ProjectId | None] = mapped_column(IdType(ProjectId))
    name: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(3))
    role: Mapped[str] = mapped_column(String(16))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(16)))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    hash_key_id: Mapped[str] = mapped_column(String(16))
    last_four: Mapped[str] = mapped_column(String(4))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_by: Mapped[str] = mapped_column(String(100))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    source: Mapped[str | None] = mapped_column(String(100))
    warned_days: Mapped[int | None] = mapped_column(SmallInteger)

    __table_args__ = (
        ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name="fk_api_key_tenant_id"),
        ForeignKeyConstraint(
            ["tenant_id", "project_id"],
            ["project.tenant_id", "project.id"],
            name="fk_api_key_tenant_id_project_id",
            ondelete="CASCADE",
        ),
        CheckConstraint("(tenant_id IS NULL) = (kind = 'adm')", name="platform_has_no_tenant"),
        CheckConstraint(
            "(role IN ('platform', 'platform_sre', 'platform_billing', 'platform_auditor', 'producer')) "
            "= (kind = 'adm')",
            name="platform_role",
        ),
        CheckConstraint("source IS NULL OR role = 'producer'", name="source_of_producer"),
        CheckConstraint("length(hash) = 64", name="hash_is_sha256"),
        Index("ix_api_key_tenant_id_id", "tenant_id", "id"),
        Index("ix_api_key_usable", "tenant_id", postgresql_where=text("revoked_at IS NULL")),
    )
