"""What Envoy is started with: its bootstrap file and command line flags. Pure."""

from __future__ import annotations

from typing import Any

from controlplane.gateway.domain import GatewayConfig
from controlplane.gateway.envoy_listener import watched_source

Json = dict[str, Any]

FLUSH_INTERVAL_MS = 200
"""How long a finished call's log line may stay in Envoy's memory: what `kill -9` of Envoy can lose."""

PRESSURE_REFRESH_SECONDS = 0.25
STREAM_TRACKED_BYTES_EXPONENT = 19
"""Streams that hold more than 512 KiB are known by size, the largest is reset first when memory runs out."""

CONNECTION_IDLE_SECONDS_MIN = 2

_MONITORS = "type.googleapis.com/envoy.extensions.resource_monitors"
_HEAP = "envoy.resource_monitors.fixed_heap"
_INJECTED = "envoy.resource_monitors.injected_resource"
_OVERLOAD = "type.googleapis.com/envoy.config.overload.v3"


def build_bootstrap(config: GatewayConfig) -> Json:
    """Build the bootstrap: who this is, where the dynamic configuration lies, the admin door on loopback."""
    return {
        "node": {"id": config.name, "cluster": "rempart-gateway"},
        "dynamic_resources": {
            "lds_config": watched_source(config, "lds"),
            "cds_config": watched_source(config, "cds"),
        },
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": config.admin_port}}},
        "overload_manager": {
            "refresh_interval": f"{PRESSURE_REFRESH_SECONDS}s",
            "resource_monitors": _monitors(config),
            "actions": _actions(),
            "buffer_factory_config": {"minimum_account_to_track_power_of_two": STREAM_TRACKED_BYTES_EXPONENT},
        },
    }


def _monitors(config: GatewayConfig) -> list[Json]:
    def monitor(name: str, message: str, **settings: Any) -> Json:
        return {"name": name, "typed_config": {"@type": f"{_MONITORS}.{message}", **settings}}

    return [
        monitor(
            "envoy.resource_monitors.global_downstream_max_connections",
            "downstream_connections.v3.DownstreamConnectionsConfig",
            max_active_downstream_connections=config.connections_max,
        ),
        monitor(_HEAP, "fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=config.envoy_memory_bytes),
        # The share of the connections that is open: the monitor above refuses, but can start no action.
        monitor(_INJECTED, "injected_resource.v3.InjectedResourceConfig", filename=str(config.pressure_file)),
    ]


def _actions() -> list[Json]:
    """List what is done before memory or connections run out, the mildest first."""
    idle = {
        "@type": f"{_OVERLOAD}.ScaleTimersOverloadActionConfig",
        "timer_scale_factors": [
            {"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": f"{CONNECTION_IDLE_SECONDS_MIN}s"}
        ],
    }
    return [
        _action("shrink_heap", _HEAP, {"threshold": {"value": 0.8}}),
        {
            **_action("reduce_timeouts", _INJECTED, _scaled(0.5, 0.8)),
            "typed_config": idle,
        },
        _action("reset_high_memory_stream", _HEAP, _scaled(0.85, 0.95)),
        _action("stop_accepting_requests", _HEAP, {"threshold": {"value": 0.95}}),
    ]


def _action(name: str, monitor: str, when: Json) -> Json:
    return {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": monitor, **when}]}


def _scaled(begins: float, saturates: float) -> Json:
    return {"scaled": {"scaling_threshold": begins, "saturation_threshold": saturates}}


def build_arguments(config: GatewayConfig) -> list[str]:
    """List the flags that go behind `envoy -c <bootstrap>`."""
    return [
        "--use-dynamic-base-id",
        "--concurrency",
        str(config.workers),
        "--file-flush-interval-msec",
        str(FLUSH_INTERVAL_MS),
        "--drain-time-s",
        "25",
        "--log-level",
        "warning",
        # body_size_limit writes a line at level error for each body that it refuses: a caller could fill the disk.
        "--component-log-level",
        "filter:critical",
        "--service-node",
        config.name,
    ]


def build_discovery(version: str, resources: list[Json]) -> Json:
    """Wrap resources as the file form of a discovery response."""
    return {"version_info": version, "resources": resources}
