"""Routes at every bound that the API allows, taken by the gateway and by Envoy beside an ordinary one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from controlplane.deployments.definition_schemas import DefinitionIn, to_definition
from controlplane.deployments.domain import RouteState, RouteVerdict
from controlplane.deployments.routing_rules import Routed, build_snapshot
from controlplane.kernel import bounds
from controlplane.kernel.ids import RegionalDeploymentId, ServiceId
from tests.integration.gateway.rig import MODEL, Rig, Tenant
from tests.integration.gateway.scripted_engine import ScriptedEngine
from tests.unit.deployments.parts import NOW, fixed, part, service
from tests.unit.deployments.test_bounds import SMALLEST, WIDE, largest_body


def _extreme_routes() -> list[dict[str, Any]]:
    """The largest definition, the smallest one, and one that is refused for as long a reason as there can be."""
    refused = RouteVerdict(False, "f" * 64, "🏰" * bounds.VERDICT_REASON_LENGTH, NOW)
    routes = []
    for number, (body, verdict) in enumerate(
        [(largest_body(), None), (SMALLEST, None), (SMALLEST, refused)], 50
    ):
        definition = to_definition(DefinitionIn.model_validate(body))
        own = ServiceId(fixed(number))
        placed = part(
            number,
            service_id=own,
            placement=WIDE,
            route_state=RouteState.ACTIVE,
            replicas_min=definition.replicas_min,
            replicas_max=definition.replicas_max,
        )
        placed = replace(placed, id=RegionalDeploymentId(fixed(number)), verdict=verdict or placed.verdict)
        named = service(id=own, name=definition.name, host=f"{definition.name}-{number}.rempart.localhost")
        snapshot = build_snapshot(1, NOW, [Routed(named, placed, definition)])
        routes += json.loads(json.dumps(snapshot))["routes"]
    return routes


@pytest.mark.case("X1")
def test_envoy_takes_routes_at_every_bound_and_others_are_served_beside_them(
    rig: Rig, tenant: Tenant, client: httpx.Client, engine: ScriptedEngine
) -> None:
    ordinary = tenant.route()
    rig.publish_routes(ordinary, *_extreme_routes())
    rig.publish_endpoints(ordinary, engine.port)
    call = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    assert client.post("/v1/chat/completions", json=call).status_code == 200
    assert rig.stat("^http.tenants.rds.tenants.update_rejected$") == 0
    assert rig.stat("^cluster_manager.cds.update_rejected$") == 0
