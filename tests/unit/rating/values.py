"""Prices, usage and inputs for tests of rating, with everything that does not matter filled in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import settings

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.period import Period
from controlplane.metering.domain import UsageTotal
from controlplane.rating.domain import (
    STANDARD_BOOK,
    CreditGrant,
    CreditGrantId,
    CreditKind,
    Plan,
    Price,
    PriceVersion,
    PriceVersionId,
    PricingModel,
    Sku,
    Tier,
)
from controlplane.rating.price_rules import VersionTable
from controlplane.rating.rating_rules import PlanSpan, RatingInput

# Rules have no time limit of their own: a busy machine is not a wrong sum.
unhurried = settings(deadline=None)

TENANT = TenantId.new()
PROJECT, OTHER_PROJECT = ProjectId.new(), ProjectId.new()
MONTH = Period.month(2026, 10)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
PAYG = Plan("payg", "Usage", "Usage", STANDARD_BOOK, None, Decimal(0), 0)
INPUT = Sku("tokens.input", "Jetons en entrée", "Input tokens", "input_tokens", "token", {})
MILLION = Decimal(1_000_000)
REAL = {
    "model": "smollm2-135m",
    "sku": "",
    "datacenter": "essonne-1",
    "country": "FR",
    "is_simulated": "false",
}


def graduated(*tiers: tuple[str | None, str], free: str = "0", base: str = "1") -> Price:
    return Price(
        PricingModel.GRADUATED,
        tuple(Tier(None if up_to is None else Decimal(up_to), Decimal(price)) for up_to, price in tiers),
        Decimal(base),
        Decimal(free),
    )


def per_unit(price: str, base: str = "1", free: str = "0") -> Price:
    return Price(PricingModel.PER_UNIT, (Tier(None, Decimal(price)),), Decimal(base), Decimal(free))


def version(
    price: Price,
    sku: str = INPUT.code,
    *,
    valid_from: datetime = LONG_AGO,
    valid_to: datetime | None = None,
    book: str = STANDARD_BOOK,
) -> PriceVersion:
    return PriceVersion(PriceVersionId.new(), book, sku, price, valid_from, valid_to, LONG_AGO, "test")


def table(*versions: PriceVersion) -> VersionTable:
    found: dict[tuple[str, str], list[PriceVersion]] = {}
    for each in versions:
        found.setdefault((each.book, each.sku), []).append(each)
    return found


def usage(
    quantity: str | int | Decimal,
    *,
    meter: str = "input_tokens",
    span: Period = MONTH,
    project: ProjectId = PROJECT,
    service: str = "svc_a",
    **dimensions: str,
) -> UsageTotal:
    return UsageTotal(
        tenant_id=TENANT,
        project_id=project,
        service_id=service,
        meter=meter,
        dimensions={**REAL, **dimensions},
        period_start=span.start,
        period_end=span.end,
        quantity=Decimal(quantity),
        event_count=1,
    )


def given_input(
    versions: VersionTable,
    totals: Sequence[UsageTotal],
    *,
    skus: Sequence[Sku] = (INPUT,),
    plans: Sequence[PlanSpan] = (),
    grants: Sequence[CreditGrant] = (),
    cutoff: int | None = None,
) -> RatingInput:
    return RatingInput(
        tenant_id=TENANT,
        period=MONTH,
        cutoff=cutoff,
        plans=tuple(plans) or (PlanSpan(PAYG, MONTH),),
        skus=tuple(skus),
        versions=versions,
        totals=tuple(totals),
        grants=tuple(grants),
    )


def grant(
    amount_minor: int,
    *,
    priority: int = 100,
    expires_in_days: int | None = None,
    created: datetime = LONG_AGO,
    kind: CreditKind = CreditKind.PREPAID,
    left_minor: int | None = None,
) -> CreditGrant:
    return CreditGrant(
        id=CreditGrantId.new(),
        tenant_id=TENANT,
        kind=kind,
        label="credit",
        priority=priority,
        amount_minor=amount_minor,
        left_minor=amount_minor if left_minor is None else left_minor,
        currency="EUR",
        effective_from=LONG_AGO,
        expires_at=None if expires_in_days is None else MONTH.start + timedelta(days=expires_in_days),
        created_at=created,
    )
