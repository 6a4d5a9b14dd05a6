"""Wire shapes of usage. Quantities are texts of decimal digits: JSON's numbers are not exact."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pydantic import Field

from controlplane.metering.domain import (
    MICROSECONDS,
    UNITS,
    Allocation,
    IngestResult,
    Meter,
    UsageConflict,
    UsageTotal,
)
from controlplane.plumbing.web import WireModel


class IngestItem(WireModel):
    """What became of one event."""

    id: str = Field(description="The event's id, as it was sent.", examples=["req_01k"])
    result: IngestResult = Field(
        description="Only `accepted` counts; `duplicate` was counted before, unchanged; `conflict` contradicts a "
        "known event and was kept aside; `rejected` was not taken.",
        examples=["accepted"],
    )
    reason: str | None = Field(
        default=None, description="Why it was not taken, in a sentence.", examples=[None]
    )


class IngestReply(WireModel):
    """Sent after everything in it is durable."""

    batch_id: int | None = Field(
        description="Number of the transaction; null when nothing was new.", examples=[7]
    )
    accepted: int = Field(description="How many events are counted now.", examples=[1000])
    duplicates: int = Field(description="How many were counted before.", examples=[0])
    conflicts: int = Field(description="How many contradict a known event.", examples=[0])
    rejected: int = Field(description="How many were not taken.", examples=[0])
    results: list[IngestItem] = Field(description="One for each event, in its order.")


class UsageShape(WireModel):
    """What one meter counted in [start, end)."""

    start: datetime = Field(description="First instant.", examples=["2026-10-31T23:00:00Z"])
    end: datetime = Field(description="First instant after it.", examples=["2026-11-30T23:00:00Z"])
    meter: str = Field(description="What is counted.", examples=["output_tokens"])
    unit: str = Field(description="Its unit.", examples=["token"])
    quantity: str = Field(description="How much, exactly, in decimal digits.", examples=["120934"])
    event_count: int = Field(description="From how many events.", examples=[812])
    unknown_count: int = Field(
        description="How many of them nobody counted the quantity of: they add nothing.", examples=[0]
    )
    is_simulated: bool = Field(
        description="True for simulated capacity, which is billed only as such.", examples=[False]
    )
    project_id: str | None = Field(default=None, description="Set when grouped by project.", examples=[None])
    service_id: str | None = Field(default=None, description="Set when grouped by service.", examples=[None])
    dimensions: dict[str, str] = Field(
        description="The other things that were grouped by.", examples=[{"model": "smollm2", "country": "FR"}]
    )

    @classmethod
    def of(cls, total: UsageTotal) -> UsageShape:
        dimensions = dict(total.dimensions)
        is_simulated = dimensions.pop("is_simulated") == "true"
        return cls(
            start=total.period_start,
            end=total.period_end,
            meter=total.meter,
            unit=UNITS[Meter(total.meter)],
            quantity=to_digits(total.quantity),
            event_count=total.event_count,
            unknown_count=total.unknown_count,
            is_simulated=is_simulated,
            project_id=None if total.project_id is None else str(total.project_id),
            service_id=total.service_id or None,
            dimensions=dimensions,
        )


class UsageList(WireModel):
    usages: list[UsageShape]
    as_of: datetime = Field(
        description="Everything accepted by then is in.", examples=["2026-11-21T21:00:00Z"]
    )
    time_zone: str = Field(description="The zone of the days and months.", examples=["Europe/Paris"])
    limit: int = Field(description="How many a page holds.", examples=[50])
    has_next: bool = Field(description="There are more.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class UsageDetailShape(WireModel):
    """One GPU that one instance held."""

    service_id: str = Field(description="The service.", examples=["svc_01k"])
    project_id: str = Field(description="Its project.", examples=["prj_01k"])
    regional_deployment_id: str = Field(description="What runs in one datacenter.", examples=["rdp_01k"])
    instance: str = Field(description="The instance.", examples=["chat-4f2a-0"])
    instance_type: str = Field(description="The accelerator's SKU.", examples=["h100-80gb"])
    gpu_id: str = Field(description="The GPU, unique in its cell.", examples=["node-1/0"])
    region: str = Field(description="The datacenter; empty if its cell does not say.", examples=["essonne-1"])
    is_simulated: bool = Field(description="True for simulated capacity.", examples=[False])
    state: str = Field(
        description="`estimated`: nobody reported the end, so it counts as ended when last seen.",
        examples=["closed"],
    )
    started_at: datetime = Field(description="When it was given.", examples=["2026-11-21T20:00:00Z"])
    terminated_at: datetime | None = Field(
        description="When it ended; null while it is held.", examples=[None]
    )
    seen_until: datetime = Field(description="How far it is known.", examples=["2026-11-21T20:30:00Z"])
    duration_seconds: str = Field(description="From start to there.", examples=["1800"])
    billed_seconds: str = Field(description="How much has become usage so far.", examples=["1740"])

    @classmethod
    def of(cls, each: Allocation) -> UsageDetailShape:
        return cls(
            service_id=each.service_id,
            project_id=str(each.project_id),
            regional_deployment_id=each.regional_deployment_id,
            instance=each.instance,
            instance_type=each.sku,
            gpu_id=each.gpu_id,
            region=each.datacenter,
            is_simulated=each.is_simulated,
            state=each.state.value,
            started_at=each.opened_at,
            terminated_at=each.ended_at,
            seen_until=each.seen_until,
            duration_seconds=_seconds(each.opened_at, each.seen_until),
            billed_seconds=_seconds(each.opened_at, each.billed_until),
        )


class UsageDetailList(WireModel):
    usage_details: list[UsageDetailShape]
    limit: int = Field(description="How many a page holds.", examples=[50])
    has_next: bool = Field(description="There are more.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class UsageConflictShape(WireModel):
    """An event that contradicts a known one."""

    id: str = Field(description="Of this case.", examples=["0192f0c1-0000-7000-8000-000000000000"])
    organization_id: str = Field(description="Whose usage it claims to be.", examples=["org_01k"])
    source: str = Field(description="Its producer.", examples=["/gateways/gateway-1"])
    event_id: str = Field(description="Its id there.", examples=["req_01k"])
    payload: str = Field(description="The event as it was sent, in canonical JSON.", examples=["{}"])
    received_at: datetime = Field(description="When it came.", examples=["2026-11-21T20:00:00Z"])

    @classmethod
    def of(cls, each: UsageConflict) -> UsageConflictShape:
        return cls(
            id=str(each.id),
            organization_id=str(each.tenant_id),
            source=each.source,
            event_id=each.event_id,
            payload=each.payload,
            received_at=each.received_at,
        )


class UsageConflictList(WireModel):
    usage_conflicts: list[UsageConflictShape]
    limit: int = Field(description="How many a page holds.", examples=[50])
    has_next: bool = Field(description="There are more.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


def to_digits(quantity: Decimal) -> str:
    """Plain digits without exponent or trailing zeros."""
    text = format(quantity, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _seconds(start: datetime, end: datetime) -> str:
    span = end - start
    whole = (span.days * 86_400 + span.seconds) * MICROSECONDS + span.microseconds
    return to_digits(Decimal(whole) / MICROSECONDS)
