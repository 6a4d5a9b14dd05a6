"""The routing snapshot that the gateway reads (docs/contracts.md, Route). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controlplane.deployments.convergence_rules import is_refused
from controlplane.deployments.domain import Definition, RegionalDeployment, RouteState, Service, ServiceStatus

_PAUSED = frozenset({ServiceStatus.PAUSING, ServiceStatus.PAUSED})


@dataclass(frozen=True, slots=True)
class Routed:
    """One regional deployment that has a route, with what the route is made of."""

    service: Service
    part: RegionalDeployment
    definition: Definition


def build_snapshot(version: int, now: datetime, routed: Iterable[Routed]) -> dict[str, Any]:
    """Return the whole snapshot, in the order of the ids, so that equal rows give equal bytes."""
    routes = [_route(each, now) for each in sorted(routed, key=lambda each: each.part.id)]
    return {"version": version, "generated_at": _wire(now), "routes": routes}


def _route(routed: Routed, now: datetime) -> dict[str, Any]:
    service, part, definition = routed.service, routed.part, routed.definition
    return {
        "service_id": str(part.service_id),
        "service_name": service.name,
        "deployment_id": str(part.deployment_id),
        "regional_deployment_id": str(part.id),
        "tenant_id": str(part.tenant_id),
        "project_id": str(part.project_id),
        "model": definition.model,
        "hosts": [service.host],
        "datacenter": part.placement.datacenter,
        "country": part.placement.country,
        "operator": part.placement.operator,
        "verdict": {
            "admissible": not is_refused(part, now),
            "policy_hash": part.verdict.policy_hash,
            "decided_at": _wire(part.verdict.decided_at),
            "reason": part.verdict.reason,
        },
        "simulated": part.placement.is_simulated,
        "state": _state(service, part),
        "min": part.replicas_min,
        "max": part.replicas_max,
        "concurrency_per_replica": definition.concurrency_per_replica,
        "queue": {
            "max_requests": definition.queue.requests_max,
            "max_bytes": definition.queue.bytes_max,
            "max_age_s": definition.queue.age_seconds_max,
        },
        "first_byte_timeout_s": definition.first_byte_seconds_max,
    }


def _state(service: Service, part: RegionalDeployment) -> str:
    if service.status in _PAUSED:
        return "paused"
    if part.route_state is RouteState.DRAINING or service.status is ServiceStatus.DELETING:
        return "draining"
    # A place that was taken down for its verdict keeps saying so; any other one that ended can only wait.
    return "active" if part.is_live or not part.verdict.is_admissible else "draining"


def _wire(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
