"""Which claims a pool needs, and what its status says. Pure."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.conditions import ConditionValue
from operators.lib.objects import Obj, is_deleting
from operators.nodepool.domain import FAILURES, LABEL_NODE_POOL, LAUNCH_FAILURES, Reason
from operators.nodepool.status_rules import exact_conditions

# All machines of a first roll-out joining at once overload the API server (cluster-api#8112).
CLAIMS_IN_FLIGHT_MAX = 100
NAMES_SHOWN_MAX = 3
# What a claim has from its pool: what may not change, and what is rolled out when it does.
FIXED_FIELDS = ("datacenter", "cell", "provider", "instanceType", "accelerator")
ROLLED_FIELDS = ("cpuMilli", "memoryMiB", "nodeLabels", "nodeTaints")
# Reasons of a claim that got no machine because somebody refused it.
REFUSED = LAUNCH_FAILURES | {Reason.LAUNCH_REFUSED, Reason.NOT_IN_POOL}
TROUBLED = FAILURES | REFUSED | {Reason.ACCEPTANCE_REFUSED, Reason.NODE_CHANGE_REFUSED}


@dataclass(frozen=True, slots=True)
class ClaimSummary:
    """One claim of the pool.

    `is_outdated`: its spec is not what the pool would ask for now. `lost_s`: seconds that its accepted node
    has been NotReady, None if it is not. `is_ordered_out`: somebody asked for another machine in its place.
    """

    name: str
    ordinal: int
    phase: Phase
    is_usable: bool
    is_deleting: bool
    ready_reason: str
    ready_message: str = ""
    is_outdated: bool = False
    lost_s: float | None = None
    is_ordered_out: bool = False


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A GPUNodePool as the rules see it."""

    name: str
    generation: int
    replicas: int
    is_paused: bool
    is_deleting: bool
    is_simulated: bool
    max_unavailable: int = 1
    not_ready_s: float = 900.0
    max_unhealthy_percent: int = 20
    hosts_set_aside: int = 0
    # What the API server said when it refused claims just now.
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class ClaimPlan:
    """Ordinals to create and names to delete. `why` is set when nodes are replaced, not given back."""

    create: tuple[int, ...] = ()
    delete: tuple[str, ...] = ()
    why: str = ""


def claim_template(pool_spec: Obj) -> Obj:
    """What every claim of the pool asks for now."""
    return {field: pool_spec[field] for field in (*FIXED_FIELDS, *ROLLED_FIELDS) if field in pool_spec}


def is_outdated(claim_spec: Obj, pool_spec: Obj) -> bool:
    """Whether the claim asks for other things than its pool would now; the order of taints does not count."""
    return any(_shape(claim_spec, field) != _shape(pool_spec, field) for field in ROLLED_FIELDS)


def _shape(spec: Obj, field: str) -> Any:
    value = spec.get(field)
    if field == "nodeLabels":
        return value or {}
    if field == "nodeTaints":
        return sorted((taint["key"], taint["effect"], taint.get("value") or "") for taint in value or [])
    return value


def why_outside(claim: Obj, pool: Obj | None, siblings: Sequence[Obj] = ()) -> str:
    """Why the claim gets no machine from the pool it names, as nobody would count it; empty if it gets one.

    Shapes: `siblings` are all claims that name the pool, this one too.
    """
    spec = claim["spec"]
    if pool is None:
        return f"no pool is named {spec['poolRef']}: pools make their claims themselves, delete this one"
    for field in FIXED_FIELDS:
        if spec.get(field) != pool["spec"].get(field):
            return f"its {field} is not that of pool {spec['poolRef']}: delete it"
    replicas = pool["spec"]["replicas"]
    if len(siblings) > replicas:
        before = sum(1 for each in siblings if not is_deleting(each) and _place(each) < _place(claim))
        if before >= replicas:
            return f"pool {spec['poolRef']} wants {replicas} machines and has claims for them"
    return ""


def _place(claim: Obj) -> tuple[bool, str, int]:
    """Who comes first to the pool's machines: who has one, then who was there first."""
    has_machine = bool((claim.get("status") or {}).get("providerID"))
    return (not has_machine, claim["metadata"].get("creationTimestamp") or "", claim["spec"]["ordinal"])


def decide_claims(pool: PoolFacts, claims: Sequence[ClaimSummary]) -> ClaimPlan:
    """What to create and delete now.

    A claim that is being deleted still holds its name and its machine, so a replacement waits for it:
    there are never more machines than `replicas` because of a replacement. New claims take the lowest
    free ordinals. Of too many, unusable ones go first, then the highest ordinals. When the number is
    right, lost and outdated ones are replaced within the pool's budget. One that somebody asked to replace goes
    at once.
    """
    if pool.is_deleting:
        return ClaimPlan(delete=tuple(claim.name for claim in claims if not claim.is_deleting))
    if pool.is_paused:
        return ClaimPlan()
    live = [claim for claim in claims if not claim.is_deleting]
    ordered = tuple(claim.name for claim in live if claim.is_ordered_out)
    if ordered:
        return ClaimPlan(delete=ordered, why="ordered")
    if len(live) > pool.replicas:
        order = sorted(live, key=lambda claim: (claim.is_usable, not claim.is_outdated, -claim.ordinal))
        return ClaimPlan(delete=tuple(claim.name for claim in order[: len(live) - pool.replicas]))
    if len(live) == pool.replicas:
        return _decide_replacements(pool, claims)
    if any(claim.ready_reason == Reason.NO_CAPACITY for claim in live):
        # More claims would only wait beside the ones that wait already.
        return ClaimPlan()
    in_flight = sum(1 for claim in live if claim.phase not in (Phase.READY, Phase.FAILED))
    count = min(pool.replicas - len(claims), CLAIMS_IN_FLIGHT_MAX - in_flight)
    return ClaimPlan(create=_free_ordinals({claim.ordinal for claim in claims}, max(count, 0)))


def _decide_replacements(pool: PoolFacts, claims: Sequence[ClaimSummary]) -> ClaimPlan:
    """Unhealthy nodes first, then outdated ones; never more out of work at once than the budget."""
    live = [claim for claim in claims if not claim.is_deleting]
    unhealthy = find_unhealthy(pool, live)
    if is_breaker_open(pool, unhealthy):
        unhealthy = []
    disrupted = _disrupted(claims, unhealthy)
    # One at a time at least: a budget for roll-outs of 0 does not forbid repair.
    chosen = sorted(unhealthy, key=lambda claim: claim.ordinal)[
        : max(max(pool.max_unavailable, 1) - disrupted, 0)
    ]
    if chosen:
        return ClaimPlan(delete=tuple(claim.name for claim in chosen), why="unhealthy")
    # Those that take no work anyway go first; of the others the highest ordinals, as when shrinking.
    outdated = sorted(
        (claim for claim in live if claim.is_outdated), key=lambda claim: (claim.is_usable, -claim.ordinal)
    )[: max(pool.max_unavailable - disrupted, 0)]
    return ClaimPlan(delete=tuple(claim.name for claim in outdated), why="outdated" if outdated else "")


def _disrupted(claims: Sequence[ClaimSummary], unhealthy: Sequence[ClaimSummary]) -> int:
    """Claims on their way out, and present ones that do not work yet, or no longer.

    An outdated or unhealthy claim out of work is what gets replaced: it must not block its own replacement,
    and as each one that goes counts here until its successor works, the budget holds all the same.
    """
    replaceable = {claim.name for claim in unhealthy} | {claim.name for claim in claims if claim.is_outdated}
    return sum(
        1 for claim in claims if claim.is_deleting or not (claim.is_usable or claim.name in replaceable)
    )


def find_unhealthy(pool: PoolFacts, live: Sequence[ClaimSummary]) -> list[ClaimSummary]:
    """Claims to replace: their node fell silent for too long, or their host failed its checks.

    A simulated machine has no host that could be left out the next time: it stays for a person to look.
    """
    if pool.not_ready_s <= 0:
        return []
    return [
        claim
        for claim in live
        if (claim.lost_s is not None and claim.lost_s >= pool.not_ready_s) or _is_rejected(pool, claim)
    ]


def _is_rejected(pool: PoolFacts, claim: ClaimSummary) -> bool:
    is_failed = claim.phase is Phase.FAILED and claim.ready_reason == Reason.ACCEPTANCE_FAILED
    return is_failed and not pool.is_simulated


def is_breaker_open(pool: PoolFacts, unhealthy: Sequence[ClaimSummary]) -> bool:
    """Whether too many are unhealthy for machines to be the cause.

    Hosts that were set aside count on after their claims are gone: checks that fail on every host must not
    go through all of them.
    """
    return count_unhealthy(pool, unhealthy) > math.ceil(pool.replicas * pool.max_unhealthy_percent / 100)


def count_unhealthy(pool: PoolFacts, unhealthy: Sequence[ClaimSummary]) -> int:
    """Lost nodes, and hosts that failed their checks, whether or not a claim still holds them."""
    rejected = sum(1 for claim in unhealthy if _is_rejected(pool, claim))
    return len(unhealthy) - rejected + max(pool.hosts_set_aside, rejected)


def next_look_s(pool: PoolFacts, claims: Sequence[ClaimSummary]) -> float | None:
    """When the next silent node becomes a lost one, in seconds; None if none is silent."""
    if pool.not_ready_s <= 0 or pool.is_paused:
        return None
    waits_s = [
        pool.not_ready_s - claim.lost_s
        for claim in claims
        if claim.lost_s is not None and not claim.is_deleting and claim.lost_s < pool.not_ready_s
    ]
    return min(waits_s, default=None)


def _free_ordinals(taken: set[int], count: int) -> tuple[int, ...]:
    # Among `len(taken) + count` ordinals at least `count` are free.
    return tuple(ordinal for ordinal in range(len(taken) + count) if ordinal not in taken)[:count]


def pool_status(
    pool: PoolFacts, claims: Sequence[ClaimSummary], old: dict[str, Any], now: str
) -> dict[str, Any]:
    """The pool's complete status; equal to `old`, apart from the server's defaults, when nothing changed."""
    usable = sum(1 for claim in claims if claim.is_usable and not claim.is_deleting)
    phases = Counter(claim.phase.value for claim in claims)
    conditions = (
        _capacity(pool, claims),
        _up_to_date(pool, claims),
        _degraded(pool, claims),
        _ready(pool, claims, usable),
    )
    return {
        "observedGeneration": pool.generation,
        "replicas": len(claims),
        "readyReplicas": usable,
        "updatedReplicas": sum(1 for claim in claims if not (claim.is_outdated or claim.is_deleting)),
        "selector": f"{LABEL_NODE_POOL}={pool.name}",
        "phases": dict(sorted(phases.items())),
        "simulated": pool.is_simulated,
        "conditions": exact_conditions(old, conditions, generation=pool.generation, now=now),
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
    kind = "CapacitySatisfied"
    if pool.refusal:
        return ConditionValue(kind, "False", "ClaimsRefused", pool.refusal)
    waiting = [claim.name for claim in claims if claim.ready_reason == Reason.NO_CAPACITY]
    if waiting:
        text = f"the provider has no machine for {_some(waiting)}"
        return ConditionValue(kind, "False", Reason.NO_CAPACITY, text)
    refused = [claim for claim in claims if claim.ready_reason in REFUSED]
    if refused:
        first = min(refused, key=lambda claim: claim.ordinal)
        text = f"no machine for {_some([claim.name for claim in refused])}: {first.ready_message}"
        return ConditionValue(kind, "False", first.ready_reason, text)
    live = [claim for claim in claims if not claim.is_deleting]
    if len(live) < pool.replicas:
        text = f"{len(live)} of {pool.replicas} machines were asked for"
        return ConditionValue(kind, "Unknown", "ScalingUp", text)
    coming = [claim.name for claim in live if claim.phase in (Phase.PENDING, Phase.LAUNCHING)]
    if coming:
        return ConditionValue(kind, "Unknown", "Launching", f"machines are made for {_some(coming)}")
    return ConditionValue(kind, "True", "EveryClaimServed", "no claim waits for a machine")


def _up_to_date(pool: PoolFacts, claims: Sequence[ClaimSummary]) -> ConditionValue:
    old = [claim.name for claim in claims if claim.is_outdated]
    if not old:
        return ConditionValue("UpToDate", "True", "UpToDate", "every node is as the spec says")
    text = f"{len(old)} of {len(claims)} nodes are of an earlier spec: {_some(old)}"
    if pool.is_paused:
        return ConditionValue("UpToDate", "False", "Paused", f"{text}; the pool is paused")
    if pool.max_unavailable == 0:
        held = f"{text}; rollout.maxUnavailable is 0: none is replaced"
        return ConditionValue("UpToDate", "False", "RolloutHeld", held)
    blocking = [
        claim.name
        for claim in claims
        if not (claim.is_deleting or claim.is_usable or claim.is_outdated) and claim.ready_reason in TROUBLED
    ]
    if len(blocking) >= pool.max_unavailable:
        held = f"{text}; waits for {_some(blocking)}, which do not work"
        return ConditionValue("UpToDate", "False", "RolloutHeld", held)
    return ConditionValue(
        "UpToDate", "False", "RollingOut", f"{text}; replaced {pool.max_unavailable} at a time"
    )


def _degraded(pool: PoolFacts, claims: Sequence[ClaimSummary]) -> ConditionValue:
    if pool.refusal:
        return ConditionValue("Degraded", "True", "ClaimsRefused", pool.refusal)
    live = [claim for claim in claims if not claim.is_deleting]
    unhealthy = find_unhealthy(pool, live)
    if unhealthy and is_breaker_open(pool, unhealthy):
        names = _some([claim.name for claim in unhealthy])
        text = (
            f"{count_unhealthy(pool, unhealthy)} machines are lost or failed their checks, more than"
            f" {pool.max_unhealthy_percent} % of {pool.replicas}: none is replaced until a person looks: {names}"
        )
        return ConditionValue("Degraded", "True", "RepairHeld", text)
    troubled = [claim for claim in live if claim.phase is Phase.FAILED or claim.ready_reason in TROUBLED]
    if troubled:
        first = min(troubled, key=lambda claim: claim.ordinal)
        text = f"{_some([claim.name for claim in troubled])}: {first.ready_message or first.ready_reason}"
        return ConditionValue("Degraded", "True", "ClaimsFailed", text)
    lost = [claim for claim in live if claim.phase is Phase.READY and not claim.is_usable]
    if lost:
        first = min(lost, key=lambda claim: claim.ordinal)
        text = f"{_some([claim.name for claim in lost])}: {first.ready_message or first.ready_reason}"
        return ConditionValue("Degraded", "True", first.ready_reason or Reason.NODE_NOT_READY, text)
    return ConditionValue("Degraded", "False", "AsExpected", "no node that was accepted is missing")


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:NAMES_SHOWN_MAX])
    more = len(names) - NAMES_SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown
