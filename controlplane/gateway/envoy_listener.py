"""The listener Envoy serves: filters, limits, errors and the access log. Pure builders of Envoy v3 JSON.

Source: Envoy 1.40 API (listener, http_connection_manager, lua, buffer).
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

from controlplane.gateway.domain import GatewayConfig
from controlplane.gateway.refusal_rules import AUTHENTICATION, INVALID_REQUEST, SERVER, Refusal

Json = dict[str, Any]

BODY_BYTES_MAX = 1024 * 1024
"""A request's body: text, of which a context of 128,000 tokens takes half. No model of the catalogue takes images;
one that does needs a larger bound on its own routes, not on all."""

BUFFER_BYTES_MAX = BODY_BYTES_MAX + 128 * 1024
"""What Envoy holds of one direction of a connection; past it the sender is asked to wait. Above the largest body, which
is so refused for its size before its sender is asked to wait. Answers are read as they pass: this bounds none."""

EVENT_BYTES_MAX = 64 * 1024
"""One server-sent event; a larger one is passed on, its counts are not read, and it is counted as unread."""

SLICE_BYTES = 64 * 1024
"""How much of a request's body the script copies at a time."""

KEY_TABLE_MAX = 4096
"""Keys a worker remembers, twice (two generations): about 2 MB."""

LIMIT_TABLE_MAX = 8192
"""Callers, tenants and addresses a worker keeps limits for, twice as the keys: some 3 MB each."""

COLLECT_PAUSE_TIMES = 20
"""How many times as long as a collection of what vanished callers left behind passes before the next one: they take at
most a twentieth of a worker, whatever it remembers."""

AUTHORIZE_FILES = (
    "request_ids.lua", "refusals.lua", "limits.lua", "counts.lua", "keys.lua", "authorize.lua",
)  # fmt: skip
ROUTE_FILES = ("json.lua", "events.lua", "streams.lua", "journal.lua", "route.lua")

HEADER_KIB_MAX = 32
STREAM_SECONDS_MAX = 3600
"""The longest answer: an hour, as long as a drain may be asked to wait."""

REQUEST_SECONDS_MAX = 60
"""How long a client may take to send its request: slow senders hold buffers."""

IDLE_SECONDS_MAX = 300
CONNECTION_IDLE_SECONDS_MAX = 60
"""A connection without a call; with many connections open it is less (envoy_bootstrap)."""

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9]([a-z0-9-]{0,62})){0,8}")

_TYPE = "type.googleapis.com/envoy.extensions"


def build_listener(config: GatewayConfig) -> Json:
    """Build the one listener, on the tenants' port."""
    return {
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": "tenants",
        "address": {"socket_address": {"address": config.host, "port_value": config.port}},
        "per_connection_buffer_limit_bytes": BUFFER_BYTES_MAX,
        # Each worker the same number of connections: a caller with many does not fill the one that others are on.
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _manager(config),
                    }
                ]
            }
        ],
    }


def _manager(config: GatewayConfig) -> Json:
    return {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "tenants",
        "server_name": "rempart",
        "rds": {"route_config_name": "tenants", "config_source": watched_source(config, "rds")},
        # No address counts as inside: a client's own x-request-id and x-envoy-* headers are never believed.
        "use_remote_address": True,
        "xff_num_trusted_hops": config.trusted_hops,
        "internal_address_config": {
            "unix_sockets": False,
            "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}],
        },
        "generate_request_id": True,
        "preserve_external_request_id": False,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{_TYPE}.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
            }
        },
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "strip_any_host_port": True,
        "strip_trailing_host_dot": True,
        "max_request_headers_kb": HEADER_KIB_MAX,
        "common_http_protocol_options": {
            "idle_timeout": f"{CONNECTION_IDLE_SECONDS_MAX}s",
            "max_headers_count": 100,
            "headers_with_underscores_action": "REJECT_REQUEST",
            "max_stream_duration": f"{STREAM_SECONDS_MAX}s",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
        "stream_idle_timeout": f"{IDLE_SECONDS_MAX}s",
        "request_timeout": f"{REQUEST_SECONDS_MAX}s",
        "request_headers_timeout": "10s",
        "http_filters": _filters(config),
        "local_reply_config": {"mappers": _mappers()},
        "access_log": [_access_log(config)],
    }


def watched_source(config: GatewayConfig, kind: str, name: str | None = None) -> Json:
    """Point Envoy at a file it re-reads whenever something is moved into the file's folder."""
    folder = config.xds_dir / kind if name is None else config.xds_dir / kind / name
    return {
        "path_config_source": {
            "path": str(folder / f"{kind}.json"),
            "watched_directory": {"path": str(folder)},
        },
        "resource_api_version": "V3",
    }


def _filters(config: GatewayConfig) -> list[Json]:
    return [
        # Counts bytes as they come, also while the key is being checked: the buffer behind it would not.
        _filter(
            "envoy.filters.http.body_size_limit",
            "body_size_limit.v3.BodySizeLimit",
            {"max_request_bytes": BODY_BYTES_MAX},
        ),
        _lua("rempart.authorize", config, *AUTHORIZE_FILES),
        _filter("envoy.filters.http.buffer", "buffer.v3.Buffer", {"max_request_bytes": BODY_BYTES_MAX}),
        _lua("rempart.route", config, *ROUTE_FILES),
        _filter("envoy.filters.http.router", "router.v3.Router", {"suppress_envoy_headers": True}),
    ]


def _filter(name: str, message: str, config: Json) -> Json:
    return {"name": name, "typed_config": {"@type": f"{_TYPE}.filters.http.{message}", **config}}


def _lua(name: str, config: GatewayConfig, *files: str) -> Json:
    """Join the files of one script: Envoy gives a script one text, and no way to load another."""
    folder = resources.files("controlplane.gateway").joinpath("lua")
    source = "\n".join(folder.joinpath(file).read_text(encoding="utf-8") for file in files)
    constants = "".join(f"local {key} = {value}\n" for key, value in _constants(config).items())
    return _filter(name, "lua.v3.Lua", {"default_source_code": {"inline_string": constants + source}})


def _constants(config: GatewayConfig) -> dict[str, str | int]:
    """Name what the scripts are told, each value as Lua writes it."""
    limits = config.limits
    own = ", ".join(f'["{name}"] = true' for name in config.names if NAME.fullmatch(name))
    return {
        "INTERNAL_TOKEN": json.dumps(config.internal_token),
        "ENDED_FILE": json.dumps(str(config.ended_file)),
        "STARTS_FOLDER": json.dumps(str(config.starts_dir)),
        "GO_FILE": json.dumps(str(config.go_file)),
        "OWN_NAMES": f"{{{own}}}",
        "BODY_BYTES_MAX": BODY_BYTES_MAX,
        "EVENT_BYTES_MAX": EVENT_BYTES_MAX,
        "SLICE_BYTES": SLICE_BYTES,
        "KEY_TABLE_MAX": KEY_TABLE_MAX,
        "LIMIT_TABLE_MAX": LIMIT_TABLE_MAX,
        "KEY_RATE": limits.key_calls_per_second,
        "KEY_BURST": limits.key_calls_burst,
        "TENANT_RATE": limits.tenant_calls_per_second,
        "TENANT_BURST": limits.tenant_calls_burst,
        "ADDRESS_RATE": limits.address_refusals_per_second,
        "ADDRESS_BURST": limits.address_refusals_burst,
        "CALLS_AT_ONCE": limits.tenant_calls_at_once,
        "BYTES_AT_ONCE": limits.tenant_bytes_at_once,
        "COLLECT_PAUSE_TIMES": COLLECT_PAUSE_TIMES,
    }


def _mappers() -> list[Json]:
    """Give Envoy's own errors OpenAI's shape; refusals written in the routes have no flag and pass."""
    busy = Refusal(503, SERVER, "overloaded", "The service has as many calls as it may hold.", None, 2)
    gone = Refusal(503, SERVER, "engine_unreachable", "No engine of the service could be reached.", None, 2)
    slow = Refusal(504, SERVER, "first_byte_timeout", "The engine did not answer in the time it is given.")
    late = Refusal(
        504, SERVER, "stream_too_long", f"An answer may take at most {STREAM_SECONDS_MAX} seconds."
    )
    full = Refusal(503, SERVER, "overloaded", "The gateway has no memory left for this call.", None, 5)
    loading = Refusal(503, SERVER, "route_not_ready", "The service's route is being set up.", None, 1)
    large = Refusal(
        413, INVALID_REQUEST, "request_too_large", f"The request body is larger than {BODY_BYTES_MAX} bytes."
    )
    header = Refusal(431, INVALID_REQUEST, "headers_too_large", "The request's headers are too large.")
    broken = Refusal(400, INVALID_REQUEST, "bad_request", "The request could not be read as HTTP.")
    waited = Refusal(
        408, INVALID_REQUEST, "request_timeout", "The request was not sent in the time it is given."
    )
    unknown = Refusal(404, INVALID_REQUEST, "unknown_url", "This gateway has no such path.")
    closed = Refusal(401, AUTHENTICATION, "invalid_api_key", "Incorrect API key provided.")
    return [
        _mapper(busy, _flags("UO")),
        _mapper(full, _flags("OM")),
        _mapper(loading, _flags("NC")),
        _mapper(gone, _flags("UH", "UF", "UC", "UR", "LR", "URX", "UPE")),
        _mapper(slow, _flags("UT", "SI")),
        _mapper(late, _flags("DT", "UMSDR")),
        _mapper(unknown, _flags("NR")),
        _mapper(broken, _flags("DPE")),
        _mapper(closed, _flags("UAEX")),
        _mapper(large, _status(413)),
        _mapper(header, _status(431)),
        _mapper(waited, _status(408)),
    ]


def _mapper(refusal: Refusal, when: Json) -> Json:
    headers = [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in sorted(refusal.headers.items())
    ]
    return {
        "filter": when,
        "status_code": refusal.status,
        "body_format_override": {"json_format": json.loads(refusal.body)},
        **({"headers_to_add": headers} if headers else {}),
    }


def _flags(*flags: str) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


def _status(code: int) -> Json:
    value = {"default_value": code, "runtime_key": f"rempart.status_{code}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _access_log(config: GatewayConfig) -> Json:
    """Log what the collector turns into usage: one JSON object for each routed call, at its end."""
    fields = {
        "id": "%REQ(X-REQUEST-ID)%",
        "started_at": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "route": "%METADATA(ROUTE:rempart)%",
        "seen": "%DYNAMIC_METADATA(rempart)%",
        "usage": "%DYNAMIC_METADATA(rempart.usage:counts)%",
        "host_instance": "%UPSTREAM_METADATA(rempart:instance)%",
        "instance": "%RESP(X-REMPART-INSTANCE)%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "duration_ms": "%DURATION%",
        "first_byte_ms": "%RESPONSE_DURATION%",
        "request_bytes": "%BYTES_RECEIVED%",
        "response_bytes": "%BYTES_SENT%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "filter": {
            "metadata_filter": {
                "matcher": {
                    "filter": "rempart",
                    "path": [{"key": "call"}],
                    "value": {"present_match": True},
                },
                "match_if_key_not_found": False,
            }
        },
        "typed_config": {
            "@type": f"{_TYPE}.access_loggers.file.v3.FileAccessLog",
            "path": str(config.access_log),
            "log_format": {"json_format": fields},
        },
    }
