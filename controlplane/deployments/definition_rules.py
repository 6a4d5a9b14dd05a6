"""A checked definition as a JSON document and back. Pure: what was stored once reads the same for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.deployments.domain import Definition, EnvEntry, QueueLimits

# Part of the stored document: a later meaning of a field gets a new number and a reader of its own.
PLAN_FORMAT = 1


def dump_plan(definition: Definition) -> dict[str, Any]:
    return {
        "format": PLAN_FORMAT,
        "name": definition.name,
        "model": definition.model,
        "instance_types": list(definition.instance_types),
        "replicas_min": definition.replicas_min,
        "replicas_max": definition.replicas_max,
        "concurrency_per_replica": definition.concurrency_per_replica,
        "idle_seconds": definition.idle_seconds,
        "env": [{"key": e.key, "value": e.value, "secret": e.secret} for e in definition.env],
        "regions": list(definition.regions),
        "sovereignty": dict(definition.sovereignty),
        "on_violation_grace_seconds": definition.on_violation_grace_seconds,
        "is_simulated_allowed": definition.is_simulated_allowed,
        "queue": {
            "requests_max": definition.queue.requests_max,
            "bytes_max": definition.queue.bytes_max,
            "age_seconds_max": definition.queue.age_seconds_max,
        },
        "first_byte_seconds_max": definition.first_byte_seconds_max,
        "gpus_per_replica": definition.gpus_per_replica,
    }


def load_plan(document: Mapping[str, Any]) -> Definition:
    """Read what `dump_plan` wrote; ValueError on another format."""
    if document["format"] != PLAN_FORMAT:
        raise ValueError(f"a plan of format {document['format']!r} is not known")
    return Definition(
        name=document["name"],
        model=document["model"],
        instance_types=tuple(document["instance_types"]),
        replicas_min=document["replicas_min"],
        replicas_max=document["replicas_max"],
        concurrency_per_replica=document["concurrency_per_replica"],
        idle_seconds=document["idle_seconds"],
        env=tuple(EnvEntry(e["key"], e["value"], e["secret"]) for e in document["env"]),
        regions=tuple(document["regions"]),
        sovereignty=dict(document["sovereignty"]),
        on_violation_grace_seconds=document["on_violation_grace_seconds"],
        is_simulated_allowed=document["is_simulated_allowed"],
        queue=QueueLimits(
            document["queue"]["requests_max"],
            document["queue"]["bytes_max"],
            document["queue"]["age_seconds_max"],
        ),
        first_byte_seconds_max=document["first_byte_seconds_max"],
        gpus_per_replica=document["gpus_per_replica"],
    )


def merge_patch(document: Any, patch: Any) -> Any:
    """Apply a JSON merge patch: objects are merged, null removes, anything else replaces (RFC 7396 §2)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
