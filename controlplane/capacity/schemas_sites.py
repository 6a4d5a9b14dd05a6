"""Wire shapes of sites: what is stated of them, what they carry, and what tenants may know of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from controlplane.capacity.domain import Datacenter
from controlplane.capacity.schemas import Code
from controlplane.capacity.service_sites import SiteLoad
from controlplane.plumbing.web import WireModel

EntityRef = Annotated[str, Field(max_length=64, description="Id of a legal entity, `ent_…`.")]
PueMilli = Annotated[
    int, Field(ge=1000, le=5000, description="PUE in thousandths: 1200 is 1.20.", examples=[1200])
]
PowerKw = Annotated[int, Field(ge=1, le=2_000_000, description="Power of the site in kW.", examples=[40_000])]

RackKw = Annotated[int, Field(ge=1, le=2000, description="Power of one rack in kW.", examples=[130])]
RackCount = Annotated[int, Field(ge=1, le=100_000, description="How many racks.", examples=[250])]


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
    rack_kw_max: RackKw
    rack_count: RackCount | None = Field(
        default=None, description="How many racks it has; left out: not stated, so they are not counted."
    )
    pue_milli: PueMilli
    cells: list[CellIn] = Field(description="Its Kubernetes clusters.", min_length=1, max_length=20)


class DatacenterPatch(WireModel):
    pue_milli: PueMilli | None = Field(default=None, description="PUE in thousandths; left out: as it is.")
    power_kw: PowerKw | None = Field(
        default=None,
        description="Power of the site in kW; left out: as it is. Less than what is drawn is recorded, too.",
    )
    rack_kw_max: RackKw | None = Field(
        default=None, description="Power of one rack in kW; left out: as it is."
    )
    rack_count: RackCount | None = Field(default=None, description="How many racks; left out: as it is.")
    operator_entity_id: EntityRef | None = Field(
        default=None, description="Who runs it from `effective_from` on; left out: as it is."
    )
    owner_entity_id: EntityRef | None = Field(
        default=None, description="Whose it is from `effective_from` on; left out: as it is."
    )
    effective_from: AwareDatetime | None = Field(
        default=None,
        description="When operator or owner change; left out: now. A time to come is an announcement.",
    )
    evidence: str = Field(
        default="", max_length=500, description="What proves the change of operator or owner."
    )
    cells: list[CellIn] = Field(
        default=[], max_length=20, description="Kubernetes clusters that the site has besides."
    )

    @model_validator(mode="after")
    def _change_of_role_is_proven(self) -> DatacenterPatch:
        has_role = self.operator_entity_id is not None or self.owner_entity_id is not None
        if has_role and not self.evidence.strip():
            raise ValueError("say in evidence what proves the change of operator or owner")
        if self.effective_from is not None and not has_role:
            raise ValueError("effective_from says when operator or owner change: name one of them")
        return self


class SiteRoleOut(WireModel):
    """Who runs or owns a site from an instant on."""

    id: str = Field(description="Id of the fact.")
    role: Literal["operator", "owner"] = Field(description="What the entity is to the site.")
    entity_id: str = Field(description="The legal entity.")
    valid_from: datetime = Field(description="From when on; in the future it is announced.")
    evidence: str = Field(description="What proves it.")
    recorded_at: datetime = Field(description="When it was stated here.")


class ReliefOut(WireModel):
    """One step of a plan for a site that draws too much."""

    node_pool: str = Field(description="Which pool to make smaller.")
    replicas: int = Field(description="To how many machines.")
    frees_watts: int = Field(description="What that frees at the site, cooling included.")
    nodes_in_use: int = Field(
        description="How many of the machines given back hold deployments: move these first."
    )


class SiteLoadOut(WireModel):
    """What a site carries, machines that still drain included."""

    watts: int = Field(description="Draw at full load, cooling included.")
    racks: int = Field(description="Racks that its machines need.")
    excess_watts: int = Field(description="What it draws beyond its power; 0 when all is well.")
    excess_racks: int = Field(description="Racks that are missing; 0 when all is well.")
    hot_node_pools: list[str] = Field(description="Pools of which one machine draws more than a rack feeds.")
    is_overcommitted: bool = Field(
        description="Whether it carries more than it can: no machine is started then."
    )
    message: str = Field(description="What that means, in words; empty when all is well.")
    plan: list[ReliefOut] = Field(description="What would end it; empty when all is well.")


class DatacenterOut(WireModel):
    id: str = Field(description="Id of the datacenter.")
    code: str = Field(description="Short name.")
    name: str = Field(description="Name for people.")
    country: str = Field(description="ISO 3166-1 alpha-2.")
    operator_entity_id: str = Field(description="Legal entity that runs it.")
    owner_entity_id: str = Field(description="Legal entity that owns it.")
    power_kw: int = Field(description="Power of the site in kW.")
    rack_kw_max: int = Field(description="Power of one rack in kW.")
    rack_count: int | None = Field(description="How many racks it has; null: not stated.")
    pue_milli: int = Field(description="PUE in thousandths: 1200 is 1.20.")
    cells: list[str] = Field(description="Names of its Kubernetes clusters.")
    roles: list[SiteRoleOut] = Field(
        description="Who ran and owned it, and who will: all that was stated, in the order of time."
    )
    closed_at: datetime | None = Field(description="Since when it is closed for good; null while it is open.")
    load: SiteLoadOut = Field(description="What it carries now.")
    created_at: datetime = Field(description="When it was registered.")
    version: int = Field(description="Counts changes; the ETag.")


class DatacenterReply(WireModel):
    datacenter: DatacenterOut


class DatacenterList(WireModel):
    datacenters: list[DatacenterOut]


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


def from_datacenter(datacenter: Datacenter, load: SiteLoad) -> DatacenterOut:
    return DatacenterOut(
        id=str(datacenter.id),
        code=datacenter.code,
        name=datacenter.name,
        country=datacenter.country,
        operator_entity_id=str(datacenter.operator_entity_id),
        owner_entity_id=str(datacenter.owner_entity_id),
        power_kw=datacenter.power_kw,
        rack_kw_max=datacenter.rack_kw_max,
        rack_count=datacenter.rack_count,
        roles=[
            SiteRoleOut(
                id=str(role.id),
                role="operator" if role.role == "operator" else "owner",
                entity_id=str(role.entity_id),
                valid_from=role.valid_from,
                evidence=role.evidence,
                recorded_at=role.recorded_at,
            )
            for role in datacenter.roles
        ],
        closed_at=datacenter.closed_at,
        load=from_load(load),
        pue_milli=datacenter.pue_milli,
        cells=list(datacenter.cells),
        created_at=datacenter.created_at,
        version=datacenter.version,
    )


def from_load(found: SiteLoad) -> SiteLoadOut:
    message = ""
    if found.excess.is_any:
        message = (
            "This site carries more than it can. No machine is started here, lost ones are not replaced, and nothing"
            " may grow until it carries less; what runs goes on. `plan` says what to give back."
        )
    return SiteLoadOut(
        watts=found.load.watts,
        racks=found.load.racks,
        excess_watts=found.excess.watts,
        excess_racks=found.excess.racks,
        hot_node_pools=list(found.excess.hot_pools),
        is_overcommitted=found.excess.is_any,
        message=message,
        plan=[
            ReliefOut(
                node_pool=step.pool,
                replicas=step.replicas,
                frees_watts=step.frees_watts,
                nodes_in_use=step.nodes_in_use,
            )
            for step in found.plan
        ],
    )
