"""Audit rows; UPDATE and DELETE are refused by a trigger as well as by missing grants."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.ids import EventId, TenantId
from controlplane.plumbing.orm import Base, IdType


class AuditEventRow(Base):
    __tablename__ = "audit_event"

    chain: Mapped[str] = mapped_column(String(64), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[TenantId | None] = mapped_column(IdType(TenantId))
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    actor: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(100))
    target: Mapped[str] = mapped_column(String(200))
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class AuditHeadRow(Base):
    """The end of each chain; locked while a record is appended, so that numbers have no gap."""

    __tablename__ = "audit_head"

    chain: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[TenantId | None] = mapped_column(IdType(TenantId))
    sequence: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))


class AuditOriginRow(Base):
    """Where an act was asked for: beside the chain, so that it can be forgotten and the chain still holds.

    `tenant_id` says who may read it: the organization whose people asked; None for the operator's people.
    """

    __tablename__ = "audit_origin"

    chain: Mapped[str] = mapped_column(String(64), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[TenantId | None] = mapped_column(IdType(TenantId))
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    address: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(200))
    request_id: Mapped[str] = mapped_column(String(64))
    key_id: Mapped[str | None] = mapped_column(String(64))


class SecurityEventRow(Base):
    """`tenant_id` is None where nobody knows whose request was refused; times are the machine's own."""

    __tablename__ = "security_event"

    id: Mapped[EventId] = mapped_column(IdType(EventId), primary_key=True)
    tenant_id: Mapped[TenantId | None] = mapped_column(IdType(TenantId))
    source: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(String(100))
    route: Mapped[str] = mapped_column(String(100))
    address: Mapped[str] = mapped_column(String(64))
    key_id: Mapped[str | None] = mapped_column(String(64))
    count: Mapped[int] = mapped_column(BigInteger)
    first_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
