"""Datacenters, pools and what they offer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controlplane.kernel.ids import DatacenterId, LegalEntityId, NodePoolId
from controlplane.sovereignty.domain import SiteFacts


class ProviderKind(StrEnum):
    """Who makes the machines; `kwok` makes simulated ones and every object says so."""

    KWOK = "kwok"
    PROCESS = "process"

    @property
    def is_simulated(self) -> bool:
        return self is ProviderKind.KWOK


class PoolState(StrEnum):
    ACTIVE = "ACTIVE"
    DELETING = "DELETING"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Datacenter:
    """A site: one legal and physical place. Power in kW, PUE in thousandths (1200 = 1.20)."""

    id: DatacenterId
    code: str
    name: str
    country: str
    operator_entity_id: LegalEntityId
    owner_entity_id: LegalEntityId
    power_kw: int
    rack_kw_max: int
    pue_milli: int
    cells: tuple[str, ...]
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class NodePool:
    """A group of equal machines in one cell. `ready_nodes` is what the cell reported last."""

    id: NodePoolId
    name: str
    datacenter_code: str
    country: str
    cell_name: str
    provider: ProviderKind
    instance_type: str
    accelerator_sku: str | None
    gpus_per_node: int
    cpu_milli_per_node: int
    memory_mib_per_node: int
    watts_per_node: int
    replicas: int
    ready_nodes: int
    gpus_reserved: int
    cpu_milli_reserved: int
    memory_mib_reserved: int
    state: PoolState
    message: str
    created_at: datetime
    version: int

    @property
    def is_simulated(self) -> bool:
        return self.provider.is_simulated


@dataclass(frozen=True, slots=True)
class Node:
    """A machine as its cell reports it; `acceptance` is the record of the check that let it in."""

    name: str
    pool_name: str
    node_name: str
    phase: str
    is_simulated: bool
    accepted_at: datetime | None
    acceptance: list[dict[str, str]]
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class PoolOffer:
    """What a pool could still take, as placement reads it."""

    pool_id: NodePoolId
    pool_name: str
    datacenter_code: str
    country: str
    cell_name: str
    provider_kind: str
    instance_type: str
    accelerator_sku: str | None
    gpus_per_node: int
    ready_nodes: int
    gpus_free: int
    cpu_milli_free: int
    memory_mib_free: int
    cpu_milli_per_node: int
    memory_mib_per_node: int
    is_simulated: bool
    site: SiteFacts
