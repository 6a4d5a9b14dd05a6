"""Wire shapes of prices, plans and credits. Decimals travel as texts, so that no reader makes a float of them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from controlplane.kernel.clock import require_utc
from controlplane.kernel.errors import FieldProblem, InvalidInput
from controlplane.plumbing.amounts import AmountText, PositiveAmountText, exact_text, minor_of, text_of
from controlplane.plumbing.web import WireModel
from controlplane.rating.domain import (
    CreditGrant,
    CreditKind,
    Plan,
    Price,
    PriceVersion,
    PricingModel,
    Sku,
    TenantPlan,
    Tier,
)
from controlplane.rating.pricers import text

Code = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$")]
SkuCode = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$",
        description="Code of a SKU.",
        examples=["tokens.input"],
    ),
]
# Up to 24 digits before and 12 after the point: what the columns hold, and no exponent, sign or NaN.
DecimalText = Annotated[str, StringConstraints(pattern=r"^\d{1,24}(\.\d{1,12})?$")]
Title = Annotated[str, Field(min_length=1, max_length=200)]


def parse_utc(name: str, value: datetime | None) -> datetime | None:
    """Read an instant that must be written in UTC; InvalidInput names the field."""
    if value is None:
        return None
    try:
        return require_utc(value)
    except ValueError as err:
        raise InvalidInput(
            "An instant is written in UTC.", fields=(FieldProblem(name, "is not UTC"),)
        ) from err


class SkuShape(WireModel):
    code: SkuCode
    description_fr: Title = Field(description="As an invoice names it.", examples=["Jetons en entrée"])
    description_en: Title = Field(description="The same in English.", examples=["Input tokens"])
    meter: str | None = Field(
        max_length=40, description="The meter it prices; null for a fee.", examples=["input_tokens"]
    )
    unit: str = Field(min_length=1, max_length=20, description="What is counted.", examples=["token"])
    matches: dict[str, Annotated[str, Field(max_length=200)]] = Field(
        default_factory=dict,
        max_length=10,
        description="Dimensions that the usage must have; of several SKUs that fit, the one with most wins.",
        examples=[{"model": "smollm2-135m"}],
    )

    @classmethod
    def of(cls, sku: Sku) -> SkuShape:
        return cls(
            code=sku.code,
            description_fr=sku.description_fr,
            description_en=sku.description_en,
            meter=sku.meter,
            unit=sku.unit,
            matches=dict(sku.matches),
        )

    def to_domain(self) -> Sku:
        return Sku(self.code, self.description_fr, self.description_en, self.meter, self.unit, self.matches)


class SkuAnswer(WireModel):
    sku: SkuShape


class SkuList(WireModel):
    skus: list[SkuShape]


class TierShape(WireModel):
    up_to: DecimalText | None = Field(
        default=None, description="Upper bound of the tier; null for the last one.", examples=["1000000"]
    )
    unit_price: DecimalText = Field(
        description="In EUR, for each `base_quantity` units; at most 6 decimals.", examples=["0.20"]
    )


class PriceVersionCreate(WireModel):
    book: Code = Field(default="standard", description="Price book.", examples=["standard"])
    sku: SkuCode
    model: PricingModel = Field(description="How a quantity is priced.", examples=["PER_UNIT"])
    base_quantity: DecimalText = Field(
        default="1", description="For how many units the price is (EN 16931 BT-149).", examples=["1000000"]
    )
    free_quantity: DecimalText = Field(
        default="0", description="Units of a month that cost nothing.", examples=["0"]
    )
    tiers: list[TierShape] = Field(
        min_length=1, max_length=32, description="Ascending; the last is open-ended."
    )
    valid_from: AwareDatetime = Field(
        description="From when it is in force: a full hour, UTC.", examples=["2026-12-01T00:00:00Z"]
    )
    valid_to: AwareDatetime | None = Field(
        default=None, description="When it ends; null: when the next version begins.", examples=[None]
    )

    def to_price(self) -> Price:
        tiers = tuple(
            Tier(None if tier.up_to is None else Decimal(tier.up_to), Decimal(tier.unit_price))
            for tier in self.tiers
        )
        return Price(self.model, tiers, Decimal(self.base_quantity), Decimal(self.free_quantity))


class PriceVersionShape(WireModel):
    id: str = Field(description="Id of the version.", examples=["prv_01kat7f0g3e8v9n4b2m5c6x7z8"])
    book: str = Field(description="Price book.")
    sku: str = Field(description="Code of the SKU.")
    model: PricingModel = Field(description="How a quantity is priced.")
    currency: str = Field(description="ISO 4217.", examples=["EUR"])
    base_quantity: str = Field(description="For how many units the price is.")
    free_quantity: str = Field(description="Units of a month that cost nothing.")
    tiers: list[TierShape] = Field(description="Ascending.")
    valid_from: datetime = Field(description="From when it is in force.")
    valid_to: datetime | None = Field(description="When it ends; null: when the next version begins.")
    created_at: datetime = Field(description="When it was added.")
    created_by: str = Field(description="Who added it.")

    @classmethod
    def of(cls, version: PriceVersion) -> PriceVersionShape:
        price = version.price
        return cls(
            id=str(version.id),
            book=version.book,
            sku=version.sku,
            model=price.model,
            currency=price.currency,
            base_quantity=text(price.base_quantity),
            free_quantity=text(price.free_quantity),
            tiers=[
                TierShape(
                    up_to=None if tier.up_to is None else text(tier.up_to),
                    unit_price=exact_text(tier.unit_price),
                )
                for tier in price.tiers
            ],
            valid_from=version.valid_from,
            valid_to=version.valid_to,
            created_at=version.created_at,
            created_by=version.created_by,
        )


class PriceVersionAnswer(WireModel):
    price_version: PriceVersionShape


class PriceVersionList(WireModel):
    price_versions: list[PriceVersionShape]
    limit: int = Field(description="How many a page holds.", examples=[50])
    has_next: bool = Field(description="There are more.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class PlanShape(WireModel):
    code: Code = Field(description="Short name, unique.", examples=["pro"])
    title_fr: Title = Field(description="As an invoice names it.", examples=["Pro"])
    title_en: Title = Field(description="The same in English.", examples=["Pro"])
    book: Code = Field(
        default="standard",
        description="Price book; what it lacks comes from 'standard'.",
        examples=["standard"],
    )
    fee_sku: SkuCode | None = Field(default=None, description="SKU of the monthly fee.", examples=[None])
    discount_percent: DecimalText = Field(
        default="0", description="Off every usage price, in percent.", examples=["10"]
    )
    minimum: AmountText = Field(default="0.00", description="Least spend a month.", examples=["0.00"])
    currency: Literal["EUR"] = Field(
        default="EUR", description="ISO 4217, of every amount here.", examples=["EUR"]
    )

    @classmethod
    def of(cls, plan: Plan) -> PlanShape:
        return cls(
            code=plan.code,
            title_fr=plan.title_fr,
            title_en=plan.title_en,
            book=plan.book,
            fee_sku=plan.fee_sku,
            discount_percent=text(plan.discount_percent),
            minimum=text_of(plan.minimum_minor),
        )

    def to_domain(self) -> Plan:
        percent = Decimal(self.discount_percent)
        if percent > 100 or percent != round(percent, 2):
            problem = FieldProblem("discount_percent", "lies between 0 and 100 with at most 2 decimals")
            raise InvalidInput("The discount is not possible.", fields=(problem,))
        return Plan(
            self.code, self.title_fr, self.title_en, self.book, self.fee_sku, percent, minor_of(self.minimum)
        )


class PlanAnswer(WireModel):
    plan: PlanShape


class PlanList(WireModel):
    plans: list[PlanShape]


class TenantPlanSet(WireModel):
    plan: Code = Field(description="Code of the plan.", examples=["payg"])
    valid_from: AwareDatetime | None = Field(
        default=None,
        description="A full hour, UTC; null: the running month for a first plan, else the next full hour.",
        examples=[None],
    )


class TenantPlanShape(WireModel):
    organization_id: str = Field(description="The organization.")
    plan: PlanShape = Field(description="The plan.")
    valid_from: datetime = Field(description="From when it is in force.")

    @classmethod
    def of(cls, given: TenantPlan) -> TenantPlanShape:
        return cls(
            organization_id=str(given.tenant_id), plan=PlanShape.of(given.plan), valid_from=given.valid_from
        )


class TenantPlanAnswer(WireModel):
    tenant_plan: TenantPlanShape


class CreditCreate(WireModel):
    kind: CreditKind = Field(
        default=CreditKind.PROMOTIONAL,
        description="Given. PREPAID credit is refused here: a deposit invoice makes it once it is paid.",
        examples=["PROMOTIONAL"],
    )
    label: Title = Field(description="What it is for.", examples=["Welcome credit"])
    amount: PositiveAmountText = Field(description="How much, in EUR.", examples=["50.00"])
    priority: int = Field(default=100, ge=0, le=1000, description="Lowest first.", examples=[100])
    effective_from: AwareDatetime | None = Field(default=None, description="null: now.", examples=[None])
    expires_at: AwareDatetime | None = Field(
        default=None,
        description="When it ends; a promotional one within a year.",
        examples=["2027-06-01T00:00:00Z"],
    )


class CreditShape(WireModel):
    id: str = Field(description="Id of the grant.")
    kind: CreditKind = Field(description="Paid for in advance, or given.")
    label: str = Field(description="What it is for.")
    priority: int = Field(description="Lowest first.")
    amount: str = Field(description="What was granted.", examples=["50.00"])
    left: str = Field(description="What invoices have not used.", examples=["12.34"])
    currency: str = Field(description="ISO 4217, of every amount here.", examples=["EUR"])
    effective_from: datetime = Field(description="It pays for the whole of each month in which it is good.")
    expires_at: datetime | None = Field(description="When it ends; the month in which it ends is paid whole.")
    created_at: datetime = Field(description="When it was granted.")

    @classmethod
    def of(cls, grant: CreditGrant) -> CreditShape:
        return cls(
            id=str(grant.id),
            kind=grant.kind,
            label=grant.label,
            priority=grant.priority,
            amount=text_of(grant.amount_minor),
            left=text_of(grant.left_minor),
            currency=grant.currency,
            effective_from=grant.effective_from,
            expires_at=grant.expires_at,
            created_at=grant.created_at,
        )


class CreditAnswer(WireModel):
    credit: CreditShape


class CreditList(WireModel):
    credits: list[CreditShape]
