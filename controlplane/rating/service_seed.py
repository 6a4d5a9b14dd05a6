"""Give a new installation the standard price book and plans."""

from __future__ import annotations

from controlplane.plumbing.database import UnitOfWork
from controlplane.rating import repository
from controlplane.rating.domain import STANDARD_BOOK, PriceVersion, PriceVersionId
from controlplane.rating.standard_prices import PLANS, PRICED_SKUS, VALID_FROM

SEED_ACTOR = "seed"


def seed(uow: UnitOfWork) -> None:
    """Add what is missing (platform transaction); what the operator changed or added stays as it is."""
    for sku, price in PRICED_SKUS:
        repository.add_sku(uow, sku)
        repository.lock_prices(uow, STANDARD_BOOK, sku.code)
        if repository.list_versions(uow, books=[STANDARD_BOOK], sku=sku.code):
            continue
        if repository.find_sku(uow, sku.code) is None:
            # The operator sells the same usage under a code of its own.
            continue
        repository.add_version(
            uow,
            PriceVersion(
                PriceVersionId.new(), STANDARD_BOOK, sku.code, price, VALID_FROM, None, uow.now, SEED_ACTOR
            ),
        )
    for plan in PLANS:
        repository.add_plan(uow, plan)
