"""Slices as events, and stored events read back. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.metering.allocation_rules import Slice
from controlplane.metering.chain_rules import decide_digest
from controlplane.metering.domain import (
    INFERENCE_EVENT,
    SLICE_EVENT,
    SLICE_SOURCE,
    Allocation,
    ReadEvent,
    SliceCount,
)
from controlplane.metering.event_rules import AcceptWindow, decide_key, read_event

# What is stored was in time when it came.
_ANY_TIME = AcceptWindow(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def read_stored(kind: str, payload: str) -> ReadEvent | None:
    """Read an event back as it is counted; None for one that counts nothing itself (a report on a GPU)."""
    raw = orjson.loads(payload)
    if kind == INFERENCE_EVENT:
        return read_event(raw, 0, _ANY_TIME)
    if kind != SLICE_EVENT:
        return None
    data, stored = raw["data"], payload.encode()
    tenant_id, digest = TenantId.parse(data["tenant_id"]).value, decide_digest(stored)
    return ReadEvent(
        index=0,
        id=raw["id"],
        source=raw["source"],
        type=kind,
        tenant_id=tenant_id,
        occurred_at=datetime.fromisoformat(raw["time"]),
        key=decide_key(tenant_id, raw["source"], raw["id"]),
        payload=stored,
        digest=digest,
        payload_hash=digest,
        slice=SliceCount(
            project_id=ProjectId.parse(data["project_id"]).value,
            service_id=data["service_id"],
            sku=data["sku"],
            datacenter=data["datacenter"],
            country=data["country"],
            is_simulated=data["simulated"],
            microseconds=data["microseconds"],
        ),
    )


def slice_event(allocation: Allocation, piece: Slice, index: int) -> ReadEvent:
    """The usage event of one slice; its id is the slice's, so that it is the same however often it is made."""
    tenant_id, event_id = allocation.tenant_id.value, str(piece.id)
    payload = orjson.dumps(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": SLICE_SOURCE,
            "type": SLICE_EVENT,
            "time": piece.start.isoformat(),
            "data": {
                "tenant_id": str(allocation.tenant_id),
                "project_id": str(allocation.project_id),
                "service_id": allocation.service_id,
                "allocation_id": str(allocation.id),
                "gpu_id": allocation.gpu_id,
                "sku": allocation.sku,
                "datacenter": allocation.datacenter,
                "country": allocation.country,
                "simulated": allocation.is_simulated,
                "start": piece.start.isoformat(),
                "end": piece.end.isoformat(),
                "microseconds": piece.microseconds,
            },
        },
        option=orjson.OPT_SORT_KEYS,
    )
    digest = decide_digest(payload)
    return ReadEvent(
        index=index,
        id=event_id,
        source=SLICE_SOURCE,
        type=SLICE_EVENT,
        tenant_id=tenant_id,
        occurred_at=piece.start,
        key=decide_key(tenant_id, SLICE_SOURCE, event_id),
        payload=payload,
        digest=digest,
        payload_hash=digest,
        slice=SliceCount(
            project_id=allocation.project_id.value,
            service_id=allocation.service_id,
            sku=allocation.sku,
            datacenter=allocation.datacenter,
            country=allocation.country,
            is_simulated=allocation.is_simulated,
            microseconds=piece.microseconds,
        ),
    )
