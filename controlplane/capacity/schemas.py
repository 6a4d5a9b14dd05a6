"""Wire shapes of the capacity room."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, model_validator

from controlplane.capacity.domain import Datacenter, Node, NodePool, ProviderKind
from controlplane.kernel import bounds
from controlplane.plumbing.web import WireModel

Code = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
PoolName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
EntityRef = Annotated[str, Field(max_length=64, description="Id of a legal entity, `ent_…`.")]
PueMilli = Annotated[
    int, Field(ge=1000, le=5000, description="PUE in thousandths: 1200 is 1.20.", examples=[1200])
]
PowerKw = Annotated[int, Field(ge=1, le=2_000_000, description="Power of the site in kW.", examples=[40_000])]


class CellIn(WireModel):
    name: Code = Field(description="Name of one Kubernetes cluster of the site.", examples=["essonne-1-a"])


class DatacenterIn(WireModel):
    code: Code = Field(description="Short name, unique.", examples=["essonne-1"])
    name: str = Field(
        description="Name for people.", min_length=1, max_length=100, examples=["Essonne, hall 1"]
    )
    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2.", examples=["FR"])
    operator_entity_id: EntityRef = Field(description="Who runs it: id of a legal entity.")
    owner_entity_id: EntityRef = Field(description="Whose it is: id of a legal entity.")
    power_kw: PowerKw
    rack_kw_max: int = Field(ge=1, le=2000, description="Power of one rack in kW.", examples=[130])
    pue_milli: PueMilli
    cells: list[CellIn] = Field(description="Its Kubernetes clusters.", min_length=1, max_length=20)


class DatacenterPatch(WireModel):
    pue_milli: PueMilli | None = Field(default=None, description="PUE in thousandths; left out: as it is.")
    power_kw: PowerKw | None = Field(default=None, description="Power of the site in kW; left out: as it is.")


class DatacenterOut(WireModel):
    id: str = Field(description="Id of the datacenter.")
    code: str = Field(description="Short name.")
    name: str = Field(description="Name for people.")
    country: str = Field(description="ISO 3166-1 alpha-2.")
    operator_entity_id: str = Field(description="Legal entity that runs it.")
    owner_entity_id: str = Field(description="Legal entity that owns it.")
    power_kw: int = Field(description="Power of the site in kW.")
    rack_kw_max: int = Field(description="Power of one rack in kW.")
    pue_milli: int = Field(description="PUE in thousandths: 1200 is 1.20.")
    cells: list[str] = Field(description="Names of its Kubernetes clusters.")
    created_at: datetime = Field(description="When it was registered.")
    version: int = Field(description="Counts changes; the ETag.")


class DatacenterReply(WireModel):
    datacenter: DatacenterOut


class DatacenterList(WireModel):
    datacenters: list[DatacenterOut]


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

    @model_validator(mode="after")
    def _process_hosts_have_no_gpu(self) -> NodePoolIn:
        if self.provider is ProviderKind.PROCESS and self.replicas > bounds.PROCESS_POOL_NODES.most:
            raise ValueError(f"a pool of process nodes has at most {bounds.PROCESS_POOL_NODES.most} replicas")
        if self.provider is ProviderKind.PROCESS and self.accelerator is not None:
            raise ValueError("a process host has no GPU: leave accelerator out, or use another provider")
        return self


class NodePoolPatch(WireModel):
    replicas: int = Field(description="Nodes wanted.", ge=bounds.POOL_NODES.least, le=bounds.POOL_NODES.most)


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


class AcceptanceCheckOut(WireModel):
    name: str = Field(description="What was checked.")
    result: str = Field(description="How it ended: passed, failed, skipped or simulated.")
    detail: str = Field(description="What was measured.")


class NodeOut(WireModel):
    name: str = Field(description="Name of the claim for this machine.")
    pool: str = Field(description="Name of its pool.")
    node: str = Field(description="Name of its Kubernetes node; empty until it has one.")
    phase: str = Field(description="How far it has come.")
    is_simulated: bool = Field(description="Whether it is simulated.")
    accepted_at: datetime | None = Field(description="When it passed its acceptance check; null until then.")
    acceptance: list[AcceptanceCheckOut] = Field(description="The checks of its acceptance.")
    observed_at: datetime = Field(description="When its cell last reported on it.")


class NodeList(WireModel):
    nodes: list[NodeOut]
    limit: int = Field(description="How many items a page holds.")
    has_next: bool = Field(description="Whether more follow.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")


class CatalogDatacenterOut(WireModel):
    """What a tenant may know of a site before choosing it."""

    id: str = Field(description="Code of the site, as `regions` of a definition takes it.")
    name: str = Field(description="Name for people.")
    region_id: str = Field(description="Country of the site, in lower case.", examples=["fr"])
    country: str = Field(description="ISO 3166-1 alpha-2.")
    pue_milli: int = Field(description="PUE in thousandths: 1200 is 1.20.")


class CatalogDatacenterList(WireModel):
    datacenters: list[CatalogDatacenterOut]


class RegionOut(WireModel):
    id: str = Field(description="Country in lower case.")
    name: str = Field(description="Country code.")
    datacenters: list[str] = Field(description="Codes of its sites.")


class RegionList(WireModel):
    regions: list[RegionOut]


def from_datacenter(datacenter: Datacenter) -> DatacenterOut:
    return DatacenterOut(
        id=str(datacenter.id),
        code=datacenter.code,
        name=datacenter.name,
        country=datacenter.country,
        operator_entity_id=str(datacenter.operator_entity_id),
        owner_entity_id=str(datacenter.owner_entity_id),
        power_kw=datacenter.power_kw,
        rack_kw_max=datacenter.rack_kw_max,
        pue_milli=datacenter.pue_milli,
        cells=list(datacenter.cells),
        created_at=datacenter.created_at,
        version=datacenter.version,
    )


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
        ready_nodes=pool.ready_nodes,
        gpus_reserved=pool.gpus_reserved,
        is_simulated=pool.is_simulated,
        state=pool.state,
        message=pool.message,
        created_at=pool.created_at,
        version=pool.version,
    )


def from_node(node: Node) -> NodeOut:
    return NodeOut(
        name=node.name,
        pool=node.pool_name,
        node=node.node_name,
        phase=node.phase,
        is_simulated=node.is_simulated,
        accepted_at=node.accepted_at,
        acceptance=[AcceptanceCheckOut(**check) for check in node.acceptance],
        observed_at=node.observed_at,
    )
