"""The front door of the rating room."""

from __future__ import annotations

from controlplane.rating.service_budgets import (
    build_budget_state,
    check_budgets,
    list_alerts,
    list_budgets,
    set_budget,
)
from controlplane.rating.service_price_list import ListedPrice, PriceList, price_list
from controlplane.rating.service_prices import (
    create_plan,
    create_sku,
    create_version,
    find_tenant_plan,
    grant_credit,
    list_grants,
    list_plans,
    list_skus,
    list_versions,
    set_tenant_plan,
)
from controlplane.rating.service_rate import WishedUsage, book_period, preview, rate_corrections, rate_period
from controlplane.rating.service_seed import seed

__all__ = [
    "ListedPrice",
    "PriceList",
    "WishedUsage",
    "book_period",
    "build_budget_state",
    "check_budgets",
    "create_plan",
    "create_sku",
    "create_version",
    "find_tenant_plan",
    "grant_credit",
    "list_alerts",
    "list_budgets",
    "list_grants",
    "list_plans",
    "list_skus",
    "list_versions",
    "preview",
    "price_list",
    "rate_corrections",
    "rate_period",
    "seed",
    "set_budget",
    "set_tenant_plan",
]
