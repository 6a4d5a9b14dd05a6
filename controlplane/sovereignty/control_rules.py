"""Effective control by the French commercial code, art. L233-3 and L233-10, with its proof.

Sole control, C(x), is the least set with x in it that holds y as soon as the votes of its members in y exceed 50 %, or
one of them appoints the majority of y's board or dominates it by contract. Two holders of exactly 50 % each control
jointly and both count. Monotone, so pyramids and loops need no special case. A veto is influence, not control.

Whether control lies inside the Union is asked more strictly (`find_non_eu_control`): holders outside it are added up,
as if they acted in concert; whoever has more than 40 % while nobody has more is presumed to control; and an answer in
favour rests on known owners, not on the absence of suspects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import StrEnum

from controlplane.kernel.ids import LegalEntityId
from controlplane.sovereignty.domain import BASIS_POINTS, Holding, Ternary
from controlplane.sovereignty.graph_rules import (
    OwnershipGraph,
    can_control,
    is_eu,
    is_judgeable,
    share_bp,
    undeclared_bp,
    upstream,
)
from controlplane.sovereignty.spread_rules import Mode, spread_control
from controlplane.sovereignty.voting_rules import Voting, is_company, read_voting

# A structure with more entities than this above one company is not judged: unknown, hence refused.
CONTROL_ENTITIES_MAX = 20_000
HALF_BP = BASIS_POINTS // 2


class ControlGround(StrEnum):
    """What a finding on control rests on."""

    SEAT = "seat"
    SOLE = "sole"
    TOGETHER = "together"
    PRESUMED = "presumed"
    MISSING = "missing"
    NO_OWNER = "no_owner"
    NO_MAJORITY = "no_majority"
    STRUCTURE = "structure"
    UNION = "union"


@dataclass(frozen=True, slots=True)
class ControlFinding:
    """Whether control of the target is proven to lie inside the Union.

    FAIL: it lies outside for certain; `controller` is who has it, None where holders outside have it together.
    UNKNOWN: no proof either way; `open_entities` are those whose facts leave it open. PASS: `owners` are the
    persons and states of the Union on whom the proof ends. `proof` are the holdings that show it.
    """

    outcome: Ternary
    ground: ControlGround
    controller: LegalEntityId | None = None
    proof: tuple[Holding, ...] = ()
    open_entities: tuple[LegalEntityId, ...] = ()
    owners: tuple[LegalEntityId, ...] = ()


def control_closure(
    graph: OwnershipGraph,
    start: frozenset[LegalEntityId],
    extra_votes_bp: Mapping[LegalEntityId, int] | None = None,
) -> dict[LegalEntityId, tuple[Holding, ...]]:
    """Return all that `start` controls, in the order of derivation, each with the holdings that prove it.

    `extra_votes_bp` are votes in each entity that `start` might hold besides: what nobody has declared.
    """
    extra = extra_votes_bp or {}
    votes: dict[LegalEntityId, int] = defaultdict(int, extra)
    held: dict[LegalEntityId, list[Holding]] = defaultdict(list)
    closure: dict[LegalEntityId, tuple[Holding, ...]] = dict.fromkeys(sorted(start), ())
    queue = list(closure)
    for entity_id in sorted(extra):
        if extra[entity_id] >= HALF_BP and entity_id not in closure:
            closure[entity_id] = ()
            queue.append(entity_id)
    for entity_id in queue:
        for holding in graph.held_by.get(entity_id, ()):
            target = holding.held_id
            votes[target] += share_bp(holding, "votes")
            held[target].append(holding)
            if target in closure:
                continue
            if _is_controlled(graph, closure, target, held[target], votes[target], target in extra):
                closure[target] = _prove(held[target])
                queue.append(target)
    return closure


def find_non_eu_control(graph: OwnershipGraph, target: LegalEntityId) -> ControlFinding:
    """Judge whether control of the target lies inside the Union.

    PASS only if known persons, states or companies of the Union are shown to have it, and nobody else could have it
    whoever holds what is not declared. Linear in the facts, save for rings.
    """
    above = upstream(graph, target)
    voting = read_voting(graph) if is_judgeable(graph, above, CONTROL_ENTITIES_MAX) else None
    if voting is None:
        return ControlFinding(Ternary.UNKNOWN, ControlGround.STRUCTURE, open_entities=(target,))
    if is_eu(graph, target) is False:
        return ControlFinding(Ternary.FAIL, ControlGround.SEAT, controller=target)
    outside = [entity_id for entity_id in above if is_eu(graph, entity_id) is False]
    certain = spread_control(voting, outside, Mode.CERTAIN)
    if target in certain:
        return _show_control(voting, target, outside, certain)
    proven = _prove_union(voting, above)
    open_starts = [e for e in above if e not in proven and not _is_union_float(graph, e) and e != target]
    # The target itself is judged and not presumed; every other entity without proof might be anybody's.
    if target in proven and target not in spread_control(voting, open_starts, Mode.POSSIBLE):
        proof = holdings_among(graph, target, proven)
        return ControlFinding(
            Ternary.PASS,
            ControlGround.UNION,
            proof=proof,
            owners=tuple(e for e in above if e in proven and not is_company(graph, e)),
        )
    return _show_doubt(voting, target, above, outside, proven)


def holdings_among(
    graph: OwnershipGraph, target: LegalEntityId, members: Container[LegalEntityId]
) -> tuple[Holding, ...]:
    """Return the holdings in the target and in the members above it whose holders are members, nearest first."""
    found, seen, queue = [], {target}, [target]
    for held in queue:
        for holding in graph.holders_of.get(held, ()):
            if holding.holder_id in members and _has_weight(holding):
                found.append(holding)
                if holding.holder_id not in seen:
                    seen.add(holding.holder_id)
                    queue.append(holding.holder_id)
    return tuple(found)


def find_undeclared_votes(
    graph: OwnershipGraph, above: tuple[LegalEntityId, ...]
) -> dict[LegalEntityId, int]:
    """Return, for each entity, the votes that no holding accounts for, where there are some."""
    missing = {entity_id: undeclared_bp(graph, entity_id, "votes") for entity_id in above}
    return {entity_id: votes for entity_id, votes in missing.items() if votes > 0}


def prove_path(
    closure: Mapping[LegalEntityId, tuple[Holding, ...]], target: LegalEntityId
) -> tuple[Holding, ...]:
    """Return the holdings that the target's membership rests on, from the controller downwards."""
    needed, queue = {target}, [target]
    for entity_id in queue:
        for holding in closure[entity_id]:
            if holding.holder_id not in needed:
                needed.add(holding.holder_id)
                queue.append(holding.holder_id)
    return tuple(holding for entity_id, proof in closure.items() if entity_id in needed for holding in proof)


def _is_controlled(
    graph: OwnershipGraph,
    closure: Mapping[LegalEntityId, tuple[Holding, ...]],
    target: LegalEntityId,
    held: list[Holding],
    votes: int,
    has_extra: bool,
) -> bool:
    if held[-1].appoints_board_majority or held[-1].has_dominance or votes > HALF_BP:
        return True
    return votes == HALF_BP and (has_extra or _has_equal_partner(graph, closure, target))


def _has_equal_partner(
    graph: OwnershipGraph, closure: Mapping[LegalEntityId, tuple[Holding, ...]], target: LegalEntityId
) -> bool:
    outside: dict[LegalEntityId, int] = defaultdict(int)
    for holding in graph.holders_of.get(target, ()):
        if holding.holder_id not in closure and can_control(graph, holding.holder_id):
            outside[holding.holder_id] += share_bp(holding, "votes")
    return HALF_BP in outside.values()


def _prove(held: list[Holding]) -> tuple[Holding, ...]:
    """Return the holdings that settle it: one that gives control by itself, else those that carry votes."""
    for holding in held:
        if holding.appoints_board_majority or holding.has_dominance:
            return (holding,)
    return tuple(holding for holding in held if share_bp(holding, "votes") > 0)


def _has_weight(holding: Holding) -> bool:
    return share_bp(holding, "votes") > 0 or holding.appoints_board_majority or holding.has_dominance


def _is_union_float(graph: OwnershipGraph, entity_id: LegalEntityId) -> bool:
    return is_eu(graph, entity_id) is True and not can_control(graph, entity_id)


def _prove_union(voting: Voting, above: tuple[LegalEntityId, ...]) -> dict[LegalEntityId, None]:
    """Return the persons and states of the Union, its floats, and the companies that these are shown to control."""
    graph = voting.graph
    owners = [e for e in above if is_eu(graph, e) is True and not is_company(graph, e)]
    proven = spread_control(voting, owners, Mode.PROVEN, lambda e: is_eu(graph, e) is True)
    return {e: None for e in proven if can_control(graph, e)}


def _show_control(
    voting: Voting,
    target: LegalEntityId,
    outside: list[LegalEntityId],
    certain: dict[LegalEntityId, None],
) -> ControlFinding:
    """Name who controls the target from outside: one holder where one does alone, else all of them together."""
    graph = voting.graph
    for start in dict.fromkeys(actor for e in outside for actor in sorted(voting.actors_of(e))):
        if is_eu(graph, start) is not False:
            continue
        closure = control_closure(graph, frozenset({start}))
        if target in closure:
            return ControlFinding(Ternary.FAIL, ControlGround.SOLE, start, prove_path(closure, target))
    proof = holdings_among(graph, target, certain)
    holders = {holding.holder_id for holding in proof if is_eu(graph, holding.holder_id) is False}
    if len(holders) == 1:
        return ControlFinding(Ternary.FAIL, ControlGround.SOLE, min(holders), proof)
    return ControlFinding(Ternary.FAIL, ControlGround.TOGETHER, proof=proof)


def _show_doubt(
    voting: Voting,
    target: LegalEntityId,
    above: tuple[LegalEntityId, ...],
    outside: list[LegalEntityId],
    proven: dict[LegalEntityId, None],
) -> ControlFinding:
    """Say what leaves control open: a presumption, a missing fact, a ring without owner, or holders too small."""
    graph = voting.graph
    missing = tuple(
        e for e in above if is_eu(graph, e) is None or undeclared_bp(graph, e, "votes")
    )  # fmt: skip
    rings = tuple(e for e in above if is_company(graph, e) and is_eu(graph, e) is True and e not in proven)
    if missing:
        return ControlFinding(Ternary.UNKNOWN, ControlGround.MISSING, open_entities=missing)
    presumed = spread_control(voting, outside, Mode.POSSIBLE)
    if target in presumed:
        proof = holdings_among(graph, target, presumed)
        return ControlFinding(Ternary.UNKNOWN, ControlGround.PRESUMED, proof=proof, open_entities=(target,))
    floats = tuple(e for e in above if not can_control(graph, e))
    if not floats and not any(is_eu(graph, e) is True and not is_company(graph, e) for e in above):
        return ControlFinding(Ternary.UNKNOWN, ControlGround.NO_OWNER, open_entities=rings or (target,))
    proof = graph.holders_of.get(target, ())
    return ControlFinding(
        Ternary.UNKNOWN, ControlGround.NO_MAJORITY, proof=proof, open_entities=rings or (target,)
    )
