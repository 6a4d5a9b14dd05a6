"""Effective control: the least fixpoint over majority votes, board majorities and dominance, with its proof.

C(x) is the least set with x in it that holds y as soon as the votes of its members in y exceed 50 %, or one of
them appoints the majority of y's board or dominates it by contract. Two holders of exactly 50 % each control
jointly and both count. Monotone, so pyramids and loops need no special case (sovereignty.md §3.2; the notion of
control of the French commercial code, art. L233-3). A veto is influence, not control.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

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

HALF_BP = BASIS_POINTS // 2


@dataclass(frozen=True, slots=True)
class ControlFinding:
    """Whether somebody outside the Union controls the target.

    FAIL names the controller and the holdings that prove it (none when the target itself is outside the Union).
    UNKNOWN names the entities whose missing facts leave it open.
    """

    outcome: Ternary
    controller: LegalEntityId | None = None
    proof: tuple[Holding, ...] = ()
    open_entities: tuple[LegalEntityId, ...] = ()


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
    """Judge whether control of the target may lie outside the Union.

    PASS only if no holder outside the Union controls it even should every undeclared vote be that holder's.
    """
    above = upstream(graph, target)
    if not is_judgeable(graph, above):
        return ControlFinding(Ternary.UNKNOWN, open_entities=(target,))
    if is_eu(graph, target) is False:
        return ControlFinding(Ternary.FAIL, controller=target)
    proven = [
        (entity_id, closure)
        for entity_id in above
        if is_eu(graph, entity_id) is False and can_control(graph, entity_id)
        for closure in (control_closure(graph, frozenset({entity_id})),)
        if target in closure
    ]
    if proven:
        controlled = {other for entity_id, closure in proven for other in closure if other != entity_id}
        # The controller that nobody else controls says most; in a loop of controllers any of them does.
        ultimate = [pair for pair in proven if pair[0] not in controlled] or proven
        controller, closure = min(ultimate, key=lambda pair: (len(pair[1]), pair[0]))
        return ControlFinding(Ternary.FAIL, controller, prove_path(closure, target))
    suspects = _find_open_entities(graph, target, above)
    if suspects:
        return ControlFinding(Ternary.UNKNOWN, open_entities=suspects)
    return ControlFinding(Ternary.PASS)


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


def _find_open_entities(
    graph: OwnershipGraph, target: LegalEntityId, above: tuple[LegalEntityId, ...]
) -> tuple[LegalEntityId, ...]:
    """Return the entities whose missing facts leave room for control from outside, empty if there is none."""
    extra = find_undeclared_votes(graph, above)
    possible = [
        entity_id
        for entity_id in above
        if is_eu(graph, entity_id) is not True and can_control(graph, entity_id)
    ]
    starts = [frozenset({entity_id}) for entity_id in possible] or [frozenset[LegalEntityId]()]
    if not any(target in control_closure(graph, start, extra) for start in starts):
        return ()
    open_entities = set(extra) | {entity_id for entity_id in possible if is_eu(graph, entity_id) is None}
    return tuple(entity_id for entity_id in above if entity_id in open_entities) or (target,)
