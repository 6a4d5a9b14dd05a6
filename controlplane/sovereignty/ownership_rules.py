"""The ownership test of SecNumCloud 3.2 §19.6(a) and (b), exact and three-valued.

Look-through share: Y = D + A·Y with Y = 1 for the holder itself, solved in exact fractions, so that pyramids,
cross-holdings and loops need no special case. Conservative attribution counts what a controlled company holds
whole; proportional multiplies along the chain; the referential does not say which, so both are offered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from controlplane.kernel.ids import LegalEntityId
from controlplane.sovereignty.control_rules import control_closure, find_non_eu_control, find_undeclared_votes
from controlplane.sovereignty.domain import BASIS_POINTS, Attribution, Holding, Ternary
from controlplane.sovereignty.graph_rules import (
    OwnershipGraph,
    Share,
    can_control,
    is_eu,
    is_judgeable,
    share_bp,
    undeclared_bp,
    upstream,
)

# Shares are solved exactly, which costs more than control does: a larger structure is unknown, hence refused.
OWNERSHIP_ENTITIES_MAX: Final = 500
INDIVIDUAL_LIMIT: Final = Fraction(24, 100)
COLLECTIVE_LIMIT: Final = Fraction(39, 100)
SHARES: Final[tuple[Share, ...]] = ("capital", "votes")


class Ground(StrEnum):
    """Which part of the test a finding is about."""

    PLACES = "places"
    INDIVIDUAL = "individual"
    COLLECTIVE = "collective"
    VETO = "veto"
    CONTROL = "control"
    STRUCTURE = "structure"


@dataclass(frozen=True, slots=True)
class OwnershipFinding:
    """One ground that is not met. `low` and `high` bound the share by what is stated and what could still be."""

    ground: Ground
    outcome: Ternary
    holder: LegalEntityId | None = None
    share: Share | None = None
    low: Fraction | None = None
    high: Fraction | None = None
    proof: tuple[Holding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: Fraction
    high: Fraction

    def judge(self, limit: Fraction) -> Ternary:
        if self.low > limit:
            return Ternary.FAIL
        return Ternary.PASS if self.high <= limit else Ternary.UNKNOWN


def judge_secnumcloud_ownership(
    graph: OwnershipGraph, target: LegalEntityId, attribution: Attribution
) -> tuple[OwnershipFinding, ...]:
    """Return every ground of §19.6(a), (b) that fails or is unknown; none means that the test is passed."""
    above = upstream(graph, target)
    if not is_judgeable(graph, above, OWNERSHIP_ENTITIES_MAX):
        return (OwnershipFinding(Ground.STRUCTURE, Ternary.UNKNOWN, holder=target),)
    findings = [
        *_judge_places(graph, target),
        *_judge_individual(graph, target, above, attribution),
        *_judge_collective(graph, target, above, attribution),
        *_judge_vetoes(graph, target, above),
    ]
    control = find_non_eu_control(graph, target)
    if control.outcome is not Ternary.PASS and control.controller != target:
        findings.append(
            OwnershipFinding(Ground.CONTROL, control.outcome, control.controller, proof=control.proof)
        )
    return tuple(findings)


def look_through(
    graph: OwnershipGraph, target: LegalEntityId, group: AbstractSet[LegalEntityId], share: Share
) -> tuple[Fraction, Fraction] | None:
    """Return the target's share that ends at `group`, and the share that ends at nobody stated.

    The group owns itself whole. None when a closed ring leaves no owner at all (spectral radius 1).
    """
    if target in group:
        return Fraction(1), Fraction(0)
    rows, order = _collect_rows(graph, target, group, share)
    users: dict[_Key, set[LegalEntityId]] = defaultdict(set)
    for entity_id, row in rows.items():
        for key in row:
            users[key].add(entity_id)
    for entity_id in order:
        row = rows.pop(entity_id)
        if not _fold_self(row, entity_id):
            return None
        for user in users[entity_id] & rows.keys():
            other = rows[user]
            weight = other.pop(entity_id)
            for key, part in row.items():
                other[key] = other.get(key, Fraction(0)) + weight * part
                users[key].add(user)
    last = rows[target]
    if not _fold_self(last, target):
        return None
    return last.get(_GROUP, Fraction(0)), last.get(_NOBODY, Fraction(0))


_Key = LegalEntityId | str
_GROUP: Final = "group"
_NOBODY: Final = "nobody"


def _collect_rows(
    graph: OwnershipGraph, target: LegalEntityId, group: AbstractSet[LegalEntityId], share: Share
) -> tuple[dict[LegalEntityId, dict[_Key, Fraction]], list[LegalEntityId]]:
    """Return who holds each entity between the target and the group, and the order to eliminate them in."""
    rows: dict[LegalEntityId, dict[_Key, Fraction]] = {}
    found, queue = {target}, [target]
    for entity_id in queue:
        row: dict[_Key, Fraction] = {}
        for holding in graph.holders_of.get(entity_id, ()):
            weight = Fraction(share_bp(holding, share), BASIS_POINTS)
            key: _Key = _GROUP if holding.holder_id in group else holding.holder_id
            if weight > 0:
                row[key] = row.get(key, Fraction(0)) + weight
                if isinstance(key, LegalEntityId) and key not in found:
                    found.add(key)
                    queue.append(key)
        missing = undeclared_bp(graph, entity_id, share)
        if missing:
            row[_NOBODY] = Fraction(missing, BASIS_POINTS)
        rows[entity_id] = row
    # The farthest first: in a pyramid each elimination then touches only the rows just below it.
    return rows, queue[:0:-1]


def _fold_self(row: dict[_Key, Fraction], entity_id: LegalEntityId) -> bool:
    """Divide out what an entity holds in itself; False when it holds all of itself."""
    own = row.pop(entity_id, Fraction(0))
    if own >= 1:
        return False
    if own:
        for key in row:
            row[key] /= 1 - own
    return True


def _judge_places(graph: OwnershipGraph, target: LegalEntityId) -> list[OwnershipFinding]:
    inside = is_eu(graph, target)
    if inside is True:
        return []
    outcome = Ternary.FAIL if inside is False else Ternary.UNKNOWN
    return [OwnershipFinding(Ground.PLACES, outcome, holder=target)]


def _judge_individual(
    graph: OwnershipGraph, target: LegalEntityId, above: tuple[LegalEntityId, ...], attribution: Attribution
) -> list[OwnershipFinding]:
    findings = []
    suspects = [e for e in above if e != target and is_eu(graph, e) is not True and can_control(graph, e)]
    for entity_id in suspects:
        known = frozenset({entity_id}) if is_eu(graph, entity_id) is False else frozenset[LegalEntityId]()
        worst = _worst(graph, target, above, known, frozenset({entity_id}), attribution, INDIVIDUAL_LIMIT)
        if worst is not None:
            outcome, share, bounds = worst
            findings.append(
                OwnershipFinding(
                    Ground.INDIVIDUAL, outcome, entity_id, share, bounds.low, bounds.high,
                    edges_between(graph, entity_id, target),
                )
            )  # fmt: skip
    if not suspects:
        worst = _worst(graph, target, above, frozenset(), frozenset(), attribution, INDIVIDUAL_LIMIT)
        if worst is not None:
            outcome, share, bounds = worst
            findings.append(
                OwnershipFinding(Ground.INDIVIDUAL, outcome, None, share, bounds.low, bounds.high)
            )
    return findings


def _judge_collective(
    graph: OwnershipGraph, target: LegalEntityId, above: tuple[LegalEntityId, ...], attribution: Attribution
) -> list[OwnershipFinding]:
    others = [entity_id for entity_id in above if entity_id != target]
    known = frozenset(e for e in others if is_eu(graph, e) is False)
    possible = frozenset(e for e in others if is_eu(graph, e) is not True)
    worst = _worst(graph, target, above, known, possible, attribution, COLLECTIVE_LIMIT)
    if worst is None:
        return []
    outcome, share, bounds = worst
    proof: dict[Holding, None] = {}
    for entity_id in sorted(possible, key=above.index):
        proof.update(dict.fromkeys(edges_between(graph, entity_id, target)))
    return [OwnershipFinding(Ground.COLLECTIVE, outcome, None, share, bounds.low, bounds.high, tuple(proof))]


def _judge_vetoes(
    graph: OwnershipGraph, target: LegalEntityId, above: tuple[LegalEntityId, ...]
) -> list[OwnershipFinding]:
    """A veto in the target, or in a company that controls it, by somebody outside the Union or possibly so."""
    extra = find_undeclared_votes(graph, above)
    certain = _groups(graph, [e for e in above if is_eu(graph, e) is False], {})
    possible = _groups(graph, [e for e in above if is_eu(graph, e) is not True], extra)
    findings = []
    for entity_id in above:
        vetoes = [holding for holding in graph.holders_of.get(entity_id, ()) if holding.has_veto]
        if not vetoes or target not in control_closure(graph, frozenset({entity_id})):
            continue
        for holding in vetoes:
            if holding.holder_id in certain:
                outcome = Ternary.FAIL
            elif holding.holder_id in possible:
                outcome = Ternary.UNKNOWN
            else:
                continue
            findings.append(OwnershipFinding(Ground.VETO, outcome, holding.holder_id, proof=(holding,)))
    return findings


def edges_between(graph: OwnershipGraph, holder: LegalEntityId, target: LegalEntityId) -> tuple[Holding, ...]:
    """Return the holdings on any path from the holder down to the target, from the holder on."""
    above = set(upstream(graph, target))
    edges, seen, queue = [], {holder}, [holder]
    for entity_id in queue:
        if entity_id == target:
            continue
        for holding in graph.held_by.get(entity_id, ()):
            if holding.held_id in above and holding.held_id != holder:
                edges.append(holding)
                if holding.held_id not in seen:
                    seen.add(holding.held_id)
                    queue.append(holding.held_id)
    return tuple(edges)


def _worst(
    graph: OwnershipGraph,
    target: LegalEntityId,
    above: tuple[LegalEntityId, ...],
    known: frozenset[LegalEntityId],
    possible: frozenset[LegalEntityId],
    attribution: Attribution,
    limit: Fraction,
) -> tuple[Ternary, Share, _Bounds] | None:
    """Return the worse of capital and votes when the limit is not kept for certain, else None."""
    extra = find_undeclared_votes(graph, above)
    if attribution is Attribution.CONSERVATIVE:
        low_group: AbstractSet[LegalEntityId] = _groups(graph, sorted(known), {})
        high_group: AbstractSet[LegalEntityId] = _groups(graph, sorted(possible), extra)
    else:
        low_group, high_group = known, possible
    found: list[tuple[Ternary, Share, _Bounds]] = []
    for share in SHARES:
        low, high = (
            look_through(graph, target, low_group, share),
            look_through(graph, target, high_group, share),
        )
        # A ring without an owner leaves everything open.
        bounds = _Bounds(low[0] if low else Fraction(0), sum(high, Fraction(0)) if high else Fraction(1))
        outcome = bounds.judge(limit)
        if outcome is not Ternary.PASS:
            found.append((outcome, share, bounds))
    return max(
        found, key=lambda item: (item[0] is Ternary.FAIL, item[2].low, item[1] == "capital"), default=None
    )


def _groups(
    graph: OwnershipGraph, starts: list[LegalEntityId], extra: dict[LegalEntityId, int]
) -> set[LegalEntityId]:
    """Return what each start controls for itself, united; floats stay alone."""
    united = set(starts)
    for entity_id in starts:
        if can_control(graph, entity_id):
            united.update(control_closure(graph, frozenset({entity_id}), extra))
    if extra and not starts:
        united.update(control_closure(graph, frozenset(), extra))
    return united
