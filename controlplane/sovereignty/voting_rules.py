"""Votes that can be cast, and the actors who cast them: what the tests of control count.

Silent votes: a company casts none in itself, nor do the companies that it controls (code de commerce art. L225-111,
L233-31). They leave the whole that a majority is counted of: where two companies hold each other, whoever stands
outside the ring decides alone, and where nobody does, nobody decides.

Actors: holders that one entity controls vote as one (art. L233-3 I, L233-10 II), so each holder counts for whoever
controls it and is controlled by nobody. Dispersed floats are nobody in particular and form no actor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controlplane.kernel.ids import LegalEntityId
from controlplane.sovereignty.domain import BASIS_POINTS, EntityKind, Holding
from controlplane.sovereignty.graph_rules import OwnershipGraph, can_control, share_bp

# A ring of companies that hold one another with more members than this is not judged: unknown, hence refused.
RING_ENTITIES_MAX = 500
_NOBODY: frozenset[LegalEntityId] = frozenset()


@dataclass(frozen=True, slots=True)
class Voting:
    """`castable`: hundredths of a percent of a company's votes that can be cast. `actors`: for whom a holder counts."""

    graph: OwnershipGraph
    silent: Mapping[LegalEntityId, frozenset[LegalEntityId]]
    actors: Mapping[LegalEntityId, frozenset[LegalEntityId]]

    def castable_bp(self, held: LegalEntityId) -> int:
        """What is left of the whole without the silent votes; undeclared ones included."""
        mute = self.silent.get(held, _NOBODY)
        if not mute:
            return BASIS_POINTS
        holders = self.graph.holders_of.get(held, ())
        return BASIS_POINTS - sum(share_bp(h, "votes") for h in holders if h.holder_id in mute)

    def is_cast(self, holding: Holding) -> bool:
        return holding.holder_id not in self.silent.get(holding.held_id, _NOBODY)

    def actors_of(self, holder: LegalEntityId) -> frozenset[LegalEntityId]:
        if not can_control(self.graph, holder):
            return _NOBODY
        return self.actors.get(holder) or frozenset({holder})


def read_voting(graph: OwnershipGraph) -> Voting | None:
    """Work out silent votes and actors in time linear in the facts; None where a ring is too large to be judged."""
    rings = _find_rings(graph)
    if any(len(ring) > RING_ENTITIES_MAX for ring in rings):
        return None
    silent: dict[LegalEntityId, frozenset[LegalEntityId]] = {}
    for ring in rings:
        members = frozenset(ring)
        for company in ring:
            holders = {h.holder_id for h in graph.holders_of.get(company, ())} & members
            if holders:
                mute = holders & majority_closure(graph, company, {}, members)
                silent[company] = frozenset(mute)
    return Voting(graph, silent, _find_actors(graph, silent, rings))


def is_company(graph: OwnershipGraph, entity_id: LegalEntityId) -> bool:
    """Only a company can be controlled; what no fact describes may be one."""
    entity = graph.entities.get(entity_id)
    return entity is None or entity.kind is EntityKind.COMPANY


def majority_closure(
    graph: OwnershipGraph,
    start: LegalEntityId,
    silent: Mapping[LegalEntityId, frozenset[LegalEntityId]],
    within: frozenset[LegalEntityId] | None = None,
) -> set[LegalEntityId]:
    """Return what one entity controls alone: by more than half of the votes, board majority or dominance."""
    closure, queue = {start}, [start]
    votes: dict[LegalEntityId, int] = defaultdict(int)
    whole: dict[LegalEntityId, int] = {}
    for holder in queue:
        if not can_control(graph, holder):
            continue
        for holding in graph.held_by.get(holder, ()):
            held = holding.held_id
            mute = silent.get(held, _NOBODY)
            if held in closure or (within is not None and held not in within) or not is_company(graph, held):
                continue
            if held not in whole:
                muted = (h for h in graph.holders_of[held] if h.holder_id in mute) if mute else ()
                whole[held] = BASIS_POINTS - sum(share_bp(h, "votes") for h in muted)
            votes[held] += 0 if holder in mute else share_bp(holding, "votes")
            if 2 * votes[held] > whole[held] > 0 or holding.appoints_board_majority or holding.has_dominance:
                closure.add(held)
                queue.append(held)
    return closure


def _find_actors(
    graph: OwnershipGraph,
    silent: Mapping[LegalEntityId, frozenset[LegalEntityId]],
    rings: list[list[LegalEntityId]],
) -> dict[LegalEntityId, frozenset[LegalEntityId]]:
    """Return, for each controlled entity, who controls it and is controlled by nobody (of a ring: its first)."""
    reached: dict[LegalEntityId, set[LegalEntityId]] = {}
    starts: dict[LegalEntityId, set[LegalEntityId]] = {}
    # Holders come before what they hold, so whoever is met uncontrolled stays so, save by members of its own ring.
    for ring in rings:
        for entity_id in sorted(ring):
            if reached.get(entity_id):
                continue
            closure = majority_closure(graph, entity_id, silent)
            starts[entity_id] = closure
            for member in closure - {entity_id}:
                for below in starts.pop(member, ()):
                    reached.get(below, set()).discard(member)
                reached.setdefault(member, set()).add(entity_id)
    return {entity_id: frozenset(tops) for entity_id, tops in reached.items() if tops}


def _find_rings(graph: OwnershipGraph) -> list[list[LegalEntityId]]:
    """Return the strongly connected sets, holders before what they hold (Tarjan, without recursion)."""
    everyone = sorted({*graph.entities, *graph.held_by, *graph.holders_of})
    number: dict[LegalEntityId, int] = {}
    low: dict[LegalEntityId, int] = {}
    open_set: dict[LegalEntityId, None] = {}
    found: list[list[LegalEntityId]] = []
    for root in everyone:
        if root in number:
            continue
        work = [(root, iter(_holders(graph, root)))]
        number[root] = low[root] = len(number)
        open_set[root] = None
        while work:
            entity_id, holders = work[-1]
            step = next(holders, None)
            if step is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[entity_id])
                if low[entity_id] == number[entity_id]:
                    found.append(_pop_until(open_set, entity_id))
            elif step not in number:
                number[step] = low[step] = len(number)
                open_set[step] = None
                work.append((step, iter(_holders(graph, step))))
            elif step in open_set:
                low[entity_id] = min(low[entity_id], number[step])
    return found


def _holders(graph: OwnershipGraph, held: LegalEntityId) -> Iterable[LegalEntityId]:
    return (holding.holder_id for holding in graph.holders_of.get(held, ()))


def _pop_until(open_set: dict[LegalEntityId, None], last: LegalEntityId) -> list[LegalEntityId]:
    ring = []
    while True:
        member, _ = open_set.popitem()
        ring.append(member)
        if member == last:
            return ring
