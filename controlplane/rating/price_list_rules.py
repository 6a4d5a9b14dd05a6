"""Pure rules of the price list: what an hour of a size costs, and which price comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from controlplane.rating.domain import STANDARD_BOOK, Price, PriceVersion
from controlplane.rating.pricers import amount_of, discount_price

HOUR_SECONDS: Final = 3_600


def hourly_price(price: Price, gpus: int, discount_percent: Decimal) -> Decimal:
    """An hour of `gpus` GPUs by the first tier of a price per GPU second, as an exact amount before VAT."""
    unit_price = discount_price(price.tiers[0].unit_price, discount_percent)
    return amount_of(Decimal(gpus * HOUR_SECONDS), unit_price, price.base_quantity)


def find_next(
    versions: Mapping[tuple[str, str], Sequence[PriceVersion]],
    book: str,
    sku: str,
    now: PriceVersion,
    at: datetime,
) -> PriceVersion | None:
    """The version that begins soonest after `at` and will then be the one that counts; None when none is known.

    A price of the plan's own book goes before one of the standard book for as long as it holds.
    """
    coming = [version for version in versions.get((book, sku), ()) if version.valid_from > at]
    if book != STANDARD_BOOK and (now.book == STANDARD_BOOK or now.valid_to is not None):
        coming += [version for version in versions.get((STANDARD_BOOK, sku), ()) if version.valid_from > at]
    return min(coming, key=lambda version: version.valid_from, default=None)
