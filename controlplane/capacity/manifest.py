"""A pool's row as the custom resource that its cell converges to. Pure."""

from __future__ import annotations

from typing import Any

from controlplane.capacity.domain import NodePool
from operators.apis.v1alpha1 import Accelerator, GPUNodePool, GPUNodePoolSpec, ObjectMeta, Provider
from operators.apis.v1alpha1 import ProviderKind as WireProviderKind


def build_node_pool(pool: NodePool) -> dict[str, Any]:
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
        replicas=pool.replicas,
    )
    labels = {"app.kubernetes.io/managed-by": "rempart"}
    return GPUNodePool(metadata=ObjectMeta(name=pool.name, labels=labels), spec=spec).manifest()
