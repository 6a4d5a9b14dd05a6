"""Prices, plans, credits, budgets and rated lines as values. Quantities and exact amounts are Decimal, never float.

Sources: EN 16931 BT-129/146/149, FOCUS 1.2 (ListCost, ContractedCost).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from controlplane.kernel.ids import Id, ProjectId, TenantId
from controlplane.kernel.period import Period

__all__ = [
    "Budget",
    "BudgetAlert",
    "CreditGrant",
    "CreditGrantId",
    "CreditKind",
    "CreditUse",
    "Plan",
    "Price",
    "PriceVersion",
    "PriceVersionId",
    "PricingModel",
    "ProblemReason",
    "RatedLine",
    "RatedPeriod",
    "RatingProblem",
    "Share",
    "Sku",
    "Step",
    "StepKind",
    "TenantPlan",
    "Tier",
]

# A change of how amounts are computed gets a new number, so that a stored hash says by which engine.
ENGINE_VERSION: Final = "rating/2"
STANDARD_BOOK: Final = "standard"


class PriceVersionId(Id):
    prefix = "prv"


class CreditGrantId(Id):
    prefix = "crg"


class PricingModel(StrEnum):
    """PER_UNIT: one price; GRADUATED: each tier prices the units inside it; FLAT: a fee a month, by the second."""

    PER_UNIT = "PER_UNIT"
    GRADUATED = "GRADUATED"
    FLAT = "FLAT"


@dataclass(frozen=True, slots=True)
class Sku:
    """Something that is sold: a meter's usage whose dimensions hold `matches`, or a monthly fee (no meter).

    Of several SKUs that fit, the one with most matches prices the usage. Simulated usage is priced only by a SKU
    that matches `is_simulated: "true"`.
    """

    code: str
    description_fr: str
    description_en: str
    meter: str | None
    unit: str
    matches: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tier:
    """Units up to `up_to` (None: the rest) cost `unit_price` for each `base_quantity` of the price."""

    up_to: Decimal | None
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """How a quantity becomes an amount: `unit_price` is for `base_quantity` units (BT-149), at most 6 decimals.

    Shapes: tiers ascending by `up_to`, the last one open-ended; PER_UNIT and FLAT have exactly one.
    Units: `free_quantity` units of a month cost nothing; tiers count the units after them.
    """

    model: PricingModel
    tiers: tuple[Tier, ...]
    base_quantity: Decimal = Decimal(1)
    free_quantity: Decimal = Decimal(0)
    currency: str = "EUR"


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """An immutable price of a SKU in a book: in force from `valid_from` to `valid_to`, or to the next version."""

    id: PriceVersionId
    book: str
    sku: str
    price: Price
    valid_from: datetime
    valid_to: datetime | None
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tenant agreed to: a price book, a monthly fee's SKU, a discount in percent, a least spend a month."""

    code: str
    title_fr: str
    title_en: str
    book: str
    fee_sku: str | None
    discount_percent: Decimal
    minimum_minor: int


@dataclass(frozen=True, slots=True)
class TenantPlan:
    """A tenant's plan from an instant on, until the next one."""

    tenant_id: TenantId
    plan: Plan
    valid_from: datetime


class CreditKind(StrEnum):
    """PREPAID was paid for (a deposit); PROMOTIONAL was given and ends within twelve months (loi SREN art. 26)."""

    PREPAID = "PREPAID"
    PROMOTIONAL = "PROMOTIONAL"


@dataclass(frozen=True, slots=True)
class CreditGrant:
    """Credit of a tenant; `left_minor` is what earlier booked periods have not used.

    `deposit_id` names the paid deposit invoice that a PREPAID credit came from (the invoice's UUID).
    """

    id: CreditGrantId
    tenant_id: TenantId
    kind: CreditKind
    label: str
    priority: int
    amount_minor: int
    left_minor: int
    currency: str
    effective_from: datetime
    expires_at: datetime | None
    created_at: datetime
    deposit_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class CreditUse:
    """What one grant pays of a period: an allowance (BG-20) where PROMOTIONAL, a deducted deposit where PREPAID."""

    grant_id: CreditGrantId
    kind: CreditKind
    label: str
    amount_minor: int
    deposit_id: UUID | None = None


class StepKind(StrEnum):
    """The steps of a calculation, in their fixed order."""

    CONVERT = "CONVERT"
    FREE = "FREE"
    TIER = "TIER"
    PRORATE = "PRORATE"
    DISCOUNT = "DISCOUNT"
    AMOUNT = "AMOUNT"
    TRUE_UP = "TRUE_UP"
    CORRECT = "CORRECT"
    ROUND = "ROUND"
    BALANCE = "BALANCE"


@dataclass(frozen=True, slots=True)
class Step:
    """One replayable step: inputs and result as exact decimal texts; `rating_rules.replay` recomputes it."""

    kind: StepKind
    inputs: Mapping[str, str]
    result: str


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a line one service caused; a line's shares sum to its quantity and exact amount."""

    project_id: str | None
    service_id: str | None
    quantity: Decimal
    exact_amount: Decimal


@dataclass(frozen=True, slots=True)
class RatedLine:
    """One line of a bill: `exact_amount = quantity × unit_price ÷ price_base_quantity`, rounded once to `net_minor`.

    On a bill `net_minor` may be the other neighbouring cent, so that the lines sum to the rounded sum
    (`rounding_rules`); the calculation then ends with BALANCE.

    Units: `quantity` in `unit`, at most 4 decimals (BT-129); `unit_price` (BT-146) net of the plan's discount,
    `list_unit_price` before it (BT-148), both for `price_base_quantity` (BT-149) units and at most 6 decimals;
    `net_minor` euro cents (BT-131). A correction may be negative; its `charge_period` is the period corrected.
    `project_id` and `service_id` are set when the whole line comes from one; `shares` has the rest.
    """

    sku: str
    description_fr: str
    description_en: str
    quantity: Decimal
    unit: str
    price_base_quantity: Decimal
    unit_price: Decimal
    list_unit_price: Decimal
    exact_amount: Decimal
    net_minor: int
    currency: str
    charge_period: Period
    calculation: tuple[Step, ...]
    price_version_id: PriceVersionId | None
    tier: int = 0
    is_correction: bool = False
    project_id: str | None = None
    service_id: str | None = None
    shares: tuple[Share, ...] = ()


class ProblemReason(StrEnum):
    NO_SKU = "no_sku"
    NO_PRICE = "no_price"
    NEGATIVE_USAGE = "negative_usage"


@dataclass(frozen=True, slots=True)
class RatingProblem:
    """Usage that could not be priced: the period is held with this reason, never issued without it."""

    reason: ProblemReason
    message: str
    meter: str
    quantity: Decimal
    dimensions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class RatedPeriod:
    """A tenant's period in money. Equal hashes mean equal lines, byte for byte.

    `credits` pay after the lines: `due_minor = Σ net_minor − Σ credits`. With `problems` it must not be issued.
    """

    tenant_id: TenantId
    period: Period
    cutoff: int | None
    plan_code: str
    lines: tuple[RatedLine, ...]
    credits: tuple[CreditUse, ...]
    problems: tuple[RatingProblem, ...]
    rating_hash: str

    @property
    def net_minor(self) -> int:
        return sum(line.net_minor for line in self.lines)

    @property
    def credit_minor(self) -> int:
        return sum(use.amount_minor for use in self.credits)

    @property
    def due_minor(self) -> int:
        return self.net_minor - self.credit_minor


BUDGET_THRESHOLDS: Final = (50, 80, 100)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a tenant (or one project of it) wants to spend in a Paris month, before VAT.

    `is_hard`: the gateway refuses calls once the month's cost has reached it.
    """

    tenant_id: TenantId
    project_id: ProjectId | None
    amount_minor: int
    currency: str
    is_hard: bool
    version: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class BudgetAlert:
    """A threshold that a month's cost reached, told once."""

    tenant_id: TenantId
    project_id: ProjectId | None
    period_start: datetime
    threshold_percent: int
    cost_minor: int
    budget_minor: int
    fired_at: datetime
