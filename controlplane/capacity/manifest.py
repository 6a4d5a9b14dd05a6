"""A pool's row as the custom resource that its cell converges to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.capacity.domain import NodePool
from operators.apis.v1alpha1 import (
    Accelerator,
    GPUNodePool,
    GPUNodePoolSpec,
    NodeOrder,
    NodeTaint,
    ObjectMeta,
    Provider,
    TaintEffect,
)
from operators.apis.v1alpha1 import NodeAction as WireNodeAction
from operators.apis.v1alpha1 import ProviderKind as WireProviderKind
from operators.apis.v1alpha1.node_names import KEY_PATTERN, VALUE_PATTERN, label_error, taint_error

# What the key and the value of a label or taint look like; who owns which names is told by the rules below.
MARK_KEY_PATTERN = KEY_PATTERN
MARK_VALUE_PATTERN = VALUE_PATTERN


def build_node_pool(pool: NodePool, replicas: int | None = None) -> dict[str, Any]:
    """Build what the cell is told; `replicas` is how many machines may be there, None: as many as are wanted."""
    accelerator = (
        None
        if pool.accelerator_sku is None
        else Accelerator(sku=pool.accelerator_sku, count=pool.gpus_per_node)
    )
    spec = GPUNodePoolSpec(
        datacenter=pool.datacenter_code,
        cell=pool.cell_name,
        provider=Provider(kind=WireProviderKind(pool.provider.value)),
        instance_type=pool.instance_type,
        accelerator=accelerator,
        cpu_milli=pool.cpu_milli_per_node,
        memoryMiB=pool.memory_mib_per_node,
        replicas=pool.replicas if replicas is None else replicas,
        node_labels=pool.node_labels,
        node_taints=[
            NodeTaint(key=taint["key"], value=taint["value"], effect=TaintEffect(taint["effect"]))
            for taint in pool.node_taints
        ],
        node_orders=[
            NodeOrder(
                claim=order["claim"],
                uid=order["uid"],
                action=WireNodeAction(order["action"]),
                since=order["since"],
            )
            for order in pool.node_orders
        ],
        paused=pool.is_paused,
    )
    labels = {"app.kubernetes.io/managed-by": "rempart"}
    return GPUNodePool(metadata=ObjectMeta(name=pool.name, labels=labels), spec=spec).manifest()


def find_mark_problems(
    labels: Mapping[str, str], taints: Sequence[Mapping[str, str]]
) -> list[tuple[str, str]]:
    """Return (field, sentence) for each label and taint of a pool that its machines could not carry."""
    problems = [
        (f"node_labels.{key[:80]}", error)
        for key, value in labels.items()
        for error in (label_error(key, value),)
        if error
    ]
    seen: set[tuple[str, str]] = set()
    for at, taint in enumerate(taints):
        error = taint_error(taint["key"], taint["value"])
        if error:
            problems.append((f"node_taints.{at}", error))
        if (taint["key"], taint["effect"]) in seen:
            problems.append((f"node_taints.{at}", "the same key and effect is there already"))
        seen.add((taint["key"], taint["effect"]))
    return problems
