"""What allocation needs to know of pods and nodes, read once from their JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from operators.allocation.allocation_rules import GpuPod, NodeFacts

GPU_RESOURCE = "nvidia.com/gpu"
ANNOTATION_GPUS = "rempart.eu/gpus"
LABEL_TENANT = "rempart.eu/tenant"

# No node has more GPUs than this has digits; a longer text is no number of ours.
DIGITS_MAX = 9

_ENDED_PHASES = frozenset({"Failed", "Succeeded"})


def observe_gpu_pod(raw: Mapping[str, Any]) -> GpuPod | None:
    """A tenant's pod that holds GPUs of a node; None if it has no GPU, no tenant, or no node yet."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    count = gpu_count(spec)
    node, tenant_id = spec.get("nodeName"), labels.get(LABEL_TENANT)
    scheduled_at = _scheduled_at(status, metadata)
    if not count or not node or not tenant_id or scheduled_at is None:
        return None
    is_ended = status.get("phase") in _ENDED_PHASES
    return GpuPod(
        uid=metadata["uid"],
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        node=node,
        tenant_id=tenant_id,
        project_id=labels.get("rempart.eu/project", ""),
        service_id=labels.get("rempart.eu/service", ""),
        regional_deployment_id=labels.get("rempart.eu/regional-deployment", ""),
        country=labels.get("rempart.eu/country", ""),
        gpu_count=count,
        gpus=_gpus(annotations.get(ANNOTATION_GPUS)),
        scheduled_at=scheduled_at,
        is_ended=is_ended,
        ended_at=_ended_at(status) if is_ended else None,
    )


def observe_node(raw: Mapping[str, Any], default_cell: str) -> NodeFacts:
    """A node's part of an allocation record."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    labels = metadata.get("labels") or {}
    return NodeFacts(
        name=metadata["name"],
        cell=labels.get("rempart.eu/cell") or default_cell,
        sku=labels.get("rempart.eu/accelerator", ""),
        gpu_total=_whole((status.get("capacity") or {}).get(GPU_RESOURCE)),
        is_simulated=labels.get("rempart.eu/simulated") == "true",
        datacenter=labels.get("rempart.eu/datacenter", ""),
    )


def gpu_count(pod_spec: Mapping[str, Any]) -> int:
    """GPUs a pod holds: the sum of its containers' limits."""
    return sum(
        _whole(((container.get("resources") or {}).get("limits") or {}).get(GPU_RESOURCE))
        for container in pod_spec.get("containers") or ()
    )


def format_gpus(gpus: tuple[int, ...]) -> str:
    """Indices as the annotation's value: `0,1,2,3`."""
    return ",".join(str(index) for index in gpus)


def _gpus(text: object) -> tuple[int, ...]:
    if not isinstance(text, str):
        return ()
    return tuple(_whole(part) for part in text.split(",") if part.isascii() and part.isdigit())


def _scheduled_at(status: Mapping[str, Any], metadata: Mapping[str, Any]) -> datetime | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "True":
            return _time(condition.get("lastTransitionTime"))
    # A bound pod without the condition (written by another scheduler): it cannot hold GPUs before it exists.
    return _time(metadata.get("creationTimestamp"))


def _ended_at(status: Mapping[str, Any]) -> datetime | None:
    ends = [
        _time(((container.get("state") or {}).get("terminated") or {}).get("finishedAt"))
        for container in status.get("containerStatuses") or ()
    ]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None


def _whole(text: object) -> int:
    digits = str(text) if isinstance(text, str | int) else ""
    return int(digits) if len(digits) <= DIGITS_MAX and digits.isascii() and digits.isdigit() else 0
