"""Calls that began and of whose end nothing is known (docs/contracts.md, "Spools"). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from controlplane.gateway.domain import Route, RouteState, Routing
from controlplane.gateway.usage_rules import EVENT_TYPE

UNKNOWN = "unknown"
GRACE_MS = 10_000
"""After a call of a later Envoy was seen: what the earlier one wrote before its end has been read by then."""

OPEN_MS_MAX = 2 * 3600 * 1000
"""No call is open longer: an answer takes at most an hour, and is held at most half an hour before."""

START_SPACES_MAX = 64


@dataclass(frozen=True, slots=True)
class Start:
    """A call that was about to reach an engine. `at_ms` is Envoy's clock, Unix milliseconds."""

    id: str
    at_ms: int
    process: str
    tenant_id: str
    project_id: str
    key_id: str
    model: str
    host: str
    is_stream: bool


def read_start(line: bytes) -> Start | None:
    """Read a line of the journal; of a torn line the whole entry behind it, None if there is none."""
    at = 0 if line.startswith(b"{") else line.find(b'{"id":')
    for _ in range(START_SPACES_MAX):
        if at < 0:
            return None
        try:
            held = orjson.loads(line[at:])
            return Start(
                str(held["id"]), int(held["at"]), str(held["process"]), str(held["tenant"]), str(held["project"]),
                str(held["key"]), str(held["model"]), str(held["host"]), held["stream"] is True,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError):
            at = line.find(b'{"id":', at + 1)
    return None


def is_given_up(start: Start, newest: Start | None, now_ms: int) -> bool:
    """Tell whether no end of a call can come any more: its Envoy is gone, or it was open longer than any call is."""
    if now_ms - start.at_ms > OPEN_MS_MAX:
        return True
    is_replaced = newest is not None and newest.process != start.process and newest.at_ms >= start.at_ms
    return is_replaced and newest is not None and now_ms - newest.at_ms > GRACE_MS


def find_route(start: Start, routing: Routing | None) -> Route | None:
    """Find where a call most likely went: a service of its project, by its host or else by its model."""
    routes = [] if routing is None else [r for r in routing.routes if r.project_id == start.project_id]
    host = start.host.partition(":")[0].lower()
    found = [r for r in routes if host in r.hosts] or [r for r in routes if r.model == start.model]
    found.sort(key=lambda r: (r.service_id, r.state is not RouteState.ACTIVE, r.regional_deployment_id))
    return found[0] if found else None


def build_unknown(start: Start, route: Route, gateway: str) -> dict[str, Any]:
    """Write the event of a call of which only the start is known: it counts as a call, and nobody counted tokens."""
    at = datetime.fromtimestamp(start.at_ms / 1000, UTC)
    return {
        "specversion": "1.0",
        "id": start.id,
        "type": EVENT_TYPE,
        "source": f"/gateways/{gateway}",
        "subject": route.service_id,
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "tenant_id": start.tenant_id,
            "project_id": start.project_id,
            "service_id": route.service_id,
            "deployment_id": route.deployment_id,
            "regional_deployment_id": route.regional_deployment_id,
            "instance": UNKNOWN,
            "key_id": start.key_id,
            "model": route.model,
            "datacenter": route.datacenter,
            "country": route.country,
            "status": 0,
            "stream": start.is_stream,
            "input_tokens": None,
            "output_tokens": None,
            "usage_source": "none",
            "duration_ms": 0,
            "ttft_ms": None,
            "request_bytes": 0,
            "response_bytes": 0,
            "is_disconnected": True,
            "is_unknown": True,
        },
    }
