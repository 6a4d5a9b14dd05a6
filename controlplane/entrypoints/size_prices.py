"""What sizes cost a caller: the catalogue lists them, the money wing knows prices, and neither imports the other."""

from __future__ import annotations

from decimal import Decimal

from controlplane.catalogue.api import PriceOf
from controlplane.kernel.principal import Principal
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating import service as rating


def price_sizes(uow: UnitOfWork, principal: Principal) -> PriceOf:
    """The hourly prices of the caller's plan; the platform's own keys have no plan, and see none."""
    if principal.tenant_id is None:
        return _no_price
    return rating.price_list(uow, principal.tenant_id).hourly


def _no_price(_: str | None, __: int) -> Decimal | None:
    return None
