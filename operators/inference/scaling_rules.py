"""How many replicas an InferenceDeployment should have, and why. Pure.

Each replica has its own idle clock: the last instant at which the load needed that many replicas. A replica
goes when its own clock has run for the whole idle time, so that a burst is paid for once and silence is never
taken for idleness before its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# The gateway re-asserts its demand at least every 5 s (docs/contracts.md): three missed reports mean that the
# record no longer describes the present.
DEMAND_STALE_SECONDS = 15

# A version that was never ready is started once, whatever its demand; then it may sleep after so long, which is what
# traffic needs to be moved to it.
PROOF_IDLE_SECONDS = 10

# A missing record is weaker evidence than a record of zero: Redis may have been flushed a moment ago. Two
# re-assertions must have been missed before silence counts as "no demand".
SILENCE_SECONDS_MIN = 10


class ScalingReason(StrEnum):
    """Why the decision is what it is; becomes the reason of a condition, so CamelCase."""

    PAUSED = "Paused"
    MIN_REPLICAS = "MinReplicas"
    DEMAND = "Demand"
    FIRST_START = "FirstStart"
    LOADING = "Loading"
    IDLE_CLOCK = "IdleClockRunning"
    DEMAND_UNKNOWN = "DemandUnknown"
    IDLE = "Idle"


@dataclass(frozen=True, slots=True)
class ScalingLimits:
    """What the tenant asked for: bounds, concurrency per replica, idle time."""

    replicas_min: int
    replicas_max: int
    concurrency_per_replica: int
    idle_seconds: int
    is_paused: bool = False

    def __post_init__(self) -> None:
        assert 0 <= self.replicas_min <= self.replicas_max
        assert self.concurrency_per_replica >= 1
        assert self.idle_seconds >= 0


@dataclass(frozen=True, slots=True)
class Demand:
    """The gateway's latest report for one regional deployment.

    Units: `in_flight` requests at engines, `waiting` requests held by the activator (not in `in_flight`);
    `first_waiting_at` is the instant of the oldest held request's first byte; `reported_at` is when the
    operator received the report, so that no two clocks are compared.
    """

    is_wanted: bool
    in_flight: int
    waiting: int
    first_waiting_at: datetime | None
    reported_at: datetime

    @property
    def is_active(self) -> bool:
        """Somebody is being served, is waiting, or asked for a replica ahead of time."""
        return self.is_wanted or self.in_flight > 0 or self.waiting > 0


@dataclass(frozen=True, slots=True)
class ScalingMemory:
    """What one decision leaves for the next; losing it delays a scale-down and never hastens one.

    Shapes: `needed_at[i]` is the last instant at which replica i (from 0) was needed, never later for a
            higher i. `needed` is what load or doubt needed at the last decision.
    """

    needed_at: tuple[datetime, ...] = ()
    needed: int = 0


@dataclass(frozen=True, slots=True)
class ScalingState:
    """What is known when deciding.

    `replicas_current`: replicas that serve or are on their way, without those being drained.
    `replicas_loading`: of these, placed on a node and not ready yet. `is_demand_observable`: Redis answered.
    `memory` is None when nothing is remembered (restart). `is_unproven`: no replica of this version was ready
    yet; `proven_at` is when one was for the first time, None when that does not matter any more.
    """

    replicas_current: int
    replicas_loading: int
    demand: Demand | None
    is_demand_observable: bool
    memory: ScalingMemory | None = None
    is_unproven: bool = False
    proven_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """`replicas_desired` now, why, what to remember, and when time alone changes the answer."""

    replicas_desired: int
    reason: ScalingReason
    memory: ScalingMemory
    reconsider_at: datetime | None


def decide_replicas(limits: ScalingLimits, state: ScalingState, now: datetime) -> ScalingDecision:
    """Decide the replica count: up at once, down only when each replica's own idle time has truly passed.

    Unknown is never idle: without memory (restart) or without Redis, what runs is taken as needed now; a
    loading replica is never idle, or a slow model would be killed and loaded again for ever.
    """
    if limits.is_paused:
        return ScalingDecision(0, ScalingReason.PAUSED, ScalingMemory(), None)
    demand = _fresh_demand(state.demand, now)
    wanted = decide_wanted(limits, demand)
    proof = _held_by_proof(limits, state, now)
    is_first_start = state.is_unproven and wanted <= limits.replicas_min
    needed = max(wanted, _held_by_doubt(limits, state, is_first_start=is_first_start))
    needed_at = _advance_clocks(limits, state, needed, now)
    idle_for = _idle_time(limits, demand)
    desired = needed
    while desired < len(needed_at) and now - needed_at[desired] < idle_for:
        desired += 1
    by_load, desired = desired, max(desired, proof)
    assert limits.replicas_min <= desired <= limits.replicas_max
    moments = [needed_at[by_load - 1] + idle_for] if by_load > needed else []
    if proof and state.proven_at is not None:
        moments.append(state.proven_at + timedelta(seconds=PROOF_IDLE_SECONDS))
    if demand is not None and demand.is_active:
        moments.append(demand.reported_at + timedelta(seconds=DEMAND_STALE_SECONDS))
    return ScalingDecision(
        replicas_desired=desired,
        reason=ScalingReason.FIRST_START if proof > by_load else _reason(limits, state, wanted, by_load),
        memory=ScalingMemory(needed_at[:by_load], needed),
        reconsider_at=min(moments, default=None),
    )


def decide_wanted(limits: ScalingLimits, demand: Demand | None) -> int:
    """Replicas that the load needs: ceil(load / concurrency), at least one on any demand, within bounds."""
    if demand is None or not demand.is_active:
        return limits.replicas_min
    load = demand.in_flight + demand.waiting
    by_load = max(1, -(-load // limits.concurrency_per_replica))
    return max(limits.replicas_min, min(limits.replicas_max, by_load))


def _fresh_demand(demand: Demand | None, now: datetime) -> Demand | None:
    if demand is None or now - demand.reported_at >= timedelta(seconds=DEMAND_STALE_SECONDS):
        return None
    return demand


def _held_by_proof(limits: ScalingLimits, state: ScalingState, now: datetime) -> int:
    """One replica until a version has been ready once, and a little longer, so that traffic finds it awake."""
    keeps = timedelta(seconds=PROOF_IDLE_SECONDS)
    is_fresh = state.proven_at is not None and now < state.proven_at + keeps
    return min(1, limits.replicas_max) if state.is_unproven or is_fresh else 0


def _held_by_doubt(limits: ScalingLimits, state: ScalingState, *, is_first_start: bool) -> int:
    """What runs is taken as needed while nobody can tell; a first start without demand is no need of anybody's."""
    if (state.replicas_loading > 0 and not is_first_start) or not state.is_demand_observable:
        return min(limits.replicas_max, state.replicas_current)
    return 0


def _advance_clocks(
    limits: ScalingLimits, state: ScalingState, needed: int, now: datetime
) -> tuple[datetime, ...]:
    """Set the clocks of needed replicas to now; the others keep theirs.

    What the last decision needed was needed until now: load may have lasted until just before this report.
    Without memory (restart) every running replica starts its clock now. With it, a replica without a clock
    has been given up already: its drain may not have reached the cache yet, and must not be taken back.
    """
    memory = state.memory
    if memory is None:
        return (now,) * min(limits.replicas_max, max(needed, state.replicas_current))
    needed_until_now = min(limits.replicas_max, max(needed, memory.needed))
    kept = tuple(min(at, now) for at in memory.needed_at[needed_until_now : limits.replicas_max])
    return (now,) * needed_until_now + kept


def _idle_time(limits: ScalingLimits, demand: Demand | None) -> timedelta:
    seconds = limits.idle_seconds if demand is not None else max(limits.idle_seconds, SILENCE_SECONDS_MIN)
    return timedelta(seconds=seconds)


def _reason(limits: ScalingLimits, state: ScalingState, wanted: int, desired: int) -> ScalingReason:
    if desired > wanted:
        if state.replicas_loading > 0:
            return ScalingReason.LOADING
        return ScalingReason.IDLE_CLOCK if state.is_demand_observable else ScalingReason.DEMAND_UNKNOWN
    if wanted > limits.replicas_min:
        return ScalingReason.DEMAND
    return ScalingReason.MIN_REPLICAS if desired > 0 else ScalingReason.IDLE
