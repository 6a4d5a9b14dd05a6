"""What a tenant pays: the prices in force by its plan, each the one that the rater will find.

Source: code de la consommation art. L112-1 and code de commerce art. L441-1 (prices and conditions are told before).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating import repository
from controlplane.rating.domain import STANDARD_BOOK, Plan, PriceVersion, Sku
from controlplane.rating.price_list_rules import find_next, hourly_price
from controlplane.rating.price_rules import list_matching
from controlplane.rating.rating_rules import version_at
from controlplane.rating.service_prices import find_tenant_plan


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """A SKU with the price in force now, and the one that follows it, if one is known."""

    sku: Sku
    now: PriceVersion
    next: PriceVersion | None


@dataclass(frozen=True, slots=True)
class PriceList:
    """A tenant's prices at an instant; a discount of the plan is not yet taken off `prices`."""

    plan: Plan
    at: datetime
    prices: tuple[ListedPrice, ...]

    def hourly(self, gpu_sku: str | None, gpus: int) -> Decimal | None:
        """What one hour of a size costs, the plan's discount taken off; None where that GPU has no price now.

        A size without GPUs costs nothing by the hour: its use is billed by tokens alone.
        """
        if gpu_sku is None or not gpus:
            return Decimal(0)
        by_code = {listed.sku.code: listed for listed in self.prices}
        # As usage of real capacity is priced: the most specific SKU that has a price.
        for sku in list_matching([listed.sku for listed in self.prices], "gpu_seconds", {"sku": gpu_sku}):
            return hourly_price(by_code[sku.code].now.price, gpus, self.plan.discount_percent)
        return None


def price_list(uow: UnitOfWork, tenant_id: TenantId) -> PriceList:
    """The prices that hold for a tenant now. NotFound without the tenant."""
    plan = find_tenant_plan(uow, tenant_id).plan
    versions = repository.by_book_and_sku(repository.list_versions(uow, books={STANDARD_BOOK, plan.book}))
    listed = []
    for sku in _sold_by(plan, repository.list_skus(uow)):
        now = version_at(versions, plan.book, sku.code, uow.now)
        if now is not None:
            listed.append(ListedPrice(sku, now, find_next(versions, plan.book, sku.code, now, uow.now)))
    return PriceList(plan, uow.now, tuple(listed))


def _sold_by(plan: Plan, skus: Sequence[Sku]) -> list[Sku]:
    """Everything that is metered, and of the monthly fees the plan's own."""
    return [sku for sku in skus if sku.meter is not None or sku.code == plan.fee_sku]
