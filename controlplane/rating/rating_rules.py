"""From a period's usage to rated lines, credits, problems and a hash. Pure: live cost, preview and invoice are this.

Order of the steps: convert, free units, tiers, discount in percent, amount, round, balance,
true-up to the plan's least spend, credits. VAT and payment come after, in other rooms.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.metering.domain import UsageTotal
from controlplane.rating import pricers
from controlplane.rating.credit_rules import burn_credits
from controlplane.rating.domain import (
    ENGINE_VERSION,
    STANDARD_BOOK,
    CreditGrant,
    Plan,
    PriceVersion,
    PricingModel,
    ProblemReason,
    RatedLine,
    RatedPeriod,
    RatingProblem,
    Share,
    Sku,
    Step,
    StepKind,
)
from controlplane.rating.line_rules import Weight, make_fee_line, make_lines, make_true_up
from controlplane.rating.price_rules import VersionTable, find_version, list_edges, list_matching
from controlplane.rating.rounding_rules import balance_bill

# A month has 745 hours, and a price or plan changes on a full hour.
SLICES_MAX: Final = 800


@dataclass(frozen=True, slots=True)
class PlanSpan:
    """A plan and the part of the period in which the tenant has it; spans tile the period."""

    plan: Plan
    span: Period


@dataclass(frozen=True, slots=True)
class RatingInput:
    """All that a rating depends on. `totals` lie in slices that no price or plan edge cuts (`list_slices`)."""

    tenant_id: TenantId
    period: Period
    cutoff: int | None
    plans: tuple[PlanSpan, ...]
    skus: tuple[Sku, ...]
    versions: VersionTable
    totals: tuple[UsageTotal, ...]
    grants: tuple[CreditGrant, ...]


def list_plan_spans(
    period: Period, plans: Sequence[tuple[datetime, Plan]], default: Plan
) -> tuple[PlanSpan, ...]:
    """Tile a period by the plans in force in it; `plans` are (valid_from, plan)."""
    ordered = sorted(plans, key=lambda item: item[0])
    before = [plan for start, plan in ordered if start <= period.start]
    current, start = (before[-1] if before else default), period.start
    spans = []
    for begins, plan in ordered:
        if period.start < begins < period.end:
            spans.append(PlanSpan(current, Period(start, begins)))
            current, start = plan, begins
    return (*spans, PlanSpan(current, Period(start, period.end)))


def list_slices(period: Period, plans: Iterable[PlanSpan], versions: VersionTable) -> list[Period]:
    """Cut a period at every instant where a price or the plan changes."""
    edges = {span.span.start for span in plans}
    for table in versions.values():
        edges |= list_edges(table)
    inner = sorted(edge for edge in edges if period.start < edge < period.end)
    bounds = [period.start, *inner, period.end]
    assert len(bounds) <= SLICES_MAX, "edges lie on full hours of one month"
    return [Period(start, end) for start, end in itertools.pairwise(bounds)]


def rate(given: RatingInput) -> RatedPeriod:
    """Price a period. Equal inputs in any order give equal bytes."""
    stretches, problems = _collect(given)
    lines = [line for stretch in stretches for line in _rate_stretch(given, stretch)]
    lines += _rate_fees(given, problems)
    lines.sort(key=lambda line: (line.sku, line.charge_period.start, str(line.price_version_id), line.tier))
    lines = list(balance_bill(lines))
    last = given.plans[-1]
    true_up = make_true_up(given.period, last.plan, last.span, lines)
    if true_up is not None:
        lines.append(true_up)
    net_minor = sum(line.net_minor for line in lines)
    return RatedPeriod(
        tenant_id=given.tenant_id,
        period=given.period,
        cutoff=given.cutoff,
        plan_code=given.plans[-1].plan.code,
        lines=tuple(lines),
        credits=burn_credits(net_minor, given.grants, given.period),
        problems=tuple(problems),
        rating_hash=hash_input(given),
    )


@dataclass(slots=True)
class _Stretch:
    """Usage of one SKU under one price version and one discount, in the order of time."""

    sku: Sku
    version: PriceVersion
    discount_percent: Decimal
    start: Decimal
    end: Decimal
    weights: dict[tuple[str, str], Decimal]


def _collect(given: RatingInput) -> tuple[list[_Stretch], list[RatingProblem]]:
    """Lay each SKU's usage on its month's line, slice by slice."""
    problems: list[RatingProblem] = []
    stretches: list[_Stretch] = []
    reached: dict[str, Decimal] = {}
    sold = {sku.meter for sku in given.skus}
    for start in sorted({total.period_start for total in given.totals}):
        in_slice = sorted((t for t in given.totals if t.period_start == start), key=_order)
        plan = _plan_at(given, start)
        found: dict[str, _Stretch] = {}
        for total in in_slice:
            if total.meter not in sold or total.quantity == 0:
                continue
            priced = _find_price(given, plan, total, start)
            if isinstance(priced, RatingProblem):
                problems.append(priced)
                continue
            if priced is None:
                continue
            sku, version = priced
            at = reached.get(sku.code, Decimal(0))
            stretch = found.setdefault(sku.code, _Stretch(sku, version, plan.discount_percent, at, at, {}))
            stretch.end += total.quantity
            key = (str(total.project_id or ""), total.service_id)
            stretch.weights[key] = stretch.weights.get(key, Decimal(0)) + total.quantity
        for code, stretch in sorted(found.items()):
            if stretch.end < stretch.start or min(stretch.weights.values()) < 0:
                problems.append(_negative(stretch))
                continue
            reached[code] = stretch.end
            stretches.append(stretch)
    return _merge(stretches), problems


def _merge(stretches: Iterable[_Stretch]) -> list[_Stretch]:
    """Join neighbours on the line that the same version prices: an edge of another SKU's price cuts nothing."""
    merged: list[_Stretch] = []
    latest: dict[str, _Stretch] = {}
    for stretch in stretches:
        last = latest.get(stretch.sku.code)
        if (
            last is not None
            and last.version.id == stretch.version.id
            and last.discount_percent == stretch.discount_percent
        ):
            last.end = stretch.end
            for key, weight in stretch.weights.items():
                last.weights[key] = last.weights.get(key, Decimal(0)) + weight
            continue
        latest[stretch.sku.code] = stretch
        merged.append(stretch)
    return merged


def _find_price(
    given: RatingInput, plan: Plan, total: UsageTotal, at: datetime
) -> tuple[Sku, PriceVersion] | RatingProblem | None:
    """The most specific SKU that has a price then; None for simulated usage that nothing is sold for."""
    matching = list_matching(given.skus, total.meter, total.dimensions)
    for sku in matching:
        version = version_at(given.versions, plan.book, sku.code, at)
        if version is not None:
            return sku, version
    if not matching and total.dimensions.get("is_simulated") == "true":
        return None
    reason = ProblemReason.NO_PRICE if matching else ProblemReason.NO_SKU
    names = ", ".join(sku.code for sku in matching) or f"meter {total.meter}"
    return RatingProblem(
        reason,
        f"Usage since {at.isoformat()} has no price in book '{plan.book}': {names}.",
        total.meter,
        total.quantity,
        dict(sorted(total.dimensions.items())),
    )


def version_at(versions: VersionTable, book: str, sku: str, at: datetime) -> PriceVersion | None:
    """The price in the plan's book, else in the standard one."""
    for name in dict.fromkeys((book, STANDARD_BOOK)):
        version = find_version(versions.get((name, sku), ()), at)
        if version is not None:
            return version
    return None


def _negative(stretch: _Stretch) -> RatingProblem:
    return RatingProblem(
        ProblemReason.NEGATIVE_USAGE,
        f"Usage of {stretch.sku.code} is below zero in a stretch of the period.",
        stretch.sku.meter or "",
        stretch.end - stretch.start,
    )


def _rate_stretch(given: RatingInput, stretch: _Stretch) -> list[RatedLine]:
    start, end = pricers.floor_quantity(stretch.start), pricers.floor_quantity(stretch.end)
    steps = tuple(
        Step(StepKind.CONVERT, {"metered": pricers.text(metered)}, pricers.text(floored))
        for metered, floored in ((stretch.start, start), (stretch.end, end))
    )
    pieces = pricers.price_stretch(stretch.version.price, start, end, stretch.discount_percent)
    weights = [Weight(*key, quantity) for key, quantity in sorted(stretch.weights.items())]
    return make_lines(given.period, stretch.sku, stretch.version, steps, pieces, weights)


def _rate_fees(given: RatingInput, problems: list[RatingProblem]) -> list[RatedLine]:
    skus = {sku.code: sku for sku in given.skus}
    lines = []
    for part in given.plans:
        if part.plan.fee_sku is None:
            continue
        sku = skus[part.plan.fee_sku]
        version = version_at(given.versions, part.plan.book, sku.code, part.span.start)
        if version is None or version.price.model is not PricingModel.FLAT:
            problems.append(
                RatingProblem(
                    ProblemReason.NO_PRICE,
                    f"The fee {sku.code} of plan '{part.plan.code}' has no flat price.",
                    "",
                    Decimal(1),
                )
            )
            continue
        lines.append(make_fee_line(given.period, part.span, sku, version))
    return lines


def _plan_at(given: RatingInput, at: datetime) -> Plan:
    return next(part.plan for part in given.plans if at in part.span)


def _order(total: UsageTotal) -> tuple[str, ...]:
    dimensions = json.dumps(dict(total.dimensions), sort_keys=True)
    return (total.meter, str(total.project_id or ""), total.service_id, dimensions, str(total.period_end))


def hash_input(given: RatingInput) -> str:
    """SHA-256 over all that the result depends on, in one order: equal hash, equal lines."""
    content: Mapping[str, object] = {
        "engine": ENGINE_VERSION,
        "tenant": str(given.tenant_id),
        "period": [given.period.start.isoformat(), given.period.end.isoformat()],
        "cutoff": given.cutoff,
        "plans": [[_plan_text(part.plan), part.span.start.isoformat()] for part in given.plans],
        "skus": sorted([sku.code, sku.meter or "", sorted(sku.matches.items())] for sku in given.skus),
        "versions": sorted(
            [str(version.id), version.valid_from.isoformat(), _instant(version.valid_to)]
            for table in given.versions.values()
            for version in table
            if version.valid_from < given.period.end
        ),
        "totals": sorted(
            [*_order(total), total.period_start.isoformat(), pricers.text(total.quantity)]
            for total in given.totals
        ),
        "credits": sorted([str(grant.id), grant.left_minor] for grant in given.grants),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _plan_text(plan: Plan) -> str:
    parts = (
        plan.code,
        plan.book,
        plan.fee_sku or "",
        pricers.text(plan.discount_percent),
        str(plan.minimum_minor),
    )
    return "|".join(parts)


def _instant(value: datetime | None) -> str:
    return "" if value is None else value.isoformat()


def sum_by(lines: Iterable[RatedLine], name: str) -> dict[str, tuple[Decimal, Decimal]]:
    """Quantity and exact amount by `sku`, `project` or `service`; fees and true-ups belong to no service ("")."""
    found: dict[str, tuple[Decimal, Decimal]] = {}
    for line in lines:
        whole = Share(line.project_id, line.service_id, line.quantity, line.exact_amount)
        for share in line.shares or (whole,):
            key = {"sku": line.sku, "project": share.project_id or "", "service": share.service_id or ""}[
                name
            ]
            quantity, amount = found.get(key, (Decimal(0), Decimal(0)))
            found[key] = (quantity + share.quantity, amount + share.exact_amount)
    return found


def hash_correction(rating_hash: str, booked: Iterable[RatedLine]) -> str:
    """Name a correction by what the period comes to now and what was billed before it."""
    before = [
        [line.sku, str(line.price_version_id), line.tier, pricers.text(line.quantity), line.net_minor]
        for line in booked
    ]
    return hashlib.sha256(json.dumps([rating_hash, before]).encode()).hexdigest()
