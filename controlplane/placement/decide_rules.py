"""Filter, score, decide: integer arithmetic, and the same answer whatever order the pools come in.

A pool is admitted only if it can take every replica; the cheapest admitted one is chosen. The cost of an hour is
money: the price, the carbon emitted at a shadow price, and a small charge for using up what little room a pool has.
Absolute costs, so that a pool which joins or leaves never changes the order of the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.placement import wording_rules as wording
from controlplane.placement.domain import (
    Assessment,
    Candidate,
    Decision,
    Demand,
    Explanation,
    Rejection,
    RejectionCode,
    Score,
    Snapshot,
)
from controlplane.sovereignty.domain import Text


@dataclass(frozen=True, slots=True)
class Weights:
    """What carbon and scarcity cost beside the price.

    `carbon_micro_per_kg`: millionths of a minor unit a kilogram of CO2e; 10 cents, that is 100 € a tonne, near the
    shadow price of carbon of the French public administration for 2025. `scarcity_micro`: charged in proportion to
    the part of a pool's room that the demand takes; a cent an hour, so it decides only between near equals.
    Watts are nominal, not measured: a B300-class GPU with its share of the server, and a core under load.
    """

    carbon_micro_per_kg: int = 10_000_000
    scarcity_micro: int = 1_000_000
    watts_per_gpu: int = 1_700
    watts_per_core: int = 10


DEFAULT_WEIGHTS = Weights()
# Where nobody knows the grid or the building, the score assumes a dirty grid and a poor PUE: ignorance never wins.
UNKNOWN_GCO2_PER_KWH_MILLI = 1_000_000
UNKNOWN_PUE_MILLI = 2_000
# Above any node's room for replicas: where the search for the scarcest resource begins.
ROOM_MAX = 1_000_000


def decide(demand: Demand, snapshot: Snapshot, weights: Weights = DEFAULT_WEIGHTS) -> Decision:
    """Choose the pool for a demand, or none, and say for every pool why.

    Shapes: pool ids are unique in the snapshot. Never chooses a pool whose datacenter's verdict is missing or no.
    """
    assessed = sorted(
        ((assess(demand, candidate, weights), candidate) for candidate in snapshot.candidates),
        key=lambda pair: _rank(pair[0]),
    )
    assessments = tuple(assessment for assessment, _ in assessed)
    chosen = assessed[0][1] if assessed and assessments[0].is_admitted else None
    nearest = None if chosen is not None else find_nearest_miss(assessments)
    return Decision(
        chosen,
        Explanation(
            demand_id=demand.id,
            policy_hash=demand.policy_hash,
            decided_at=snapshot.taken_at,
            chosen_pool_id=None if chosen is None else chosen.pool_id,
            nearest_miss_pool_id=None if nearest is None else nearest.pool_id,
            summary=wording.summarise(demand, assessments, nearest),
            assessments=assessments,
        ),
    )


def assess(demand: Demand, candidate: Candidate, weights: Weights = DEFAULT_WEIGHTS) -> Assessment:
    """Judge one pool by itself: every reason against it, or its score."""
    fit = count_replicas(demand, candidate)
    rejections = tuple(_find_rejections(demand, candidate, fit))
    return Assessment(
        pool_id=candidate.pool_id,
        pool_name=candidate.pool_name,
        datacenter=candidate.datacenter,
        country=candidate.country,
        cell=candidate.cell,
        is_simulated=candidate.is_simulated,
        replicas_fit=fit,
        score=None if rejections else score(demand, candidate, fit, weights),
        rejections=rejections,
    )


def count_replicas(demand: Demand, candidate: Candidate) -> int:
    """Return how many replicas the pool's nodes can take: on each, the least that any of its resources allows."""
    cpu, memory, gpus = demand.cpu_milli, demand.memory_mib, demand.gpus
    total = 0
    # The one loop over nodes, thousands of them a decision: plain arithmetic, no object made on the way.
    for node in candidate.free:
        # A demand that asks for nothing at all still takes a place: one a node.
        room = 1 if cpu == memory == gpus == 0 else ROOM_MAX
        if cpu:
            room = node.cpu_milli // cpu
        if memory and node.memory_mib // memory < room:
            room = node.memory_mib // memory
        if gpus and node.gpus // gpus < room:
            room = node.gpus // gpus
        if room > 0:
            total += room * node.count
    return total


def score(demand: Demand, candidate: Candidate, fit: int, weights: Weights = DEFAULT_WEIGHTS) -> Score:
    """Cost one hour of the whole demand in this pool. Rounds up, so that nothing comes out free by rounding."""
    assert fit >= demand.replicas
    milliwatts = demand.gpus * weights.watts_per_gpu * 1_000 + demand.cpu_milli * weights.watts_per_core
    grid = candidate.gco2_per_kwh_milli
    grid = UNKNOWN_GCO2_PER_KWH_MILLI if grid is None else grid
    pue = UNKNOWN_PUE_MILLI if candidate.pue_milli is None else candidate.pue_milli
    # mW · h · (mg/kWh) · (PUE/1000): 10^6 mW a kW, 10^3 of PUE, 10^6 mg a kg.
    carbon = demand.replicas * milliwatts * grid * pue * weights.carbon_micro_per_kg
    return Score(
        price=demand.replicas * candidate.price_per_hour_micro,
        carbon=_divide_up(carbon, 10**15),
        scarcity=_divide_up(demand.replicas * weights.scarcity_micro, fit),
    )


def find_nearest_miss(assessments: Iterable[Assessment]) -> Assessment | None:
    """Return the refused pool with the fewest legal reasons, then the fewest of all, then by name."""
    return min(
        (assessment for assessment in assessments if not assessment.is_admitted),
        key=lambda a: (
            sum(rejection.code in _LEGAL for rejection in a.rejections),
            len(a.rejections),
            -a.replicas_fit,
            *_name(a),
        ),
        default=None,
    )


# What no purchase of machines can mend.
_LEGAL = frozenset({RejectionCode.SOVEREIGNTY, RejectionCode.VERDICT_MISSING, RejectionCode.LICENCE})


def _find_rejections(demand: Demand, candidate: Candidate, fit: int) -> Iterable[Rejection]:
    yield from _find_legal_rejections(demand, candidate)
    if demand.datacenters and candidate.datacenter not in demand.datacenters:
        yield _reject(RejectionCode.DATACENTER_NOT_ASKED, wording.datacenter_not_asked(demand, candidate))
    if demand.instance_type is not None and demand.instance_type != candidate.instance_type:
        yield _reject(RejectionCode.INSTANCE_TYPE, wording.instance_type(demand, candidate))
    # A demand without GPUs is kept off GPU nodes too: it would strand what it cannot use.
    is_wrong_gpu = demand.gpu_sku != candidate.gpu_sku
    if is_wrong_gpu:
        yield _reject(RejectionCode.ACCELERATOR, wording.accelerator(demand, candidate))
    if candidate.is_simulated and not demand.is_simulated_allowed:
        yield _reject(RejectionCode.SIMULATED, wording.simulated(candidate))
    if candidate.is_paused:
        yield _reject(RejectionCode.PAUSED, wording.paused(candidate))
    if candidate.nodes_ready < 1:
        yield _reject(RejectionCode.NO_READY_NODE, wording.no_ready_node(candidate))
    elif fit < demand.replicas and not is_wrong_gpu:
        # A pool without the asked accelerator is not short of it: one reason is enough.
        yield _reject(RejectionCode.CAPACITY, wording.capacity(demand, candidate, fit))


def _find_legal_rejections(demand: Demand, candidate: Candidate) -> Iterable[Rejection]:
    verdict = demand.verdicts.get(candidate.datacenter)
    if verdict is None:
        yield _reject(RejectionCode.VERDICT_MISSING, wording.verdict_missing(candidate))
    else:
        for reason in verdict.reasons:
            yield Rejection(RejectionCode.SOVEREIGNTY, str(reason.code), reason.text, reason.why_path)
        if not verdict.is_admissible and not verdict.reasons:
            yield _reject(RejectionCode.VERDICT_MISSING, wording.verdict_missing(candidate))
    refusal = demand.licence_refusal
    if refusal is not None:
        yield Rejection(RejectionCode.LICENCE, str(refusal.code), refusal.text, refusal.why_path)


def _reject(code: RejectionCode, text: Text) -> Rejection:
    return Rejection(code, str(code), text)


def _rank(assessment: Assessment) -> tuple[int, int, str, str, str]:
    cost = 0 if assessment.score is None else assessment.score.total
    return (0 if assessment.is_admitted else 1, cost, *_name(assessment))


def _name(assessment: Assessment) -> tuple[str, str, str]:
    return (assessment.datacenter, assessment.pool_name, assessment.pool_id)


def _divide_up(amount: int, by: int) -> int:
    return -(-amount // by)
