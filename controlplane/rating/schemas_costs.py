"""Wire shapes of costs and budgets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from controlplane.plumbing.amounts import CURRENCY, PositiveAmountText, exact_text, text_of
from controlplane.plumbing.web import WireModel
from controlplane.rating import pricers
from controlplane.rating.domain import Budget, BudgetAlert, RatedLine, RatedPeriod, Step, StepKind
from controlplane.rating.rating_rules import sum_by
from controlplane.rating.schemas import Code, DecimalText
from controlplane.rating.service_rate import WISHED_USAGE_MAX, WishedUsage


class CostGroup(StrEnum):
    """What costs can be grouped by."""

    SKU = "sku"
    PROJECT = "project"
    SERVICE = "service"


class StepShape(WireModel):
    kind: str = Field(description="What the step does.")
    inputs: dict[str, str] = Field(description="Decimal texts.")
    result: str = Field(description="Decimal text; an amount is in major units.")

    @classmethod
    def of(cls, step: Step) -> StepShape:
        is_rounding = step.kind is StepKind.ROUND
        result = text_of(int(step.result)) if is_rounding else step.result
        return cls(kind=step.kind.value, inputs=dict(step.inputs), result=result)


class CostLineShape(WireModel):
    sku: str = Field(description="Code of the SKU.")
    description_fr: str = Field(description="As the invoice says it.")
    description_en: str = Field(description="The same in English.")
    quantity: str = Field(description="In `unit`.")
    unit: str = Field(description="What is counted.")
    unit_price: str = Field(description="For each `price_base_quantity` units, discount taken off.")
    list_unit_price: str = Field(description="The same before the discount.")
    price_base_quantity: str = Field(description="For how many units the price is.")
    exact_amount: str = Field(description="The same, unrounded.")
    net: str = Field(description="Before VAT, in whole cents.", examples=["0.43"])
    price_version_id: str | None = Field(description="The price that was used.")
    tier: int = Field(description="0 for free units.")
    calculation: list[StepShape] = Field(description="Steps that lead to `net`, each replayable.")

    @classmethod
    def of(cls, line: RatedLine) -> CostLineShape:
        return cls(
            sku=line.sku,
            description_fr=line.description_fr,
            description_en=line.description_en,
            quantity=pricers.text(line.quantity),
            unit=line.unit,
            unit_price=exact_text(line.unit_price),
            list_unit_price=exact_text(line.list_unit_price),
            price_base_quantity=pricers.text(line.price_base_quantity),
            exact_amount=exact_text(line.exact_amount),
            net=text_of(line.net_minor),
            price_version_id=None if line.price_version_id is None else str(line.price_version_id),
            tier=line.tier,
            calculation=[StepShape.of(step) for step in line.calculation],
        )


class CostGroupShape(WireModel):
    key: str = Field(
        description="The SKU, project or service; empty for what belongs to none (fees, minimum)."
    )
    exact_amount: str = Field(description="What it costs, unrounded.")
    amount: str = Field(description="The same in whole cents, for display; the lines are what is billed.")


class CostProblemShape(WireModel):
    reason: str = Field(description="Why it has no price.")
    message: str = Field(description="The same as a sentence.")
    meter: str = Field(description="Which meter.")
    quantity: str = Field(description="How much of it.")


class CostShape(WireModel):
    period_start: datetime = Field(description="Start of the Paris month.")
    period_end: datetime = Field(description="Its end, which is not part of it.")
    as_of: datetime = Field(description="When this was computed.")
    currency: str = Field(description="ISO 4217, of every amount here.", examples=["EUR"])
    plan: str = Field(description="The plan at the period's end.")
    net: str = Field(description="Sum of the lines, before VAT.", examples=["12.50"])
    credit: str = Field(description="What credits would pay of it.", examples=["5.00"])
    due: str = Field(description="What is left, before VAT.", examples=["7.50"])
    lines: list[CostLineShape] = Field(description="As the invoice would have them now.")
    groups: list[CostGroupShape] = Field(description="The same by what was asked for.")
    problems: list[CostProblemShape] = Field(
        description="Usage without a price: no invoice is issued with any."
    )
    rating_hash: str = Field(description="Equal hashes mean equal lines.")

    @classmethod
    def of(cls, rated: RatedPeriod, group_by: CostGroup, as_of: datetime) -> CostShape:
        return cls(
            period_start=rated.period.start,
            period_end=rated.period.end,
            as_of=as_of,
            currency=CURRENCY,
            plan=rated.plan_code,
            net=text_of(rated.net_minor),
            credit=text_of(rated.credit_minor),
            due=text_of(rated.due_minor),
            lines=[CostLineShape.of(line) for line in rated.lines],
            groups=_groups(sum_by(rated.lines, group_by.value)),
            problems=[
                CostProblemShape(
                    reason=problem.reason.value,
                    message=problem.message,
                    meter=problem.meter,
                    quantity=pricers.text(problem.quantity),
                )
                for problem in rated.problems
            ],
            rating_hash=rated.rating_hash,
        )


def _groups(sums: Mapping[str, tuple[Decimal, Decimal]]) -> list[CostGroupShape]:
    return [
        CostGroupShape(key=key, exact_amount=exact_text(amount), amount=text_of(pricers.round_minor(amount)))
        for key, (_, amount) in sorted(sums.items())
    ]


class CostAnswer(WireModel):
    cost: CostShape


class WishedUsageShape(WireModel):
    meter: str = Field(min_length=1, max_length=40, description="The meter.", examples=["input_tokens"])
    quantity: DecimalText = Field(description="In the meter's unit.", examples=["1000000"])
    dimensions: dict[str, Annotated[str, Field(max_length=200)]] = Field(
        default_factory=dict, max_length=10, description="Model, sku, datacenter, country.", examples=[{}]
    )

    def to_domain(self) -> WishedUsage:
        return WishedUsage(self.meter, Decimal(self.quantity), dict(self.dimensions))


class CostPreview(WireModel):
    plan: Code | None = Field(
        default=None, description="Another plan; null: the present one.", examples=[None]
    )
    usage: list[WishedUsageShape] | None = Field(
        default=None,
        max_length=WISHED_USAGE_MAX,
        description="Other usage of the month; null: what was used so far.",
    )


class BudgetSet(WireModel):
    project_id: str | None = Field(
        default=None, max_length=64, description="A project; null: the whole organization.", examples=[None]
    )
    amount: PositiveAmountText = Field(description="A month, in EUR, before VAT.", examples=["500.00"])
    is_hard: bool = Field(default=True, description="Refuse calls once it is reached.", examples=[True])


class BudgetShape(WireModel):
    project_id: str | None = Field(description="The project; null: the whole organization.")
    amount: str = Field(description="A month, before VAT.", examples=["500.00"])
    currency: str = Field(description="ISO 4217.", examples=["EUR"])
    is_hard: bool = Field(description="Calls are refused once it is reached.")
    version: int = Field(description="Grows with each change.")
    updated_at: datetime = Field(description="When it was changed last.")

    @classmethod
    def of(cls, budget: Budget) -> BudgetShape:
        return cls(
            project_id=None if budget.project_id is None else str(budget.project_id),
            amount=text_of(budget.amount_minor),
            currency=budget.currency,
            is_hard=budget.is_hard,
            version=budget.version,
            updated_at=budget.updated_at,
        )


class BudgetAnswer(WireModel):
    budget: BudgetShape


class BudgetAlertShape(WireModel):
    project_id: str | None = Field(description="The project; null: the whole organization.")
    threshold_percent: int = Field(description="50, 80 or 100.")
    cost: str = Field(description="The month's cost when it fired.", examples=["400.12"])
    budget: str = Field(description="The budget then.", examples=["500.00"])
    currency: str = Field(description="ISO 4217, of both amounts.", examples=["EUR"])
    fired_at: datetime = Field(description="When it fired; once a month.")

    @classmethod
    def of(cls, alert: BudgetAlert) -> BudgetAlertShape:
        return cls(
            project_id=None if alert.project_id is None else str(alert.project_id),
            threshold_percent=alert.threshold_percent,
            cost=text_of(alert.cost_minor),
            budget=text_of(alert.budget_minor),
            currency=CURRENCY,
            fired_at=alert.fired_at,
        )


class BudgetList(WireModel):
    budgets: list[BudgetShape]
    alerts: list[BudgetAlertShape] = Field(description="What fired this month.")

    @classmethod
    def of(cls, budgets: Iterable[Budget], alerts: Sequence[BudgetAlert]) -> BudgetList:
        return cls(
            budgets=[BudgetShape.of(budget) for budget in budgets],
            alerts=[BudgetAlertShape.of(alert) for alert in alerts],
        )
