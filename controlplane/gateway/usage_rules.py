"""From one line of Envoy's access log to one usage event (docs/contracts.md, "Spools"). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

EVENT_TYPE = "eu.rempart.inference.request.v1"
DISCONNECTED_FLAGS = frozenset({"DC", "DR"})
"""Envoy's flags for a client that closed its connection (DC) or reset its stream (DR)."""


def decide_usage(line: bytes, gateway: str) -> dict[str, Any] | None:
    """Return the CloudEvent of one logged call, or None for a call that never reached an engine.

    Shapes: `line` is one JSON object as envoy_listener writes it. Counts are None when nobody counted.
    Errors: ValueError for a line that is not one of ours: it is kept aside, never guessed at.
    """
    entry = orjson.loads(line)
    if not isinstance(entry, dict) or "id" not in entry or "seen" not in entry:
        raise ValueError("not a line of the access log")
    route = entry.get("route")
    instance = _text(entry.get("host_instance")) or _text(entry.get("instance"))
    # Only a pod's endpoint, or the activator once an engine answered, names an instance.
    if not isinstance(route, dict) or "service_id" not in route or instance is None:
        return None
    seen, usage = entry["seen"], entry.get("usage")
    call, caller, answer = seen.get("call") or {}, seen.get("caller") or {}, seen.get("answer") or {}
    flags = set((_text(entry.get("flags")) or "").split(","))
    source, input_tokens, output_tokens = _decide_tokens(usage if isinstance(usage, dict) else {}, answer)
    ttft = answer.get("ttft_ms", entry.get("first_byte_ms"))
    return {
        "specversion": "1.0",
        "id": str(entry["id"]),
        "type": EVENT_TYPE,
        "source": f"/gateways/{gateway}",
        "subject": route["service_id"],
        "time": entry.get("started_at"),
        "data": {
            "tenant_id": caller.get("tenant"),
            "project_id": caller.get("project"),
            "service_id": route["service_id"],
            "deployment_id": route["deployment_id"],
            "regional_deployment_id": route["regional_deployment_id"],
            "instance": instance,
            "key_id": caller.get("key"),
            "model": route["model"],
            "datacenter": route["datacenter"],
            "country": route["country"],
            "status": _whole(entry.get("status")) or 0,
            "stream": call.get("is_stream") is True,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "usage_source": source,
            "duration_ms": _whole(entry.get("duration_ms")) or 0,
            "ttft_ms": _whole(ttft),
            "request_bytes": _whole(entry.get("request_bytes")) or 0,
            "response_bytes": _whole(entry.get("response_bytes")) or 0,
            "is_disconnected": not flags.isdisjoint(DISCONNECTED_FLAGS),
        },
    }


def _decide_tokens(usage: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[str, int | None, int | None]:
    """Prefer the engine's totals, then its running counts, then the pieces of the answer that passed here.

    Source: OpenAI's `usage` (vLLM also sends it in every event); llama.cpp's `timings`, where the prompt is
    `prompt_n` read now plus `cache_n` taken from its cache.
    """
    if "input_tokens" in usage or "output_tokens" in usage:
        return "engine", _whole(usage.get("input_tokens")), _whole(usage.get("output_tokens")) or 0
    if "made_tokens" in usage:
        read = (_whole(usage.get("read_tokens")) or 0) + (_whole(usage.get("cached_tokens")) or 0)
        return "engine", read, _whole(usage.get("made_tokens"))
    deltas = _whole(answer.get("deltas"))
    if deltas:
        return "counted", None, deltas
    return "none", None, None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in {"", "-"} else None


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value)
