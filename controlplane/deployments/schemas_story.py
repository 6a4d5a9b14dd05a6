"""Wire shapes of a service's story: events, explanations, cold starts, log lines."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from controlplane.deployments.cold_start_rules import break_down
from controlplane.deployments.domain import ColdStart, ServiceEvent
from controlplane.deployments.schemas import Paged, wire_or_null
from controlplane.placement.schemas import SiteExplanationOut
from controlplane.plumbing.web import WireModel
from controlplane.sovereignty.schemas import VerdictOut


class ServiceEventOut(WireModel):
    """Something that happened to a service."""

    id: str = Field(description="Id of the event.")
    when: datetime = Field(description="When it happened.")
    service_id: str = Field(description="Id of the service.")
    deployment_id: str | None = Field(description="The deployment it is about.")
    regional_deployment_id: str | None = Field(description="The regional deployment it is about.")
    type: str = Field(description="What happened.", examples=["MOVE_STARTED"])
    reason: str = Field(description="Why, in one word.", examples=["VerdictLost"])
    message: str = Field(description="The event as a sentence.")
    count: int = Field(description="How often it was told in a row.", examples=[1])
    last_at: datetime = Field(description="When it was told last.")

    @classmethod
    def of(cls, event: ServiceEvent) -> Self:
        return cls(
            id=event.id,
            when=event.occurred_at,
            service_id=str(event.service_id),
            deployment_id=wire_or_null(event.deployment_id),
            regional_deployment_id=wire_or_null(event.regional_deployment_id),
            type=event.type,
            reason=event.reason,
            message=event.message,
            count=event.count,
            last_at=event.last_at or event.occurred_at,
        )


class ServiceEventList(Paged):
    """A page of events, newest first."""

    events: list[ServiceEventOut]


class ExplanationReply(WireModel):
    """What placement found last."""

    deployment_id: str = Field(description="The deployment that a place was looked for.")
    is_placed: bool = Field(description="Whether one was found.")
    decided_at: datetime = Field(description="When these findings were first made.")
    confirmed_at: datetime = Field(description="When they were last found to be still so.")
    explanation: SiteExplanationOut
    verdicts: list[VerdictOut] = Field(
        description="Of each place where the service runs, and else of each that was looked at: the verdict as of now,"
        " with the owners and certificates it rests on, and what is announced to end it."
    )


class ColdStartOut(WireModel):
    """One start from zero; milliseconds of each step, null while one of its ends is not known."""

    instance: str = Field(description="Name of the replica's pod.")
    regional_deployment_id: str = Field(description="Where it started.")
    request_id: str | None = Field(description="The call that waited longest for it.")
    began_at: datetime | None = Field(description="First byte of that call, else when the demand was seen.")
    queue_ms: int | None = Field(description="First byte until the operator saw the demand.")
    place_ms: int | None = Field(description="Until the pod was created.")
    schedule_ms: int | None = Field(description="Until a node was found.")
    start_ms: int | None = Field(description="Until the container ran.")
    load_ms: int | None = Field(description="Until the engine was ready.")
    first_token_ms: int | None = Field(description="Until the first token left.")
    total_ms: int | None = Field(description="From beginning to first token.")

    @classmethod
    def of(cls, start: ColdStart) -> Self:
        steps = break_down(start)
        return cls(
            instance=start.instance,
            regional_deployment_id=str(start.regional_deployment_id),
            request_id=start.request_id,
            began_at=start.first_byte_at or start.wanted_at,
            queue_ms=steps.queue_ms,
            place_ms=steps.place_ms,
            schedule_ms=steps.schedule_ms,
            start_ms=steps.start_ms,
            load_ms=steps.load_ms,
            first_token_ms=steps.first_token_ms,
            total_ms=steps.total_ms,
        )


class ColdStartList(WireModel):
    """The latest starts from zero, newest first."""

    cold_starts: list[ColdStartOut]


class LogLabels(WireModel):
    """Where a line came from."""

    instance_id: str = Field(description="Id of the instance.")
    service_id: str = Field(description="Id of the service.")
    stream: str = Field(description="Which output it was written to.", examples=["stdout"])


class LogLine(WireModel):
    """One line that a replica wrote."""

    created_at: datetime | None = Field(description="When it was written; null when its cell did not say.")
    msg: str = Field(description="The line.")
    labels: LogLabels = Field(description="Which replica wrote it.")


class LogPage(WireModel):
    """Whether there are more lines than were asked for."""

    has_more: bool = Field(description="Whether older lines exist.")


class LogReply(WireModel):
    """The last lines, oldest first."""

    data: list[LogLine]
    pagination: LogPage
