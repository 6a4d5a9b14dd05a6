"""Envoy's clusters and endpoints: the pods of a regional deployment first, the activator behind them. Pure.

Source: Envoy's API reference, version 1.40 (Cluster, ClusterLoadAssignment, priority levels).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.gateway.domain import Endpoint, GatewayConfig, Route
from controlplane.gateway.envoy_listener import BUFFER_BYTES_MAX, watched_source
from controlplane.gateway.snapshot_rules import COUNT_MAX

Json = dict[str, Any]

GATEWAY_CLUSTER = "rempart_gateway"
INTERNAL_HEADER = "x-rempart-internal"

CONNECT_SECONDS_MAX = 2
"""A pod of the same datacenter that takes longer than this to accept is gone."""

IDLE_SECONDS_MAX = 4
"""Idle connections to the gateway's own process: far below the 75 s after which it closes them."""

ENGINE_CALLS_PER_CONNECTION = 1
"""A connection to an engine carries one call. An engine may close a connection that it announced to keep (llama.cpp
does after each stream), and a request written meanwhile is lost though nobody can tell whether it was run
(envoyproxy/envoy#47468): it cannot be sent again, so it must not be written there."""


def build_clusters(config: GatewayConfig, routes: Iterable[Route]) -> list[Json]:
    """Build the gateway's own cluster and one for each regional deployment."""
    return [_gateway_cluster(config), *(_deployment_cluster(config, route) for route in routes)]


def build_endpoints(
    config: GatewayConfig, regional_deployment_id: str, endpoints: Iterable[Endpoint]
) -> Json:
    """Build one regional deployment's endpoints: pods at priority 0, the activator at priority 1."""
    return {
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": regional_deployment_id,
        "endpoints": [
            {"priority": 0, "lb_endpoints": [_pod(endpoint) for endpoint in endpoints]},
            {"priority": 1, "lb_endpoints": [_address("127.0.0.1", config.activator_port)]},
        ],
    }


def _deployment_cluster(config: GatewayConfig, route: Route) -> Json:
    calls_max = min(COUNT_MAX, route.replicas_max * route.concurrency_per_replica + route.queue.requests_max)
    name = route.regional_deployment_id
    return {
        **_cluster(name, {"max_requests_per_connection": ENGINE_CALLS_PER_CONNECTION}),
        "type": "EDS",
        "eds_cluster_config": {"eds_config": watched_source(config, "eds", name)},
        "lb_policy": "LEAST_REQUEST",
        # Without this, an empty or failing priority 0 would still be sent a part of the calls.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "ignore_health_on_host_removal": True,
        "circuit_breakers": {
            "thresholds": [
                {
                    "priority": "DEFAULT",
                    "max_connections": calls_max,
                    "max_pending_requests": calls_max,
                    "max_requests": calls_max,
                    "max_retries": max(3, calls_max // 5),
                }
            ]
        },
        "metadata": {
            "filter_metadata": {
                "rempart": {
                    "country": route.country,
                    "datacenter": route.datacenter,
                    "operator": route.operator,
                }
            }
        },
    }


def _gateway_cluster(config: GatewayConfig) -> Json:
    return {
        **_cluster(GATEWAY_CLUSTER, {"idle_timeout": f"{IDLE_SECONDS_MAX}s"}),
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": GATEWAY_CLUSTER,
            "endpoints": [{"lb_endpoints": [_address("127.0.0.1", config.activator_port)]}],
        },
    }


def _cluster(name: str, http: Json) -> Json:
    return {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        "connect_timeout": f"{CONNECT_SECONDS_MAX}s",
        "per_connection_buffer_limit_bytes": BUFFER_BYTES_MAX,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": http,
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _pod(endpoint: Endpoint) -> Json:
    metadata = {"filter_metadata": {"rempart": {"instance": endpoint.instance}}}
    return {**_address(endpoint.address, endpoint.port), "metadata": metadata}


def _address(address: str, port: int) -> Json:
    return {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
