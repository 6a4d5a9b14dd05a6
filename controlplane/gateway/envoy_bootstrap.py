"""What Envoy is started with: its bootstrap file and command line flags. Pure."""

from __future__ import annotations

from typing import Any

from controlplane.gateway.domain import GatewayConfig
from controlplane.gateway.envoy_listener import CONNECTIONS_MAX, watched_source

Json = dict[str, Any]

FLUSH_INTERVAL_MS = 200
"""How long a finished call's log line may stay in Envoy's memory: what `kill -9` of Envoy can lose."""

WORKERS = 1
"""One worker serves 12,000 calls a second, far above what one datacenter's engines answer; key tables and
least-request counts are per worker, so fewer workers also decide better."""


def build_bootstrap(config: GatewayConfig) -> Json:
    """Build the bootstrap: who this is, where the dynamic configuration lies, the admin door on loopback."""
    monitor = "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3"
    return {
        "node": {"id": config.name, "cluster": "rempart-gateway"},
        "dynamic_resources": {
            "lds_config": watched_source(config, "lds"),
            "cds_config": watched_source(config, "cds"),
        },
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": config.admin_port}}},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{monitor}.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": CONNECTIONS_MAX,
                    },
                }
            ]
        },
    }


def build_arguments(config: GatewayConfig) -> list[str]:
    """List the flags that go behind `envoy -c <bootstrap>`."""
    return [
        "--use-dynamic-base-id",
        "--concurrency",
        str(WORKERS),
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
