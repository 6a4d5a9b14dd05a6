"""Wire shapes of security events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from controlplane.audit.domain import SecurityEvent
from controlplane.kernel.ids import ApiKeyId, EventId, TenantId
from controlplane.plumbing.refusal_rules import ROWS_MAX, Refusal, RefusalKind
from controlplane.plumbing.web import WireModel

Word = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[!-~]+$")]
# A gateway whose clock runs ahead of ours is not believed further than this.
AHEAD_MAX = timedelta(minutes=5)
COUNT_MAX = 10**12


class SecurityEventShape(WireModel):
    """What was refused to one caller for one reason, counted over about a minute by one door."""

    id: str = Field(description="Its id.", examples=["evt_01jd00000000000000000000a0"])
    source: str = Field(
        description="The door that refused: `api`, or a gateway.", examples=["api", "/gateways/paris-1"]
    )
    kind: RefusalKind = Field(description="What kind of refusal.", examples=["failed_authentication"])
    reason: str = Field(description="Why, closer.", examples=["revoked_key"])
    route: str = Field(
        description="The operation, or the collection where it was refused before that was looked for.",
        examples=["list_services"],
    )
    address: str = Field(
        description="Network address of the caller; of IPv6, its /64 network; `others`: more than are told apart.",
        examples=["203.0.113.7"],
    )
    key_id: str | None = Field(
        description="The key that was used, where it is known.", examples=["key_01jd00000000000000000000a0"]
    )
    organization_id: str | None = Field(
        description="Whose key it is, where that is known.", examples=["org_01jd00000000000000000000a0"]
    )
    count: int = Field(description="How often.", examples=[120])
    first_at: datetime = Field(description="The first time.", examples=["2026-11-21T09:00:00Z"])
    last_at: datetime = Field(description="The last time.", examples=["2026-11-21T09:00:58Z"])

    @classmethod
    def of(cls, event: SecurityEvent) -> SecurityEventShape:
        refusal = event.refusal
        return cls(
            id=str(event.id),
            source=event.source,
            kind=refusal.kind,
            reason=refusal.reason,
            route=refusal.route,
            address=refusal.address,
            key_id=refusal.key_id,
            organization_id=refusal.tenant_id,
            count=event.count,
            first_at=event.first_at,
            last_at=event.last_at,
        )


class SecurityEventList(WireModel):
    security_events: list[SecurityEventShape] = Field(description="Newest first.")
    limit: int = Field(description="How many items a page holds.", examples=[50])
    has_next: bool = Field(description="Whether more follow.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class ReportedEvent(WireModel):
    """One row of a gateway's counts; its id makes it safe to send again."""

    id: str = Field(
        description="An id of its own.", max_length=64, examples=["evt_01jd00000000000000000000a0"]
    )
    kind: RefusalKind = Field(description="What kind of refusal.", examples=["failed_authentication"])
    reason: Word = Field(description="The code that the caller was answered.", examples=["invalid_api_key"])
    route: Word = Field(description="The path that was called.", examples=["/v1/chat/completions"])
    address: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")] = Field(
        description="Network address of the caller.", examples=["203.0.113.7"]
    )
    key_id: str | None = Field(
        default=None, max_length=64, description="The key, where it is known.",
        examples=["key_01jd00000000000000000000a0"],
    )  # fmt: skip
    organization_id: str | None = Field(
        default=None, max_length=64, description="Whose key it is.",
        examples=["org_01jd00000000000000000000a0"],
    )  # fmt: skip
    count: int = Field(ge=1, le=COUNT_MAX, description="How often.", examples=[120])
    first_at: AwareDatetime = Field(description="The first time.", examples=["2026-11-21T09:00:00Z"])
    last_at: AwareDatetime = Field(description="The last time.", examples=["2026-11-21T09:00:58Z"])

    @model_validator(mode="after")
    def _times_are_in_order(self) -> Self:
        if self.last_at < self.first_at:
            raise ValueError("last_at lies before first_at")
        if self.last_at > datetime.now(UTC) + AHEAD_MAX:
            raise ValueError("last_at lies in the future: is the gateway's clock right?")
        return self

    def to_event(self, source: str) -> SecurityEvent:
        """Errors: InvalidInput for ids that are none."""
        key_id = None if self.key_id is None else str(ApiKeyId.parse(self.key_id))
        tenant_id = None if self.organization_id is None else str(TenantId.parse(self.organization_id))
        refusal = Refusal(self.kind, self.reason, self.route, self.address, key_id, tenant_id)
        return SecurityEvent(EventId.parse(self.id), source, refusal, self.count, self.first_at, self.last_at)


class EventReport(WireModel):
    security_events: list[ReportedEvent] = Field(
        max_length=ROWS_MAX, description="What the gateway counted since its last report."
    )


class ReportAnswer(WireModel):
    accepted: int = Field(description="How many were new.", examples=[3])
