"""Wire shapes of audit records."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from controlplane.audit.chain_rules import ChainBreak
from controlplane.audit.domain import AuditRecord, RecordOrigin
from controlplane.plumbing.web import WireModel


class AuditEventShape(WireModel):
    """One act; `hash` covers every other field, so that an export verifies anywhere."""

    chain: str = Field(description="The organization's id, or `platform`.", examples=["platform"])
    sequence: int = Field(description="Number in the chain, from 1 without a gap.", examples=[1])
    occurred_at: datetime = Field(description="When.", examples=["2026-11-21T09:00:00.000000Z"])
    actor: str = Field(description="The key that did it.", examples=["key_01jd00000000000000000000a0"])
    action: str = Field(description="What was done.", examples=["project.created"])
    target: str = Field(description="What it was done to.", examples=["prj_01jd00000000000000000000a0"])
    detail: dict[str, Any] = Field(description="Particulars, without secrets.", examples=[{"name": "chat"}])
    previous_hash: str = Field(description="Hash of the record before.", examples=["0" * 64])
    hash: str = Field(description="SHA-256 of this record with `previous_hash`.", examples=["0" * 64])

    @classmethod
    def of(cls, record: AuditRecord) -> AuditEventShape:
        return cls(
            chain=record.chain,
            sequence=record.sequence,
            occurred_at=record.occurred_at,
            actor=record.actor,
            action=record.action,
            target=record.target,
            detail=dict(record.detail),
            previous_hash=record.previous_hash,
            hash=record.hash,
        )


class OriginShape(WireModel):
    """Where an act was asked for; kept for a year and covered by no hash, so that it can be forgotten."""

    address: str = Field(description="Network address that the request came from.", examples=["203.0.113.7"])
    user_agent: str = Field(description="The program that sent it, by its own word.", examples=["curl/8.5"])
    request_id: str = Field(
        description="Finds the request in the logs.", examples=["req_01jd00000000000000000000a0"]
    )
    key_id: str | None = Field(
        description="The key that it carried; null when it carried none.",
        examples=["key_01jd00000000000000000000a0"],
    )

    @classmethod
    def of(cls, origin: RecordOrigin) -> OriginShape:
        return cls(
            address=origin.address,
            user_agent=origin.user_agent,
            request_id=origin.request_id,
            key_id=origin.key_id,
        )


class ListedAuditEventShape(AuditEventShape):
    """An act with where it was asked for. `hash` covers every field but `origin`."""

    origin: OriginShape | None = Field(
        description=(
            "Where it was asked for. Null: it followed from no request, the platform operator's people did it, or "
            "its year is over."
        )
    )

    @classmethod
    def listed(cls, record: AuditRecord, origin: RecordOrigin | None) -> ListedAuditEventShape:
        shown = None if origin is None else OriginShape.of(origin)
        return cls(**AuditEventShape.of(record).model_dump(), origin=shown)


class AuditEventList(WireModel):
    audit_events: list[ListedAuditEventShape] = Field(description="Newest first.")
    limit: int = Field(description="How many items a page holds.", examples=[50])
    has_next: bool = Field(description="Whether more follow.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class ChainHeadShape(WireModel):
    """The end of a chain: keep it elsewhere, and nothing can be cut off unnoticed."""

    chain: str = Field(description="The organization's id, or `platform`.", examples=["platform"])
    sequence: int = Field(description="Number of the last record.", examples=[12])
    hash: str = Field(description="Hash of the last record.", examples=["0" * 64])


class ExportEnd(WireModel):
    """Last line of an export."""

    head: ChainHeadShape = Field(description="The end of the chain when the export began.")


class BreakShape(WireModel):
    sequence: int = Field(description="The first record that does not hold.", examples=[7])
    reason: str = Field(
        description="What is wrong with it.", examples=["its content does not match its hash"]
    )

    @classmethod
    def of(cls, found: ChainBreak) -> BreakShape:
        return cls(sequence=found.sequence, reason=found.reason)


class VerificationShape(WireModel):
    is_intact: bool = Field(description="Whether every record holds.", examples=[True])
    head: ChainHeadShape = Field(description="The end of the chain as stored.")
    first_break: BreakShape | None = Field(
        description="The first record that does not hold.", examples=[None]
    )
    verified_at: datetime = Field(description="When this was checked.", examples=["2026-11-21T09:00:00Z"])


class VerificationAnswer(WireModel):
    verification: VerificationShape = Field(description="The result.")
