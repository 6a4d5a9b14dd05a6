"""Rated lines from priced pieces, and the lines of a correction. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

from controlplane.kernel.period import Period
from controlplane.rating import pricers
from controlplane.rating.domain import Plan, PriceVersion, RatedLine, Share, Sku, Step, StepKind
from controlplane.rating.rounding_rules import balance_bill, balance_correction, sum_exact

TRUE_UP_SKU: Final = "plan.minimum"
FEE_UNIT: Final = "month"
ONE_UNIT: Final = "one"
_QUANTITY_PLACES: Final = Decimal("0.0001")

LineKey = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True)
class Weight:
    """What one service metered of a stretch."""

    project_id: str
    service_id: str
    quantity: Decimal


def round_step(exact: Decimal, net_minor: int) -> Step:
    return Step(StepKind.ROUND, {"exact_amount": pricers.text(exact)}, str(net_minor))


def make_lines(
    period: Period,
    sku: Sku,
    version: PriceVersion,
    steps: tuple[Step, ...],
    pieces: Sequence[pricers.Piece],
    weights: Sequence[Weight],
) -> list[RatedLine]:
    """One line for each piece; services share it by what they metered, since tiers fill up for all together."""
    return [_make_line(period, sku, version, steps, piece, weights) for piece in pieces]


def _make_line(
    period: Period,
    sku: Sku,
    version: PriceVersion,
    steps: tuple[Step, ...],
    piece: pricers.Piece,
    weights: Sequence[Weight],
) -> RatedLine:
    french, english = _tier_words(version, piece.tier)
    net_minor = pricers.round_minor(piece.exact_amount)
    projects = {weight.project_id for weight in weights}
    services = {weight.service_id for weight in weights}
    return RatedLine(
        sku=sku.code,
        description_fr=sku.description_fr + french,
        description_en=sku.description_en + english,
        quantity=piece.quantity,
        unit=sku.unit,
        price_base_quantity=version.price.base_quantity,
        unit_price=piece.unit_price,
        list_unit_price=piece.list_unit_price,
        exact_amount=piece.exact_amount,
        net_minor=net_minor,
        currency=version.price.currency,
        charge_period=period,
        calculation=(*steps, *piece.steps, round_step(piece.exact_amount, net_minor)),
        price_version_id=version.id,
        tier=piece.tier,
        project_id=projects.pop() if len(projects) == 1 else None,
        service_id=services.pop() if len(services) == 1 else None,
        shares=_share(piece, weights),
    )


def _share(piece: pricers.Piece, weights: Sequence[Weight]) -> tuple[Share, ...]:
    parts = [weight.quantity for weight in weights]
    quantities = pricers.apportion(piece.quantity, parts, _QUANTITY_PLACES)
    amounts = pricers.apportion(piece.exact_amount, parts, pricers.AMOUNT_PLACES)
    return tuple(
        Share(weight.project_id or None, weight.service_id or None, quantity, amount)
        for weight, quantity, amount in zip(weights, quantities, amounts, strict=True)
    )


def _tier_words(version: PriceVersion, tier: int) -> tuple[str, str]:
    if tier == pricers.FREE_TIER:
        return " (inclus)", " (included)"
    if len(version.price.tiers) == 1:
        return "", ""
    return f" (tranche {tier})", f" (tier {tier})"


def make_fee_line(period: Period, span: Period, sku: Sku, version: PriceVersion) -> RatedLine:
    """A plan's monthly fee for the part of the month in which the tenant has the plan."""
    whole, start, end = (
        _seconds(part) for part in (period.duration, span.start - period.start, span.end - period.start)
    )
    quantity = pricers.prorate(end, whole) - pricers.prorate(start, whole)
    unit_price = version.price.tiers[0].unit_price
    exact = pricers.amount_of(quantity, unit_price, Decimal(1))
    net_minor = pricers.round_minor(exact)
    prorate = Step(
        StepKind.PRORATE,
        {"start_seconds": str(start), "end_seconds": str(end), "whole_seconds": str(whole)},
        pricers.text(quantity),
    )
    amount = pricers.amount_step(quantity, unit_price, Decimal(1), exact)
    return RatedLine(
        sku=sku.code,
        description_fr=sku.description_fr,
        description_en=sku.description_en,
        quantity=quantity,
        unit=FEE_UNIT,
        price_base_quantity=Decimal(1),
        unit_price=unit_price,
        list_unit_price=unit_price,
        exact_amount=exact,
        net_minor=net_minor,
        currency=version.price.currency,
        charge_period=span,
        calculation=(prorate, amount, round_step(exact, net_minor)),
        price_version_id=version.id,
    )


def make_true_up(period: Period, plan: Plan, span: Period, lines: Sequence[RatedLine]) -> RatedLine | None:
    """What is missing to the least spend of the plan at the period's end, due for its part of the month."""
    part = pricers.prorate(_seconds(span.duration), _seconds(period.duration))
    minimum = pricers.round_minor(Decimal(plan.minimum_minor).scaleb(-2) * part)
    net_minor = sum(line.net_minor for line in lines)
    missing = minimum - net_minor
    if missing <= 0:
        return None
    price = Decimal(missing).scaleb(-2)
    step = Step(
        StepKind.TRUE_UP,
        {"minimum_minor": str(minimum), "net_minor": str(net_minor)},
        pricers.text(price),
    )
    return RatedLine(
        sku=TRUE_UP_SKU,
        description_fr="Complément au minimum mensuel du plan",
        description_en="Top-up to the plan's monthly minimum",
        quantity=Decimal(1),
        unit=ONE_UNIT,
        price_base_quantity=Decimal(1),
        unit_price=price,
        list_unit_price=price,
        exact_amount=price,
        net_minor=missing,
        currency="EUR",
        charge_period=period,
        calculation=(step, round_step(price, missing)),
        price_version_id=None,
    )


def _seconds(duration: timedelta) -> int:
    return duration // timedelta(seconds=1)


def key_of(line: RatedLine) -> LineKey:
    """What makes two lines of one period the same charge."""
    return (line.sku, str(line.price_version_id or ""), line.tier, pricers.text(line.unit_price))


def correct(now: Iterable[RatedLine], booked: Iterable[RatedLine]) -> tuple[RatedLine, ...]:
    """What a period rated again comes to, less what was booked for it: one line for each charge that differs.

    The whole period is rated again because late usage moves what lies above it in the tiers.
    exact(booked) + exact(corrections) = exact(now), and so in cents: each correction is rounded once, as every line
    is, and balanced with what was booked. A line whose quantity stays is not touched, even if its services would
    share it otherwise now.
    """
    rated, billed = _sum_by_key(now), tuple(booked)
    before = _sum_by_key(billed)
    found = (
        _difference((rated.get(key) or before[key])[0], rated.get(key), before.get(key))
        for key in sorted(rated.keys() | before.keys())
    )
    return balance_correction([line for line in found if line is not None], sum_exact(billed))


_Sums = tuple[RatedLine, Decimal, Decimal, dict[tuple[str | None, str | None], tuple[Decimal, Decimal]]]


def _sum_by_key(lines: Iterable[RatedLine]) -> Mapping[LineKey, _Sums]:
    found: dict[LineKey, _Sums] = {}
    for line in lines:
        # A top-up depends on all lines of its period; its price is its amount, so it is one charge whatever that is.
        key = (TRUE_UP_SKU, "", 0, "") if line.sku == TRUE_UP_SKU else key_of(line)
        first, quantity, amount, shares = found.get(key, (line, Decimal(0), Decimal(0), {}))
        for share in line.shares:
            at = (share.project_id, share.service_id)
            had = shares.get(at, (Decimal(0), Decimal(0)))
            shares[at] = (had[0] + share.quantity, had[1] + share.exact_amount)
        found[key] = (first, quantity + line.quantity, amount + line.exact_amount, shares)
    return found


_ZERO: Final = (Decimal(0), Decimal(0))


def _difference(line: RatedLine, now: _Sums | None, before: _Sums | None) -> RatedLine | None:
    """The line that brings what was billed to what it comes to now; None when nothing is missing."""
    had, has = ((_ZERO if sums is None else (sums[1], sums[2])) for sums in (before, now))
    quantity, amount = has[0] - had[0], has[1] - had[1]
    if quantity == 0 and amount == 0:
        return None
    if line.sku == TRUE_UP_SKU:
        # One unit of the difference: a price is never below zero, so the quantity carries the sign.
        quantity, price = Decimal(1 if amount > 0 else -1), abs(amount)
        line = replace(line, unit_price=price, list_unit_price=price)
    net_minor = pricers.round_minor(amount)
    shares = _share_differences(now, before)
    steps = tuple(
        Step(StepKind.CORRECT, {"now": pricers.text(a), "before": pricers.text(b)}, pricers.text(a - b))
        for a, b in zip(has, had, strict=True)
    )
    return replace(
        line,
        quantity=quantity,
        exact_amount=amount,
        net_minor=net_minor,
        calculation=(*steps, round_step(amount, net_minor)),
        is_correction=True,
        shares=shares,
        project_id=shares[0].project_id if len({share.project_id for share in shares}) == 1 else None,
        service_id=shares[0].service_id if len({share.service_id for share in shares}) == 1 else None,
    )


def _share_differences(now: _Sums | None, before: _Sums | None) -> tuple[Share, ...]:
    left, right = ({} if sums is None else sums[3] for sums in (now, before))
    shares = []
    for at in sorted(left.keys() | right.keys(), key=lambda pair: (pair[0] or "", pair[1] or "")):
        quantity = left.get(at, _ZERO)[0] - right.get(at, _ZERO)[0]
        amount = left.get(at, _ZERO)[1] - right.get(at, _ZERO)[1]
        if quantity or amount:
            shares.append(Share(*at, quantity, amount))
    return tuple(shares)


def only_project(lines: Iterable[RatedLine], project_id: str) -> tuple[RatedLine, ...]:
    """What one project caused of each line: a view, rounded for itself, not a line of a bill."""
    found = []
    for line in lines:
        mine = tuple(share for share in line.shares if share.project_id == project_id)
        if not mine:
            continue
        amount = sum((share.exact_amount for share in mine), Decimal(0))
        found.append(
            replace(
                line,
                quantity=sum((share.quantity for share in mine), Decimal(0)),
                exact_amount=amount,
                net_minor=pricers.round_minor(amount),
                calculation=(round_step(amount, pricers.round_minor(amount)),),
                shares=mine,
                project_id=project_id,
                service_id=mine[0].service_id if len(mine) == 1 else None,
            )
        )
    return balance_bill(found)
