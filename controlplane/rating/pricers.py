"""From a stretch of a month's quantity to priced pieces. Pure: the same arguments give the same pieces.

The month's quantity of a SKU is a line from 0; usage between two edges is the stretch [start, end) of it. A price
says what each point of the line costs, so any way of cutting the stretch gives the same sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Final

from controlplane.rating.domain import Price, PricingModel, Step, StepKind
from controlplane.rating.price_rules import PRICE_DECIMALS_MAX, QUANTITY_DECIMALS

# Inputs have at most 38 digits, so products are exact below this.
PRECISION: Final = 60
AMOUNT_PLACES: Final = Decimal(1).scaleb(-18)
_QUANTITY_PLACES: Final = Decimal(1).scaleb(-QUANTITY_DECIMALS)
_PRICE_PLACES: Final = Decimal(1).scaleb(-PRICE_DECIMALS_MAX)
FREE_TIER: Final = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """What one tier (0: the free units) prices of a stretch; `start` and `end` are points of the month's line."""

    tier: int
    quantity: Decimal
    list_unit_price: Decimal
    unit_price: Decimal
    exact_amount: Decimal
    steps: tuple[Step, ...]


def floor_quantity(metered: Decimal) -> Decimal:
    """Cut a month's metered quantity to the decimals of an invoice, in the tenant's favour."""
    return metered.quantize(_QUANTITY_PLACES, rounding=ROUND_DOWN, context=Context(prec=PRECISION))


def discount_price(list_price: Decimal, percent: Decimal) -> Decimal:
    """The contracted unit price: a price has six decimals, so the discount is rounded where it is formed."""
    with localcontext(Context(prec=PRECISION)):
        return (list_price * (100 - percent) / 100).quantize(_PRICE_PLACES, rounding=ROUND_HALF_UP)


def amount_of(quantity: Decimal, unit_price: Decimal, base_quantity: Decimal) -> Decimal:
    """quantity × unit price ÷ base quantity, kept to 18 decimals."""
    with localcontext(Context(prec=PRECISION)):
        return (quantity * unit_price / base_quantity).quantize(AMOUNT_PLACES, rounding=ROUND_HALF_UP)


def price_stretch(price: Price, start: Decimal, end: Decimal, discount_percent: Decimal) -> list[Piece]:
    """Price the stretch [start, end) of a month's quantity: free units first, then each tier its own units.

    Shapes: 0 ≤ start ≤ end, both with at most 4 decimals; pieces ascend by tier and have quantity above zero.
    Errors: none; `check_price` admitted the price.
    """
    assert Decimal(0) <= start <= end, "a stretch runs forward from the month's start"
    assert price.model is not PricingModel.FLAT, "a fee is not priced by quantity"
    pieces = []
    free = price.free_quantity
    charged_start, charged_end = max(start - free, Decimal(0)), max(end - free, Decimal(0))
    free_units = (end - start) - (charged_end - charged_start)
    free_step = Step(
        StepKind.FREE,
        {"start": text(start), "end": text(end), "free_quantity": text(free)},
        text(free_units),
    )
    if free_units > 0:
        pieces.append(_piece(FREE_TIER, free_units, Decimal(0), price, Decimal(0), (free_step,)))
    lower = Decimal(0)
    for number, tier in enumerate(price.tiers, start=1):
        upper = charged_end if tier.up_to is None else tier.up_to
        quantity = max(min(charged_end, upper) - max(charged_start, lower), Decimal(0))
        if quantity > 0:
            step = Step(
                StepKind.TIER,
                {
                    "start": text(charged_start),
                    "end": text(charged_end),
                    "lower": text(lower),
                    "upper": "" if tier.up_to is None else text(tier.up_to),
                },
                text(quantity),
            )
            pieces.append(
                _piece(number, quantity, tier.unit_price, price, discount_percent, (free_step, step))
            )
        lower = upper
    return pieces


def _piece(
    tier: int, quantity: Decimal, list_price: Decimal, price: Price, percent: Decimal, steps: tuple[Step, ...]
) -> Piece:
    unit_price = discount_price(list_price, percent)
    amount = amount_of(quantity, unit_price, price.base_quantity)
    after = (
        Step(
            StepKind.DISCOUNT,
            {"list_unit_price": text(list_price), "percent": text(percent)},
            text(unit_price),
        ),
        amount_step(quantity, unit_price, price.base_quantity, amount),
    )
    return Piece(tier, quantity, list_price, unit_price, amount, (*steps, *after))


def amount_step(quantity: Decimal, unit_price: Decimal, base: Decimal, amount: Decimal) -> Step:
    inputs = {"quantity": text(quantity), "unit_price": text(unit_price), "base_quantity": text(base)}
    return Step(StepKind.AMOUNT, inputs, text(amount))


def prorate(part_seconds: int, whole_seconds: int) -> Decimal:
    """The part of a month that a fee is due for, to four decimals."""
    assert 0 <= part_seconds <= whole_seconds, "a part is not larger than its whole"
    with localcontext(Context(prec=PRECISION)):
        return (Decimal(part_seconds) / whole_seconds).quantize(_QUANTITY_PLACES, rounding=ROUND_HALF_UP)


def apportion(total: Decimal, weights: Sequence[Decimal], places: Decimal) -> list[Decimal]:
    """Split `total` by weights into parts of `places` that sum to it exactly: the last remainder to the largest.

    Shapes: weights not negative with a sum above zero; `total` a multiple of `places`, may be negative.
    """
    with localcontext(Context(prec=PRECISION)):
        whole = sum(weights, Decimal(0))
        assert whole > 0, "something has a weight"
        parts = [(total * weight / whole).quantize(places, rounding=ROUND_DOWN) for weight in weights]
        largest = max(range(len(weights)), key=lambda index: (weights[index], -index))
        parts[largest] += total - sum(parts, Decimal(0))
    assert sum(parts, Decimal(0)) == total, "nothing is lost in a split"
    return parts


def text(value: Decimal) -> str:
    """Write a decimal without an exponent and without idle zeros, so that equal values are equal texts."""
    written = format(value, "f")
    return (written.rstrip("0").rstrip(".") or "0") if "." in written else written


def replay(step: Step) -> str:
    """Compute a step's result again from its inputs.

    Errors: KeyError when an input is missing. Source of each rule: the function that made the step.
    """
    return _REPLAYS[step.kind]({name: Decimal(value) for name, value in step.inputs.items() if value})


def _replay_free(given: Mapping[str, Decimal]) -> str:
    free, start, end = given["free_quantity"], given["start"], given["end"]
    return text(min(end, free) - min(start, free))


def _replay_tier(given: Mapping[str, Decimal]) -> str:
    upper = min(given["end"], given.get("upper", given["end"]))
    return text(upper - max(given["start"], given["lower"]))


def _replay_prorate(given: Mapping[str, Decimal]) -> str:
    whole = int(given["whole_seconds"])
    return text(prorate(int(given["end_seconds"]), whole) - prorate(int(given["start_seconds"]), whole))


def _replay_balance(given: Mapping[str, Decimal]) -> str:
    return text(given["rounded_minor"] + (1 if given["bill_minor"] > given["lines_minor"] else -1))


def round_minor(amount: Decimal) -> int:
    """Cents, half away from zero: the one rounding of a line."""
    return int(amount.scaleb(2, context=Context(prec=PRECISION)).quantize(Decimal(1), rounding=ROUND_HALF_UP))


_REPLAYS: Final[Mapping[StepKind, Callable[[Mapping[str, Decimal]], str]]] = {
    StepKind.CONVERT: lambda given: text(floor_quantity(given["metered"])),
    StepKind.FREE: _replay_free,
    StepKind.TIER: _replay_tier,
    StepKind.PRORATE: _replay_prorate,
    StepKind.DISCOUNT: lambda given: text(discount_price(given["list_unit_price"], given["percent"])),
    StepKind.AMOUNT: lambda given: text(
        amount_of(given["quantity"], given["unit_price"], given["base_quantity"])
    ),
    StepKind.TRUE_UP: lambda given: text((given["minimum_minor"] - given["net_minor"]).scaleb(-2)),
    StepKind.CORRECT: lambda given: text(given["now"] - given["before"]),
    StepKind.ROUND: lambda given: str(round_minor(given["exact_amount"])),
    StepKind.BALANCE: _replay_balance,
}
