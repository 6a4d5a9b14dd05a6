"""Cents of a bill: its lines sum to the rounded sum of what was rated, and no line is a cent from its own amount. Pure.

Method: round each line once, then the largest remainder (docs/adr/0009).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Context, Decimal

from controlplane.rating import pricers
from controlplane.rating.domain import RatedLine, Step, StepKind


def sum_exact(lines: Iterable[RatedLine]) -> Decimal:
    return sum((line.exact_amount for line in lines), Decimal(0))


def balance_bill(lines: Sequence[RatedLine]) -> tuple[RatedLine, ...]:
    """Lines of one bill: Σ net = round(Σ exact)."""
    return balance_lines(lines, pricers.round_minor(sum_exact(lines)))


def balance_correction(lines: Sequence[RatedLine], before: Decimal) -> tuple[RatedLine, ...]:
    """Lines that correct what was billed at the exact amount `before`, so that all bills of the period together sum
    to round(Σ exact): roundings of many late events never pile up."""
    after = before + sum_exact(lines)
    return balance_lines(lines, pricers.round_minor(after) - pricers.round_minor(before))


def balance_lines(lines: Sequence[RatedLine], wanted_minor: int) -> tuple[RatedLine, ...]:
    """Give or take one cent on the lines whose rounding went furthest the other way, until they sum to `wanted_minor`.

    Shapes: each line's `net_minor` is its amount rounded half away from zero; `wanted_minor` lies between the floor
    and the ceiling of Σ exact. Then enough lines were rounded the other way, and each result is the floor or the
    ceiling of its line's amount. Ties go to the earlier line, so equal input gives equal bytes.
    """
    rounded_minor = sum(line.net_minor for line in lines)
    missing = wanted_minor - rounded_minor
    if missing == 0:
        return tuple(lines)
    sign = 1 if missing > 0 else -1
    errors = [sign * (line.net_minor - _cents(line)) for line in lines]
    chosen = set(sorted(range(len(lines)), key=lambda at: (errors[at], at))[: abs(missing)])
    assert len(chosen) == abs(missing), "there are more lines than cents to move"
    assert all(errors[at] < 0 for at in chosen), "only a rounding is undone, never an exact amount"
    return tuple(
        _move(line, sign, wanted_minor, rounded_minor) if at in chosen else line
        for at, line in enumerate(lines)
    )


def _cents(line: RatedLine) -> Decimal:
    return line.exact_amount.scaleb(2, context=Context(prec=pricers.PRECISION))


def _move(line: RatedLine, sign: int, wanted_minor: int, rounded_minor: int) -> RatedLine:
    step = Step(
        StepKind.BALANCE,
        {
            "bill_minor": str(wanted_minor),
            "lines_minor": str(rounded_minor),
            "rounded_minor": str(line.net_minor),
        },
        str(line.net_minor + sign),
    )
    return replace(line, net_minor=line.net_minor + sign, calculation=(*line.calculation, step))
