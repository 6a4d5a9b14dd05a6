"""Wire shapes of the capacity room."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from controlplane.capacity.domain import NodePool, ProviderKind
from controlplane.capacity.manifest import MARK_KEY_PATTERN, MARK_VALUE_PATTERN
from controlplane.kernel import bounds
from controlplane.plumbing.web import WireModel

Code = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
PoolName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]


class AcceleratorIn(WireModel):
    sku: str = Field(
        description="Which GPUs.",
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        examples=["nvidia-b300"],
    )
    count: int = Field(
        ge=bounds.GPUS.least, le=bounds.GPUS.most, description="GPUs of one node.", examples=[8]
    )


PAUSED = "True stops starting and giving back machines, and nothing new is placed on the pool; what runs there goes on."


class TaintIn(WireModel):
    key: str = Field(
        description="Name of the taint.",
        min_length=1,
        max_length=317,
        pattern=MARK_KEY_PATTERN,
        examples=["example.org/confidential"],
    )
    value: str = Field(
        default="", description="Value; may be empty.", max_length=63, pattern=MARK_VALUE_PATTERN
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(description="What it does.")


NodeLabels = Annotated[
    dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=63)]], Field(max_length=32)
]
NodeTaints = Annotated[list[TaintIn], Field(max_length=16)]


class NodePoolIn(WireModel):
    name: PoolName = Field(description="Unique name.", examples=["essonne-b300"])
    datacenter: Code = Field(description="Code of its datacenter.")
    cell: Code = Field(description="Name of its cell.")
    provider: ProviderKind = Field(description="`kwok` makes simulated nodes, labelled so everywhere.")
    instance_type: str = Field(
        description="Name of the size of its nodes.",
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        examples=["b300-8x"],
    )
    accelerator: AcceleratorIn | None = Field(
        default=None, description="GPUs of each node; left out for nodes without."
    )
    cpu_milli: int = Field(
        ge=100, le=bounds.CPU_MILLI.most, description="CPU of one node in thousandths of a core."
    )
    memory_mib: int = Field(ge=64, le=bounds.MEMORY_MIB.most, description="Memory of one node in MiB.")
    watts_per_node: int = Field(ge=1, le=500_000, description="Draw of one node at full load in watts.")
    replicas: int = Field(
        ge=bounds.POOL_NODES.least,
        le=bounds.POOL_NODES.most,
        description=f"Nodes wanted; of provider process at most {bounds.PROCESS_POOL_NODES.most}.",
    )

    paused: bool = Field(default=False, description=PAUSED)
    node_labels: NodeLabels = Field(
        default={}, description="Labels of its nodes, besides those that Rempart sets."
    )
    node_taints: NodeTaints = Field(
        default=[], description="Taints of its nodes, besides those that Rempart sets."
    )

    @model_validator(mode="after")
    def _process_hosts_have_no_gpu(self) -> NodePoolIn:
        if self.provider is ProviderKind.PROCESS and self.replicas > bounds.PROCESS_POOL_NODES.most:
            raise ValueError(f"a pool of process nodes has at most {bounds.PROCESS_POOL_NODES.most} replicas")
        if self.provider is ProviderKind.PROCESS and self.accelerator is not None:
            raise ValueError("a process host has no GPU: leave accelerator out, or use another provider")
        return self


class NodePoolPatch(WireModel):
    replicas: int | None = Field(
        default=None,
        description="Nodes wanted; left out: as it is.",
        ge=bounds.POOL_NODES.least,
        le=bounds.POOL_NODES.most,
    )
    paused: bool | None = Field(default=None, description=f"{PAUSED} Left out: as it is.")
    node_labels: NodeLabels | None = Field(
        default=None, description="Labels of its nodes; left out: as they are."
    )
    node_taints: NodeTaints | None = Field(
        default=None, description="Taints of its nodes; left out: as they are."
    )

    @model_validator(mode="after")
    def _something_changes(self) -> NodePoolPatch:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("say what changes: replicas, paused, node_labels or node_taints")
        return self


class NodePoolOut(WireModel):
    id: str = Field(description="Id of the pool.")
    name: str = Field(description="Unique name.")
    datacenter: str = Field(description="Code of its datacenter.")
    country: str = Field(description="Country of the datacenter.")
    cell: str = Field(description="Name of its cell.")
    provider: str = Field(description="Where its nodes come from: `kwok` (simulated) or `process`.")
    instance_type: str = Field(description="Size of its nodes.")
    accelerator: AcceleratorIn | None = Field(description="GPUs of each node; null for nodes without.")
    cpu_milli: int = Field(description="CPU of one node in thousandths of a core.")
    memory_mib: int = Field(description="Memory of one node in MiB.")
    watts_per_node: int = Field(description="Draw of one node at full load in watts.")
    replicas: int = Field(description="Nodes wanted.")
    nodes_there: int = Field(
        description="Nodes that may draw power: wanted ones, and those that still drain."
    )
    paused: bool = Field(description=PAUSED)
    node_labels: dict[str, str] = Field(description="Labels of its nodes, besides those that Rempart sets.")
    node_taints: list[TaintIn] = Field(description="Taints of its nodes, besides those that Rempart sets.")
    ready_nodes: int = Field(description="Nodes that passed their acceptance check and are ready.")
    gpus_reserved: int = Field(description="GPUs that deployments hold.")
    is_simulated: bool = Field(description="Whether its nodes are simulated.")
    state: str = Field(description="How it stands.")
    message: str = Field(description="Why it stands so; empty when all is well.")
    created_at: datetime = Field(description="When it was first wanted.")
    version: int = Field(description="Counts changes; the ETag.")


class NodePoolReply(WireModel):
    node_pool: NodePoolOut


class NodePoolList(WireModel):
    node_pools: list[NodePoolOut]
    limit: int = Field(description="How many items a page holds.")
    has_next: bool = Field(description="Whether more follow.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")


def from_node_pool(pool: NodePool) -> NodePoolOut:
    return NodePoolOut(
        id=str(pool.id),
        name=pool.name,
        datacenter=pool.datacenter_code,
        country=pool.country,
        cell=pool.cell_name,
        provider=pool.provider,
        instance_type=pool.instance_type,
        accelerator=None
        if pool.accelerator_sku is None
        else AcceleratorIn(sku=pool.accelerator_sku, count=pool.gpus_per_node),
        cpu_milli=pool.cpu_milli_per_node,
        memory_mib=pool.memory_mib_per_node,
        watts_per_node=pool.watts_per_node,
        replicas=pool.replicas,
        nodes_there=pool.nodes_there,
        paused=pool.is_paused,
        node_labels=pool.node_labels,
        node_taints=[TaintIn.model_validate(taint) for taint in pool.node_taints],
        ready_nodes=pool.ready_nodes,
        gpus_reserved=pool.gpus_reserved,
        is_simulated=pool.is_simulated,
        state=pool.state,
        message=pool.message or (f"Kept by hand in its cell: {pool.held_reason}" if pool.held_reason else ""),
        created_at=pool.created_at,
        version=pool.version,
    )
