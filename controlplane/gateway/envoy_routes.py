"""Envoy's route table from the routing snapshot: one hash lookup for a model, one for a host. Pure.

Source: Envoy 1.40 API (RouteConfiguration, VirtualHost.matcher with `exact_match_map`). The call's
`<project id>/<model>` stands in the header `x-rempart-route`, which lua/route.lua writes and no client can.
"""

from __future__ import annotations

from typing import Any

from controlplane.gateway.domain import GatewayConfig, Route
from controlplane.gateway.envoy_clusters import GATEWAY_CLUSTER, INTERNAL_HEADER
from controlplane.gateway.key_rules import door_token
from controlplane.gateway.refusal_rules import HOST_NOT_FOUND, MODEL_NOT_FOUND, Refusal
from controlplane.gateway.route_rules import HostAnswer, Refuse, RouteTable, Serve

Json = dict[str, Any]

ROUTE_HEADER = "x-rempart-route"
PROJECT_HEADER = "x-rempart-project"
DEPLOYMENT_HEADER = "x-rempart-regional-deployment"
INSTANCE_HEADER = "x-rempart-instance"
RESIDENCY_HEADER = "x-rempart-residency"
MODELS_ROUTE = "/v1/models"

RETRIES_MAX = 2
"""Before the first byte only: another endpoint, then the activator, which waits for one that answers."""

_OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"
_ANY: Json = {"prefix": "/"}


def build_routes(config: GatewayConfig, table: RouteTable) -> Json:
    """Build the RouteConfiguration `tenants`."""
    entries = {MODELS_ROUTE: _action(_models_route(config))}
    for key, answer in table.by_model.items():
        entries[key] = _action(_answer(config, answer, _ANY, is_by_host=False))
    by_model = {
        "name": "by-model",
        "domains": ["*"],
        "matcher": {
            "matcher_tree": {
                "input": {
                    "name": "route",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                        "header_name": ROUTE_HEADER,
                    },
                },
                "exact_match_map": {"map": dict(sorted(entries.items()))},
            },
            "on_no_match": _action(_refusal(MODEL_NOT_FOUND, _ANY)),
        },
    }
    return {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": "tenants",
        "virtual_hosts": [by_model, *(_host(config, host) for host in table.by_host)],
        "max_direct_response_body_size_bytes": 8192,
    }


def residency(route: Route) -> str:
    """Write the header that says where the answer came from (docs/contracts.md)."""
    text = (
        f"country={route.country}; datacenter={route.datacenter}; operator={route.operator}; "
        f"policy={route.verdict.policy_hash}"
    )
    # A header holds visible ASCII; one other character would make Envoy refuse every route.
    return "".join(character if " " <= character <= "~" else "?" for character in text)


def _host(config: GatewayConfig, host: HostAnswer) -> Json:
    models = {"path": MODELS_ROUTE}
    own = {**_ANY, "headers": [{"name": PROJECT_HEADER, "string_match": {"exact": host.project_id}}]}
    return {
        "name": f"host-{host.host}",
        "domains": [host.host],
        "routes": [
            {**_models_route(config), "match": models, "metadata": _lua_metadata(host.answer.route)},
            _answer(config, host.answer, own, is_by_host=True),
            # Another project's key learns nothing about this host: the same answer as for none.
            {**_refusal(HOST_NOT_FOUND, _ANY), "metadata": _lua_metadata(host.answer.route)},
        ],
    }


def _action(route: Json) -> Json:
    typed = {"@type": "type.googleapis.com/envoy.config.route.v3.Route", **route}
    return {"action": {"name": "route", "typed_config": typed}}


def _answer(config: GatewayConfig, answer: Serve | Refuse, match: Json, *, is_by_host: bool) -> Json:
    if isinstance(answer, Refuse):
        route = _refusal(answer.refusal, match)
        return {**route, "metadata": _lua_metadata(answer.route)} if is_by_host else route
    return _serve(config, answer.route, match, is_by_host)


def _serve(config: GatewayConfig, route: Route, match: Json, is_by_host: bool) -> Json:
    metadata = {
        "service_id": route.service_id,
        "deployment_id": route.deployment_id,
        "regional_deployment_id": route.regional_deployment_id,
        "model": route.model,
        "datacenter": route.datacenter,
        "country": route.country,
    }
    hold = route.queue.age_seconds_max + route.first_byte_seconds_max
    return {
        "match": match,
        "name": route.regional_deployment_id,
        "metadata": {
            "filter_metadata": {
                "rempart": metadata,
                **_lua_filters(route if is_by_host else None, route.regional_deployment_id),
            }
        },
        "route": {
            "cluster": route.regional_deployment_id,
            "cluster_not_found_response_code": "SERVICE_UNAVAILABLE",
            # An answer may stream for long; what is bounded is silence: held, then up to the first byte.
            "timeout": "0s",
            "idle_timeout": f"{hold}s",
            "retry_policy": _retry_policy(),
        },
        "request_headers_to_add": [
            _header(DEPLOYMENT_HEADER, route.regional_deployment_id),
            # This header reaches the engine too, so it opens the activator for this deployment alone.
            _header(INTERNAL_HEADER, door_token(config.internal_token, route.regional_deployment_id)),
        ],
        "request_headers_to_remove": [ROUTE_HEADER, PROJECT_HEADER],
        "response_headers_to_add": [
            _header(RESIDENCY_HEADER, residency(route)),
            # Empty when the activator answers, which names it itself; an engine's own is overwritten.
            _header(INSTANCE_HEADER, None, "%UPSTREAM_METADATA(rempart:instance)%"),
        ],
    }


def _retry_policy() -> Json:
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": RETRIES_MAX,
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3"
                ".PreviousPrioritiesConfig",
                "update_frequency": 1,
            },
        },
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3"
                    ".PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 3,
    }


def _models_route(config: GatewayConfig) -> Json:
    return {
        "match": _ANY,
        "name": "models",
        "route": {"cluster": GATEWAY_CLUSTER, "timeout": "5s"},
        "request_headers_to_add": [_header(INTERNAL_HEADER, config.internal_token)],
    }


def _refusal(refusal: Refusal, match: Json) -> Json:
    headers = {"content-type": "application/json", **refusal.headers}
    return {
        "match": match,
        "name": f"refused-{refusal.code}",
        "direct_response": {"status": refusal.status, "body": {"inline_string": refusal.body}},
        "response_headers_to_add": [_header(key, value) for key, value in sorted(headers.items())],
    }


def _lua_metadata(host: Route) -> Json:
    return {"filter_metadata": _lua_filters(host, None)}


def _lua_filters(host: Route | None, regional_deployment_id: str | None) -> Json:
    """What the two scripts are told of a route; `host` where the call was addressed to a service's name."""
    if host is None:
        authorize: Json = {"by_host": False}
    else:
        authorize = {"by_host": True, "tenant": host.tenant_id, "project": host.project_id}
    route: Json = {} if host is None else {"by_host": True}
    if regional_deployment_id is not None:
        route["regional_deployment_id"] = regional_deployment_id
    return {"rempart.authorize": authorize, "rempart.route": route}


def _header(key: str, value: str | None, formatted: str | None = None) -> Json:
    # A value from a snapshot is text, never one of Envoy's format commands.
    text = formatted if value is None else value.replace("%", "%%")
    return {"header": {"key": key, "value": text}, "append_action": _OVERWRITE}
