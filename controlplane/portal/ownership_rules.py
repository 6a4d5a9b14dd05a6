"""Who holds whom, as a list to read from the top: a company, its holders, theirs below them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Deeper chains exist on paper; the verdict walks them all, a page shows what a person can read.
DEPTH_MAX = 6
ROWS_MAX = 100

Fact = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OwnershipRow:
    """One entity at its depth; `holding` is how it holds the entity above it, None for the first."""

    depth: int
    entity: Fact
    holding: Fact | None


def list_owners(entity_id: str, entities: Mapping[str, Fact], holdings: Sequence[Fact]) -> list[OwnershipRow]:
    """Walk from a company to its holders. A circle of holders ends where it closes."""
    holders: dict[str, list[Fact]] = {}
    for holding in holdings:
        if holding["valid_to"] is None:
            holders.setdefault(holding["held_id"], []).append(holding)
    rows: list[OwnershipRow] = []
    _walk(entity_id, None, (), entities, holders, rows)
    return rows


def _walk(
    entity_id: str,
    holding: Fact | None,
    above: tuple[str, ...],
    entities: Mapping[str, Fact],
    holders: Mapping[str, list[Fact]],
    rows: list[OwnershipRow],
) -> None:
    if len(rows) >= ROWS_MAX or entity_id not in entities:
        return
    rows.append(OwnershipRow(len(above), entities[entity_id], holding))
    if entity_id in above or len(above) >= DEPTH_MAX:
        return
    found = sorted(holders.get(entity_id, []), key=lambda each: -(each["capital_bp"] or 0))
    for each in found:
        _walk(each["holder_id"], each, (*above, entity_id), entities, holders, rows)
