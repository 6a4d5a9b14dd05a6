"""Use cases of rating: what a period costs, what it would cost, and what of it was billed.

`rate_period` is the one way to an amount: live cost, preview, budget and invoice call it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from controlplane.kernel.errors import Conflict, NotFound
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.metering import service as metering
from controlplane.metering.domain import BatchId, Granularity, UsageTotal
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating import repository
from controlplane.rating.domain import STANDARD_BOOK, RatedPeriod
from controlplane.rating.line_rules import correct
from controlplane.rating.rating_rules import (
    PlanSpan,
    RatingInput,
    hash_correction,
    list_plan_spans,
    list_slices,
    rate,
)
from controlplane.rating.service_prices import default_plan

# Usage is accepted for 35 days, so that two periods can change; the rest is for amendments.
CORRECTED_PERIODS_MAX = 12
WISHED_USAGE_MAX = 100


@dataclass(frozen=True, slots=True)
class WishedUsage:
    """Usage that a preview is asked about."""

    meter: str
    quantity: Decimal
    dimensions: dict[str, str] = field(default_factory=dict)


def rate_period(uow: UnitOfWork, tenant_id: TenantId, period: Period, cutoff: BatchId | None) -> RatedPeriod:
    """Price a tenant's period by the usage up to `cutoff` (None: all that has come so far).

    Reads only; repeated, it gives the same until usage, prices, plan or credits change. A result with `problems`
    must not be issued. What is issued is booked by `book_period` in the same transaction.
    """
    return rate(_gather(uow, tenant_id, period, cutoff))


def preview(
    uow: UnitOfWork,
    tenant_id: TenantId,
    period: Period,
    *,
    plan_code: str | None,
    usage: Sequence[WishedUsage] | None,
) -> RatedPeriod:
    """What the period would cost by another plan, or by other usage. NotFound for an unknown plan."""
    given = _gather(uow, tenant_id, period, None, plan_code=plan_code)
    if usage is not None:
        given = replace(given, totals=tuple(_wish(tenant_id, period, wish) for wish in usage))
    return rate(given)


def _wish(tenant_id: TenantId, period: Period, wish: WishedUsage) -> UsageTotal:
    return UsageTotal(
        tenant_id=tenant_id,
        project_id=None,
        service_id="",
        meter=wish.meter,
        dimensions=wish.dimensions,
        period_start=period.start,
        period_end=period.end,
        quantity=wish.quantity,
        event_count=0,
    )


def _gather(
    uow: UnitOfWork,
    tenant_id: TenantId,
    period: Period,
    cutoff: BatchId | None,
    *,
    plan_code: str | None = None,
) -> RatingInput:
    plans = _plan_spans(uow, tenant_id, period, plan_code)
    books = {STANDARD_BOOK, *(part.plan.book for part in plans)}
    versions = repository.by_book_and_sku(repository.list_versions(uow, books=books))
    totals = [
        total
        for part in list_slices(period, plans, versions)
        for total in metering.list_totals(uow, tenant_id, part, cutoff, granularity=Granularity.TOTAL)
    ]
    return RatingInput(
        tenant_id=tenant_id,
        period=period,
        cutoff=cutoff,
        plans=plans,
        skus=tuple(repository.list_skus(uow)),
        versions=versions,
        totals=tuple(totals),
        grants=tuple(repository.list_grants(uow, tenant_id)),
    )


def _plan_spans(
    uow: UnitOfWork, tenant_id: TenantId, period: Period, wished: str | None
) -> tuple[PlanSpan, ...]:
    plans = repository.list_plans(uow)
    if wished is not None:
        if wished not in plans:
            raise NotFound(f"There is no plan '{wished}'.")
        return (PlanSpan(plans[wished], period),)
    had = [(start, plans[code]) for start, code in repository.list_tenant_plans(uow, tenant_id)]
    return list_plan_spans(period, had, default_plan(uow))


def rate_corrections(
    uow: UnitOfWork, tenant_id: TenantId, cutoff: BatchId, *, periods: Collection[Period] | None = None
) -> tuple[RatedPeriod, ...]:
    """What earlier periods come to now, less what was billed for them: one for each that differs.

    `periods` are those to look at, whether they were billed or not (a period closed without an invoice comes to all
    that has come for it since); None: those that were billed.

    `cutoff` is that of a freeze: what came later is for the next time, but what a bill of the period looked at
    already is not taken back, even where an older document is tried again. The whole period is rated again by the
    prices and plan of its own time. Credits do not pay corrections; negative ones are for a credit note.
    """
    found = []
    booked_periods = repository.list_booked_periods(uow, tenant_id)
    wanted = sorted(booked_periods if periods is None else periods, key=lambda period: period.start)
    cutoffs = repository.list_seen_cutoffs(uow, tenant_id)
    for period in wanted[-CORRECTED_PERIODS_MAX:]:
        seen = cutoffs.get(period.start, 0)
        now = rate(replace(_gather(uow, tenant_id, period, BatchId(max(cutoff, seen))), grants=()))
        booked = repository.list_booked_lines(uow, tenant_id, period)
        lines = correct(now.lines, booked)
        if lines or now.problems:
            found.append(
                replace(now, lines=lines, credits=(), rating_hash=hash_correction(now.rating_hash, booked))
            )
    return tuple(found)


def book_period(uow: UnitOfWork, rated: RatedPeriod) -> None:
    """Keep what was billed (platform transaction, with the invoice's issue); the same rating again changes nothing.

    Errors: Conflict with problems left, when the period was billed by another rating, or when a credit that it
    uses was spent meanwhile: rate it again.
    """
    if rated.problems:
        raise Conflict(f"The period cannot be billed: {rated.problems[0].message}")
    repository.lock_booking(uow, rated.tenant_id)
    if repository.find_booked(uow, rated.tenant_id, rated.rating_hash) is not None:
        return
    is_correction = bool(rated.lines) and all(line.is_correction for line in rated.lines)
    if not is_correction and rated.period in repository.list_booked_periods(uow, rated.tenant_id):
        raise Conflict("The period was billed already: what came later is a correction.")
    left = {grant.id: grant.left_minor for grant in repository.list_grants(uow, rated.tenant_id)}
    if any(use.amount_minor > left.get(use.grant_id, 0) for use in rated.credits):
        raise Conflict("A credit that pays this period was spent meanwhile: rate the period again.")
    repository.add_booked(uow, rated, is_correction=is_correction)
