"""What Envoy is told, against reviewed goldens (`make golden` rewrites them)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.gateway.demand import parse_active_calls
from controlplane.gateway.domain import Endpoint
from controlplane.gateway.envoy_bootstrap import build_arguments, build_bootstrap
from controlplane.gateway.envoy_clusters import build_clusters, build_endpoints
from controlplane.gateway.envoy_listener import build_listener
from controlplane.gateway.envoy_routes import build_routes
from controlplane.gateway.route_rules import decide_routes
from controlplane.gateway.snapshot_rules import parse_routing
from tests.fixtures.golden import check_golden
from tests.unit.gateway.values import CONFIG, route_item, routing

GOLDEN = Path(__file__).parents[2] / "golden" / "gateway"
TABLE = decide_routes(
    parse_routing(
        routing(
            route_item(1, hosts=["chat.example.test"]),
            route_item(2, operator="100% ours"),
            route_item(3, state="paused"),
            route_item(4, simulated=True),
        )
    )
)


def _without_scripts(value: Any) -> Any:
    """The Lua files are reviewed as files; in a golden they would be one unreadable line."""
    if isinstance(value, dict):
        return {
            k: "<script>" if k == "inline_string" and "envoy_on_" in v else _without_scripts(v)
            for k, v in value.items()
        }
    return [_without_scripts(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("bootstrap", build_bootstrap(CONFIG)),
        ("arguments", build_arguments(CONFIG)),
        ("listener", _without_scripts(build_listener(CONFIG))),
        ("routes", build_routes(CONFIG, TABLE)),
        ("clusters", build_clusters(CONFIG, TABLE.clusters)),
        ("endpoints", build_endpoints(CONFIG, "rdp_1", (Endpoint("127.0.0.1", 9, "pod-1"),))),
        ("endpoints-asleep", build_endpoints(CONFIG, "rdp_1", ())),
    ],
)
def test_the_configuration_is_as_reviewed(name: str, document: Any) -> None:
    path = GOLDEN / f"{name}.json"
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    check_golden(path, text)


def test_text_from_a_snapshot_is_never_a_format_command_of_envoys() -> None:
    assert "operator=100%% ours" in json.dumps(build_routes(CONFIG, TABLE))


def test_a_simulated_deployment_has_no_cluster() -> None:
    names = {cluster["name"] for cluster in build_clusters(CONFIG, TABLE.clusters)}
    assert f"rdp_{4:026d}" not in names


def test_no_raw_key_and_no_pepper_is_in_the_configuration() -> None:
    everything = json.dumps([build_listener(CONFIG), build_routes(CONFIG, TABLE), build_bootstrap(CONFIG)])
    assert CONFIG.hash_ring.current.value.hex() not in everything
    assert CONFIG.hash_ring.current.value.decode() not in everything


def test_open_calls_are_read_from_envoys_stats() -> None:
    stats = "cluster.rdp_01.upstream_rq_active: 3\ncluster.rempart_gateway.upstream_rq_active: 9\n"
    assert parse_active_calls(stats) == {"rdp_01": 3}
