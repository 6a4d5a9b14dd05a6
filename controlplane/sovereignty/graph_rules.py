"""The ownership graph of a fact set: who holds what, upstream of whom, and what nobody has stated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from controlplane.kernel.ids import LegalEntityId
from controlplane.sovereignty.domain import BASIS_POINTS, EntityKind, FactSet, Holding, LegalEntity

Share = Literal["capital", "votes"]


@dataclass(frozen=True, slots=True)
class OwnershipGraph:
    """Entities by id, and each entity's holdings downwards (`held_by`) and upwards (`holders_of`)."""

    entities: Mapping[LegalEntityId, LegalEntity]
    holders_of: Mapping[LegalEntityId, tuple[Holding, ...]]
    held_by: Mapping[LegalEntityId, tuple[Holding, ...]]


def build_graph(facts: FactSet) -> OwnershipGraph:
    """Index the facts; holdings are ordered by id, so that equal facts give equal proofs."""
    upwards: dict[LegalEntityId, list[Holding]] = defaultdict(list)
    downwards: dict[LegalEntityId, list[Holding]] = defaultdict(list)
    for holding in sorted(facts.holdings, key=lambda h: h.id):
        upwards[holding.held_id].append(holding)
        downwards[holding.holder_id].append(holding)
    return OwnershipGraph(
        entities={entity.id: entity for entity in facts.entities},
        holders_of={key: tuple(rows) for key, rows in upwards.items()},
        held_by={key: tuple(rows) for key, rows in downwards.items()},
    )


def upstream(graph: OwnershipGraph, target: LegalEntityId) -> tuple[LegalEntityId, ...]:
    """Return the target and everyone above it, nearest first."""
    seen, queue = {target}, [target]
    for entity_id in queue:
        for holding in graph.holders_of.get(entity_id, ()):
            if holding.holder_id not in seen:
                seen.add(holding.holder_id)
                queue.append(holding.holder_id)
    return tuple(queue)


def is_eu(graph: OwnershipGraph, entity_id: LegalEntityId) -> bool | None:
    """None for an entity that the facts do not describe or whose places are incomplete."""
    entity = graph.entities.get(entity_id)
    return None if entity is None else entity.is_eu


def can_control(graph: OwnershipGraph, entity_id: LegalEntityId) -> bool:
    """A dispersed float is nobody in particular: its holders do not act as one."""
    entity = graph.entities.get(entity_id)
    return entity is None or entity.kind is not EntityKind.FREE_FLOAT


def share_bp(holding: Holding, share: Share) -> int:
    """Return the stated share; a share that nobody stated counts in `undeclared_bp`, not here."""
    stated = holding.capital_bp if share == "capital" else holding.votes_bp
    return 0 if stated is None else stated


def stated_bp(graph: OwnershipGraph, entity_id: LegalEntityId, share: Share) -> int:
    return sum(share_bp(holding, share) for holding in graph.holders_of.get(entity_id, ()))


def undeclared_bp(graph: OwnershipGraph, entity_id: LegalEntityId, share: Share) -> int:
    """Return the part of a company that no holding accounts for; persons, states and floats have no holders.

    A company outside the Union counts as a holder by itself: who stands behind it weighs only where it is stated.
    """
    entity = graph.entities.get(entity_id)
    if entity is not None and (entity.kind is not EntityKind.COMPANY or entity.is_eu is False):
        return 0
    return max(0, BASIS_POINTS - stated_bp(graph, entity_id, share))


def is_judgeable(graph: OwnershipGraph, above: tuple[LegalEntityId, ...], entities_max: int) -> bool:
    """Whether the structure is small enough and no company is stated to be held beyond 100 %."""
    if len(above) > entities_max:
        return False
    return all(
        stated_bp(graph, entity_id, "capital") <= BASIS_POINTS
        and stated_bp(graph, entity_id, "votes") <= BASIS_POINTS
        for entity_id in above
    )
