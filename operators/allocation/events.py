"""Allocation records as CloudEvents, and back: the wire shape of docs/contracts.md "Spools". Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from operators.allocation.allocation_rules import EVENT_TYPE, Interval, Phase, Record


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One spooled event as read back after a restart."""

    interval: Interval
    phase: Phase


def event_of(record: Record, epoch: int = 0) -> dict[str, Any]:
    """The CloudEvent of one record. Its id is deterministic, so that ingest drops a repeated one.

    `epoch` is when its writer took over, in Unix seconds: of two writers the later one is believed.
    """
    interval = record.interval
    return {
        "specversion": "1.0",
        "id": record.id,
        "type": EVENT_TYPE,
        "source": f"/cells/{interval.cell}",
        "subject": interval.service_id,
        "time": _wire(interval.observed_at),
        "datacontenttype": "application/json",
        "producerepoch": epoch,
        "data": {
            "tenant_id": interval.tenant_id,
            "project_id": interval.project_id,
            "service_id": interval.service_id,
            "regional_deployment_id": interval.regional_deployment_id,
            "instance": interval.instance,
            "node": interval.node,
            "gpu_index": interval.gpu_index,
            "gpu_id": interval.gpu_id,
            "sku": interval.sku,
            "datacenter": interval.datacenter,
            "country": interval.country,
            "simulated": interval.is_simulated,
            "phase": record.phase.value,
            "opened_at": _wire(interval.opened_at),
            "observed_at": _wire(interval.observed_at),
            "reason": record.reason,
        },
    }


def read_event(event: Mapping[str, Any]) -> RecordedEvent | None:
    """The record of one spooled event; None for another type of event. Errors: KeyError, ValueError."""
    if event.get("type") != EVENT_TYPE:
        return None
    data = event["data"]
    interval = Interval(
        pod_uid=event["id"].split("/", 1)[0],
        instance=data["instance"],
        tenant_id=data["tenant_id"],
        project_id=data["project_id"],
        service_id=data["service_id"],
        regional_deployment_id=data["regional_deployment_id"],
        node=data["node"],
        cell=event["source"].removeprefix("/cells/"),
        sku=data["sku"],
        gpu_index=data["gpu_index"],
        is_simulated=data["simulated"],
        opened_at=datetime.fromisoformat(data["opened_at"]),
        observed_at=datetime.fromisoformat(data["observed_at"]),
        datacenter=data.get("datacenter", ""),
        country=data.get("country", ""),
    )
    return RecordedEvent(interval, Phase(data["phase"]))


def _wire(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
