"""What the money pages compute to show: shares of a budget, bars of a chart. Pure; amounts are decimal texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

_AMOUNT = re.compile(r"(\d{1,9})(?:[.,](\d{1,2}))?")
CHART_HEIGHT = 120
CHART_WIDTH = 640


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget beside what is spent; `percent` may exceed 100, `shown` may not."""

    amount: str
    spent: str
    percent: int
    is_hard: bool

    @property
    def shown(self) -> int:
        return min(100, self.percent)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart, in the chart's own units."""

    x: int
    y: int
    width: int
    height: int
    label: str
    quantity: str


def budget_use(budget: Mapping[str, Any], spent: str) -> BudgetUse:
    amount = str(budget["amount"])
    # Rounded down: 100 is shown only when the budget is really used up.
    percent = int(Decimal(spent) * 100 // Decimal(amount))
    return BudgetUse(amount, spent, percent, bool(budget["is_hard"]))


def parse_euros(text: str) -> str | None:
    """Read an amount as people write it in English or French, as the API takes it; None when it is none or zero."""
    compact = "".join(text.split()).replace("€", "").replace("\u202f", "").replace("\u00a0", "")
    found = _AMOUNT.fullmatch(compact)
    if found is None:
        return None
    euros = f"{int(found.group(1))}.{(found.group(2) or '').ljust(2, '0')}"
    return euros if Decimal(euros) else None


def bars(points: Sequence[tuple[str, str]]) -> tuple[Bar, ...]:
    """Lay out (label, quantity) pairs as bars; the highest fills the chart."""
    if not points:
        return ()
    amounts = [Decimal(quantity) for _, quantity in points]
    highest = max(amounts) or Decimal(1)
    step = CHART_WIDTH // len(points)
    placed = []
    for place, ((label, quantity), exact) in enumerate(zip(points, amounts, strict=True)):
        height = int(exact / highest * CHART_HEIGHT)
        if exact and not height:
            height = 1
        placed.append(
            Bar(place * step, CHART_HEIGHT - height, max(1, step * 4 // 5), height, label, quantity)
        )
    return tuple(placed)
