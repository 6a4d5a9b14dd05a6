"""Datacenters, pools and what they offer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from controlplane.kernel.ids import DatacenterId, LegalEntityId, NodePoolId, SiteRoleId
from controlplane.sovereignty.domain import SiteFacts


class ProviderKind(StrEnum):
    """Who makes the machines; `kwok` makes simulated ones and every object says so."""

    KWOK = "kwok"
    PROCESS = "process"

    @property
    def is_simulated(self) -> bool:
        return self is ProviderKind.KWOK


class NodeAction(StrEnum):
    """What the platform operator may ask for one machine; the words that its cell reads."""

    CORDON = "cordon"
    UNCORDON = "uncordon"
    DRAIN = "drain"
    REPLACE = "replace"


class PoolState(StrEnum):
    """REFUSED: its cell's API server did not take it. REMOVED: somebody who kept it by hand deleted it there."""

    ACTIVE = "ACTIVE"
    DELETING = "DELETING"
    REFUSED = "REFUSED"
    REMOVED = "REMOVED"


@dataclass(frozen=True, slots=True)
class SiteRole:
    """Who runs (`operator`) or owns (`owner`) a site from an instant on."""

    id: SiteRoleId
    role: str
    entity_id: LegalEntityId
    valid_from: datetime
    evidence: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Datacenter:
    """A site: one legal and physical place. Power in kW, PUE in thousandths (1200 = 1.20).

    Operator and owner are those of now; `roles` has all that were stated, in the order of time, future ones included.
    `rack_count` None: not stated. `closed_at`: from then on it takes no machines and is offered to nobody.
    """

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
    rack_count: int | None = None
    closed_at: datetime | None = None
    roles: tuple[SiteRole, ...] = ()


@dataclass(frozen=True, slots=True)
class NodePool:
    """A group of equal machines in one cell. `ready_nodes` is what the cell reported last.

    `nodes_seen`: machines that the cell reported last; `nodes_there`: that may exist; both with those that drain.
    `held_reason`: why somebody keeps the custom resource by hand in the cell; empty when nobody does. `node_orders`:
    what is asked for single machines, each with `claim`, `uid`, `action`, `since`.
    """

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
    nodes_seen: int = 0
    nodes_there: int = 0
    is_paused: bool = False
    node_labels: dict[str, str] = field(default_factory=dict)
    node_taints: tuple[dict[str, str], ...] = ()
    held_reason: str = ""
    node_orders: tuple[dict[str, str], ...] = ()

    @property
    def is_simulated(self) -> bool:
        return self.provider.is_simulated


@dataclass(frozen=True, slots=True)
class Node:
    """A machine as its cell reports it; `acceptance` is the record of the check that let it in.

    `is_ready`: a tenant's work would be placed on it; `reason` and `message` say why, or why not. `labels` and
    `taints` are those of its pool. `uid`: of its claim. `is_drained` None: it is not being drained; `drain_message`
    says which pods are left. `order`: what was asked for it last, over REST, at `ordered_at`.
    """

    name: str
    pool_name: str
    node_name: str
    phase: str
    is_simulated: bool
    accepted_at: datetime | None
    acceptance: list[dict[str, str]]
    observed_at: datetime
    is_ready: bool = False
    reason: str = ""
    message: str = ""
    is_leaving: bool = False
    gpus: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = ()
    uid: str = ""
    is_drained: bool | None = None
    drain_message: str = ""
    order: NodeAction | None = None
    ordered_at: datetime | None = None


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
    is_paused: bool = False
