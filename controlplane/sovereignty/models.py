"""Rows of the sovereignty room. Facts are inserted and ended; the database refuses to delete them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Boolean, Date, DateTime, ForeignKeyConstraint, Index, Integer, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.ids import CertificationId, HoldingId, LegalEntityId
from controlplane.plumbing.orm import Base, IdType


class LegalEntityRow(Base):
    __tablename__ = "legal_entity"

    id: Mapped[LegalEntityId] = mapped_column(IdType(LegalEntityId), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20))
    seat: Mapped[str | None] = mapped_column(String(2))
    central_administration: Mapped[str | None] = mapped_column(String(2))
    principal_establishment: Mapped[str | None] = mapped_column(String(2))
    siren: Mapped[str | None] = mapped_column(String(9))
    lei: Mapped[str | None] = mapped_column(String(20))
    evidence: Mapped[str] = mapped_column(Text)
    evidence_sha256: Mapped[str | None] = mapped_column(String(64))
    valid_from: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    valid_to: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(Integer)


class HoldingRow(Base):
    __tablename__ = "holding"

    id: Mapped[HoldingId] = mapped_column(IdType(HoldingId), primary_key=True)
    holder_id: Mapped[LegalEntityId] = mapped_column(IdType(LegalEntityId))
    held_id: Mapped[LegalEntityId] = mapped_column(IdType(LegalEntityId))
    capital_bp: Mapped[int | None] = mapped_column(Integer)
    votes_bp: Mapped[int | None] = mapped_column(Integer)
    has_veto: Mapped[bool] = mapped_column(Boolean)
    appoints_board_majority: Mapped[bool] = mapped_column(Boolean)
    has_dominance: Mapped[bool] = mapped_column(Boolean)
    evidence: Mapped[str] = mapped_column(Text)
    evidence_sha256: Mapped[str | None] = mapped_column(String(64))
    valid_from: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    valid_to: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(Integer)

    __table_args__ = (
        ForeignKeyConstraint(["holder_id"], ["legal_entity.id"]),
        ForeignKeyConstraint(["held_id"], ["legal_entity.id"]),
        Index("ix_holding_held_id", "held_id"),
        Index("ix_holding_holder_id", "holder_id"),
    )


class CertificationRow(Base):
    __tablename__ = "certification"

    id: Mapped[CertificationId] = mapped_column(IdType(CertificationId), primary_key=True)
    framework: Mapped[str] = mapped_column(String(40))
    framework_version: Mapped[str] = mapped_column(String(20))
    level: Mapped[str | None] = mapped_column(String(40))
    entity_id: Mapped[LegalEntityId | None] = mapped_column(IdType(LegalEntityId))
    site_code: Mapped[str | None] = mapped_column(String(40))
    issued_on: Mapped[date] = mapped_column(Date)
    expires_on: Mapped[date] = mapped_column(Date)
    evidence: Mapped[str] = mapped_column(Text)
    evidence_sha256: Mapped[str | None] = mapped_column(String(64))
    valid_from: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    valid_to: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(Integer)

    __table_args__ = (
        ForeignKeyConstraint(["entity_id"], ["legal_entity.id"]),
        Index("ix_certification_entity_id", "entity_id"),
        Index("ix_certification_site_code", "site_code"),
    )


class VerdictRow(Base):
    """The last verdict of a policy on a site that somebody relies on, with what is needed to judge again."""

    __tablename__ = "verdict"

    policy_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    site_code: Mapped[str] = mapped_column(String(40), primary_key=True)
    requirement: Mapped[dict[str, Any]] = mapped_column(JSONB)
    site: Mapped[dict[str, Any]] = mapped_column(JSONB)
    is_admissible: Mapped[bool] = mapped_column(Boolean)
    reason_codes: Mapped[list[str]] = mapped_column(JSONB)
    facts_read: Mapped[list[str]] = mapped_column(JSONB)
    decided_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # An end that stated facts announce: {at, text}; null where they announce none.
    foreseen: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class VerdictKeyRow(Base):
    """The index from an entity or a site to the verdicts that read facts about it."""

    __tablename__ = "verdict_key"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    policy_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    site_code: Mapped[str] = mapped_column(String(40), primary_key=True)

    __table_args__ = (
        ForeignKeyConstraint(
            ["policy_hash", "site_code"], ["verdict.policy_hash", "verdict.site_code"], ondelete="CASCADE"
        ),
        Index("ix_verdict_key_policy_hash_site_code", "policy_hash", "site_code"),
    )
