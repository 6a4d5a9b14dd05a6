"""Wire shapes of the capacity room."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, model_validator

from controlplane.capacity.domain import Datacenter, Node, NodePool, ProviderKind
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
    name: str = Field(min_length=1, max_length=100, examples=["Essonne, hall 1"])
    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2.", examples=["FR"])
    operator_entity_id: EntityRef
    owner_entity_id: EntityRef
    power_kw: PowerKw
    rack_kw_max: int = Field(ge=1, le=2000, description="Power of one rack in kW.", examples=[130])
    pue_milli: PueMilli
    cells: list[CellIn] = Field(min_length=1, max_length=20)


class DatacenterPatch(WireModel):
    pue_milli: PueMilli | None = None
    power_kw: PowerKw | None = None


class DatacenterOut(WireModel):
    id: str
    code: str
    name: str
    country: str
    operator_entity_id: str
    owner_entity_id: str
    power_kw: int
    rack_kw_max: int
    pue_milli: int
    cells: list[str]
    created_at: datetime
    version: int


class DatacenterReply(WireModel):
    datacenter: DatacenterOut


class DatacenterList(WireModel):
    datacenters: list[DatacenterOut]


class AcceleratorIn(WireModel):
    sku: str = Field(
        min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", examples=["nvidia-b300"]
    )
    count: int = Field(ge=1, le=16, description="GPUs of one node.", examples=[8])


class NodePoolIn(WireModel):
    name: PoolName = Field(examples=["essonne-b300"])
    datacenter: Code
    cell: Code
    provider: ProviderKind = Field(description="`kwok` makes simulated nodes, labelled so everywhere.")
    instance_type: str = Field(
        min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", examples=["b300-8x"]
    )
    accelerator: AcceleratorIn | None = None
    cpu_milli: int = Field(ge=100, le=4_096_000, description="CPU of one node in thousandths of a core.")
    memory_mib: int = Field(ge=64, le=67_108_864, description="Memory of one node in MiB.")
    watts_per_node: int = Field(ge=1, le=500_000, description="Draw of one node at full load in watts.")
    replicas: int = Field(ge=0, le=2000, description="Nodes wanted.")

    @model_validator(mode="after")
    def _process_hosts_have_no_gpu(self) -> NodePoolIn:
        if self.provider is ProviderKind.PROCESS and self.accelerator is not None:
            raise ValueError("a process host has no GPU: leave accelerator out, or use another provider")
        return self


class NodePoolPatch(WireModel):
    replicas: int = Field(ge=0, le=2000)


class NodePoolOut(WireModel):
    id: str
    name: str
    datacenter: str
    country: str
    cell: str
    provider: str
    instance_type: str
    accelerator: AcceleratorIn | None
    cpu_milli: int
    memory_mib: int
    watts_per_node: int
    replicas: int
    ready_nodes: int
    gpus_reserved: int
    is_simulated: bool
    state: str
    message: str
    created_at: datetime
    version: int


class NodePoolReply(WireModel):
    node_pool: NodePoolOut


class NodePoolList(WireModel):
    node_pools: list[NodePoolOut]
    limit: int
    has_next: bool
    next_cursor: str | None


class AcceptanceCheckOut(WireModel):
    name: str
    result: str
    detail: str


class NodeOut(WireModel):
    name: str
    pool: str
    node: str
    phase: str
    is_simulated: bool
    accepted_at: datetime | None
    acceptance: list[AcceptanceCheckOut]
    observed_at: datetime


class NodeList(WireModel):
    nodes: list[NodeOut]
    limit: int
    has_next: bool
    next_cursor: str | None


class CatalogDatacenterOut(WireModel):
    """What a tenant may know of a site before choosing it."""

    id: str
    name: str
    region_id: str = Field(description="Country of the site, in lower case.", examples=["fr"])
    country: str
    pue_milli: int


class CatalogDatacenterList(WireModel):
    datacenters: list[CatalogDatacenterOut]


class RegionOut(WireModel):
    id: str
    name: str
    datacenters: list[str]


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
