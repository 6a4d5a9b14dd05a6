"""What asks for a place, what could give one, and what was decided with every reason: frozen values.

Prices are integers in millionths of a minor unit per hour (scale 6); PUE and gCO2e/kWh are in thousandths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controlplane.sovereignty.domain import Reason, Text, Verdict, WhyStep


@dataclass(frozen=True, slots=True)
class Demand:
    """Replicas of one size that must all run in one pool.

    `verdicts` by datacenter code: a datacenter without one is refused. `datacenters` empty means any. A `gpu_sku`
    goes with `gpus` ≥ 1 per replica. `licence_refusal` is sovereignty's refusal of the model itself, if any.
    """

    id: str
    replicas: int
    cpu_milli: int
    memory_mib: int
    verdicts: Mapping[str, Verdict]
    policy_hash: str
    gpus: int = 0
    gpu_sku: str | None = None
    instance_type: str | None = None
    datacenters: frozenset[str] = frozenset()
    licence_refusal: Reason | None = None
    is_simulated_allowed: bool = False

    def __post_init__(self) -> None:
        if self.replicas < 1 or self.cpu_milli < 0 or self.memory_mib < 0 or self.gpus < 0:
            raise ValueError("a demand asks for at least one replica and for no negative amount")
        if (self.gpus > 0) != (self.gpu_sku is not None):
            raise ValueError("GPUs are asked for with their sku")


@dataclass(frozen=True, slots=True)
class NodeFree:
    """What is free on each of `count` alike ready nodes."""

    cpu_milli: int
    memory_mib: int
    gpus: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pool as it stood at the snapshot; `free` lists ready, schedulable nodes only."""

    pool_id: str
    pool_name: str
    datacenter: str
    country: str
    cell: str
    instance_type: str
    gpu_sku: str | None
    price_per_hour_micro: int
    gco2_per_kwh_milli: int | None
    pue_milli: int | None
    nodes_ready: int
    free: tuple[NodeFree, ...]
    is_simulated: bool = False
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All pools at one instant; their order carries no meaning."""

    taken_at: datetime
    candidates: tuple[Candidate, ...]


class RejectionCode(StrEnum):
    """Why a pool cannot take a demand; stable on the wire."""

    SOVEREIGNTY = "sovereignty"
    VERDICT_MISSING = "verdict_missing"
    LICENCE = "licence"
    DATACENTER_NOT_ASKED = "datacenter_not_asked"
    INSTANCE_TYPE = "instance_type"
    ACCELERATOR = "accelerator"
    SIMULATED = "simulated"
    PAUSED = "paused"
    NO_READY_NODE = "no_ready_node"
    CAPACITY = "capacity"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One reason against one pool; `detail` is the finer code (a sovereignty reason's own)."""

    code: RejectionCode
    detail: str
    text: Text
    why_path: tuple[WhyStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """The cost of one hour in millionths of a minor unit; lower is better, the total is the sum of its parts."""

    price: int
    carbon: int
    scarcity: int

    @property
    def total(self) -> int:
        return self.price + self.carbon + self.scarcity


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was found about one pool: admitted with a score and room for `replicas_fit`, or every rejection."""

    pool_id: str
    pool_name: str
    datacenter: str
    country: str
    cell: str
    is_simulated: bool
    replicas_fit: int
    score: Score | None
    rejections: tuple[Rejection, ...]

    @property
    def is_admitted(self) -> bool:
        return self.score is not None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every pool of the snapshot, admitted ones first by score; the nearest miss when none was admitted."""

    demand_id: str
    policy_hash: str
    decided_at: datetime
    chosen_pool_id: str | None
    nearest_miss_pool_id: str | None
    summary: Text
    assessments: tuple[Assessment, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    chosen: Candidate | None
    explanation: Explanation
