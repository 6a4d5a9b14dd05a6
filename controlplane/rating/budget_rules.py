"""When a budget's thresholds are reached and whose calls are to be refused. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from controlplane.rating import pricers
from controlplane.rating.domain import BUDGET_THRESHOLDS, Budget, RatedPeriod

BUDGET_MINOR_MAX = 100_000_000_000


def cost_of(budget: Budget, rated: RatedPeriod) -> int:
    """What counts against a budget, in cents before VAT and before credits.

    The tenant's budget sees the whole bill, fees and minimum included; a project's sees what its services caused.
    """
    if budget.project_id is None:
        return rated.net_minor
    project = str(budget.project_id)
    exact = sum(
        (share.exact_amount for line in rated.lines for share in line.shares if share.project_id == project),
        Decimal(0),
    )
    return pricers.round_minor(exact)


def list_reached(cost_minor: int, amount_minor: int) -> tuple[int, ...]:
    """The thresholds, in percent, that a cost has reached."""
    return tuple(percent for percent in BUDGET_THRESHOLDS if cost_minor * 100 >= amount_minor * percent)


def is_exhausted(budget: Budget, cost_minor: int) -> bool:
    """Tell whether calls are refused: a hard budget whose amount was reached."""
    return budget.is_hard and cost_minor >= budget.amount_minor


def list_exhausted(costs: Iterable[tuple[Budget, int]]) -> list[Budget]:
    """Budgets that close the gateway, in a fixed order."""
    found = [budget for budget, cost_minor in costs if is_exhausted(budget, cost_minor)]
    return sorted(found, key=lambda budget: (str(budget.tenant_id), str(budget.project_id or "")))
