"""Wire shapes of a tenant's price list."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pydantic import Field

from controlplane.metering.outcome_rules import BILLED_CALLS_EN, BILLED_CALLS_FR
from controlplane.plumbing.amounts import exact_text
from controlplane.plumbing.web import WireModel
from controlplane.rating.domain import PriceVersion, PricingModel
from controlplane.rating.pricers import discount_price, text
from controlplane.rating.schemas import TierShape
from controlplane.rating.service import ListedPrice, PriceList


class UnitPrice(WireModel):
    """A price in force over a time; the plan's discount is taken off already."""

    model: PricingModel = Field(description="How a quantity is priced.", examples=["PER_UNIT"])
    base_quantity: str = Field(description="For how many units a price is.", examples=["1000000"])
    free_quantity: str = Field(description="Units of a month that cost nothing.", examples=["0"])
    tiers: list[TierShape] = Field(description="Ascending; one tier: one price for all.")
    valid_from: datetime = Field(description="From when it is in force.", examples=["2026-01-01T00:00:00Z"])
    valid_to: datetime | None = Field(
        description="When it ends; null: until another price begins.", examples=[None]
    )

    @classmethod
    def of(cls, version: PriceVersion, discount_percent: Decimal) -> UnitPrice:
        price = version.price
        # A monthly fee is what the plan costs: the discount is off what is used.
        percent = Decimal(0) if price.model is PricingModel.FLAT else discount_percent
        tiers = [
            TierShape(
                up_to=None if tier.up_to is None else text(tier.up_to),
                unit_price=exact_text(discount_price(tier.unit_price, percent)),
            )
            for tier in price.tiers
        ]
        return cls(
            model=price.model,
            base_quantity=text(price.base_quantity),
            free_quantity=text(price.free_quantity),
            tiers=tiers,
            valid_from=version.valid_from,
            valid_to=version.valid_to,
        )


class PriceOut(WireModel):
    """What is sold, and for how much."""

    sku: str = Field(description="Code, as bills name it.", examples=["tokens.input"])
    description_fr: str = Field(description="As an invoice names it.", examples=["Jetons en entrée"])
    description_en: str = Field(description="The same in English.", examples=["Input tokens"])
    unit: str = Field(description="What is counted.", examples=["token"])
    matches: dict[str, str] = Field(
        description="What usage must be, for this price to hold for it.", examples=[{"sku": "nvidia-b300"}]
    )
    price: UnitPrice = Field(description="The price in force.")
    next_price: UnitPrice | None = Field(description="The one that is known to follow it.", examples=[None])

    @classmethod
    def of(cls, listed: ListedPrice, discount_percent: Decimal) -> PriceOut:
        return cls(
            sku=listed.sku.code,
            description_fr=listed.sku.description_fr,
            description_en=listed.sku.description_en,
            unit=listed.sku.unit,
            matches=dict(listed.sku.matches),
            price=UnitPrice.of(listed.now, discount_percent),
            next_price=None if listed.next is None else UnitPrice.of(listed.next, discount_percent),
        )


class PriceListOut(WireModel):
    """The prices of the caller's plan, before VAT."""

    plan: str = Field(description="Code of the plan.", examples=["payg"])
    plan_title_fr: str = Field(description="Its name.", examples=["Paiement à l'usage"])
    plan_title_en: str = Field(description="The same in English.", examples=["Pay as you go"])
    discount_percent: str = Field(description="Taken off the prices below already.", examples=["0"])
    minimum: str = Field(description="Least spend a month.", examples=["0.00"])
    currency: str = Field(description="ISO 4217, of every amount here.", examples=["EUR"])
    as_of: datetime = Field(description="When these prices hold.", examples=["2026-11-21T09:00:00Z"])
    prices: list[PriceOut] = Field(description="By code.")
    billed_calls_fr: str = Field(
        description="Which calls are billed, by how they ended.", examples=["Un appel est facturé si…"]
    )
    billed_calls_en: str = Field(description="The same in English.", examples=["A call is billed if…"])

    @classmethod
    def of(cls, found: PriceList) -> PriceListOut:
        plan = found.plan
        return cls(
            plan=plan.code,
            plan_title_fr=plan.title_fr,
            plan_title_en=plan.title_en,
            discount_percent=text(plan.discount_percent),
            minimum=exact_text(Decimal(plan.minimum_minor).scaleb(-2)),
            currency="EUR",
            as_of=found.at,
            prices=[PriceOut.of(listed, plan.discount_percent) for listed in found.prices],
            billed_calls_fr=BILLED_CALLS_FR,
            billed_calls_en=BILLED_CALLS_EN,
        )


class PriceListReply(WireModel):
    price_list: PriceListOut
