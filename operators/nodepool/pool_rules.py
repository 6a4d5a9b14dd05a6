"""Which claims a pool needs, and what its status says. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.conditions import ConditionValue, set_conditions
from operators.nodepool.domain import LABEL_NODE_POOL, Reason

# All machines of a first roll-out joining at once overload the API server (cluster-api#8112).
CLAIMS_IN_FLIGHT_MAX = 100
NAMES_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class ClaimSummary:
    """One claim of the pool."""

    name: str
    ordinal: int
    phase: Phase
    is_usable: bool
    is_deleting: bool
    ready_reason: str


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A GPUNodePool as the rules see it."""

    name: str
    generation: int
    replicas: int
    is_paused: bool
    is_deleting: bool
    is_simulated: bool


@dataclass(frozen=True, slots=True)
class ClaimPlan:
    """Ordinals to create and names to delete."""

    create: tuple[int, ...] = ()
    delete: tuple[str, ...] = ()


def decide_claims(pool: PoolFacts, claims: Sequence[ClaimSummary]) -> ClaimPlan:
    """What to create and delete now.

    A claim that is being deleted still holds its name and its machine, so a replacement waits for it:
    there are never more machines than `replicas` because of a replacement. New claims take the lowest
    free ordinals. Of too many, unusable ones go first, then the highest ordinals.
    """
    if pool.is_deleting:
        return ClaimPlan(delete=tuple(claim.name for claim in claims if not claim.is_deleting))
    if pool.is_paused:
        return ClaimPlan()
    live = [claim for claim in claims if not claim.is_deleting]
    if len(live) > pool.replicas:
        order = sorted(live, key=lambda claim: (claim.is_usable, -claim.ordinal))
        return ClaimPlan(delete=tuple(claim.name for claim in order[: len(live) - pool.replicas]))
    if any(claim.ready_reason == Reason.NO_CAPACITY for claim in live):
        # More claims would only wait beside the ones that wait already.
        return ClaimPlan()
    in_flight = sum(1 for claim in live if claim.phase not in (Phase.READY, Phase.FAILED))
    count = min(pool.replicas - len(claims), CLAIMS_IN_FLIGHT_MAX - in_flight)
    return ClaimPlan(create=_free_ordinals({claim.ordinal for claim in claims}, max(count, 0)))


def _free_ordinals(taken: set[int], count: int) -> tuple[int, ...]:
    # Among `len(taken) + count` ordinals at least `count` are free.
    return tuple(ordinal for ordinal in range(len(taken) + count) if ordinal not in taken)[:count]


def pool_status(
    pool: PoolFacts, claims: Sequence[ClaimSummary], old: dict[str, Any], now: str
) -> dict[str, Any]:
    """The pool's complete status; equal to `old` when nothing changed."""
    usable = sum(1 for claim in claims if claim.is_usable and not claim.is_deleting)
    phases = Counter(claim.phase.value for claim in claims)
    conditions = (_capacity(pool, claims), _degraded(claims), _ready(pool, claims, usable))
    return {
        "observedGeneration": pool.generation,
        "replicas": len(claims),
        "readyReplicas": usable,
        "selector": f"{LABEL_NODE_POOL}={pool.name}",
        "phases": dict(sorted(phases.items())),
        "simulated": pool.is_simulated,
        "conditions": set_conditions(
            old.get("conditions") or [], conditions, generation=pool.generation, now=now
        ),
    }


def _ready(pool: PoolFacts, claims: Sequence[ClaimSummary], usable: int) -> ConditionValue:
    if pool.is_deleting:
        return ConditionValue("Ready", "False", "Deleting", f"{len(claims)} nodes are being given back")
    if usable < pool.replicas:
        reason = "Paused" if pool.is_paused else "NodesMissing"
        return ConditionValue("Ready", "False", reason, f"{usable} of {pool.replicas} nodes take work")
    if len(claims) > pool.replicas:
        surplus = len(claims) - pool.replicas
        return ConditionValue("Ready", "False", "ScalingDown", f"{surplus} nodes are being given back")
    return ConditionValue("Ready", "True", "AllNodesReady", f"{usable} of {pool.replicas} nodes take work")


def _capacity(pool: PoolFacts, claims: Sequence[ClaimSummary]) -> ConditionValue:
    waiting = [claim.name for claim in claims if claim.ready_reason == Reason.NO_CAPACITY]
    if waiting:
        text = f"the provider has no machine for {_some(waiting)}"
        return ConditionValue("CapacitySatisfied", "False", Reason.NO_CAPACITY, text)
    live = sum(1 for claim in claims if not claim.is_deleting)
    if live < pool.replicas:
        text = f"{live} of {pool.replicas} machines were asked for"
        return ConditionValue("CapacitySatisfied", "Unknown", "ScalingUp", text)
    return ConditionValue("CapacitySatisfied", "True", "EveryClaimServed", "no claim waits for a machine")


def _degraded(claims: Sequence[ClaimSummary]) -> ConditionValue:
    failed = [claim.name for claim in claims if claim.phase is Phase.FAILED]
    if failed:
        return ConditionValue("Degraded", "True", "ClaimsFailed", f"failed: {_some(failed)}")
    lost = [claim.name for claim in claims if claim.phase is Phase.READY and not claim.is_usable]
    if lost:
        return ConditionValue("Degraded", "True", Reason.NODE_NOT_READY, f"not ready: {_some(lost)}")
    return ConditionValue("Degraded", "False", "AsExpected", "no node that was accepted is missing")


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:NAMES_SHOWN_MAX])
    more = len(names) - NAMES_SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown
