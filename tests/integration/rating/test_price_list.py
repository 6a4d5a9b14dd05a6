"""The price shown is the price billed: for every size, SKU and plan, before anything was used."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalogue import service as catalogue
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.rating import service as rating
from controlplane.rating.price_list_rules import hourly_price
from controlplane.rating.price_rules import make_per_unit
from controlplane.rating.pricers import price_stretch
from tests.fixtures.tenants import Caller, operator_headers, sign_up

OWN_BOOK = {
    "sku": "gpu.nvidia-b300", "book": "own", "model": "PER_UNIT", "base_quantity": "3600",
    "tiers": [{"unit_price": "4.123457"}], "valid_from": "2026-01-01T00:00:00Z",
}  # fmt: skip
PLANS: dict[str, dict[str, Any] | None] = {
    "payg": None,
    "pro": None,
    "own-book": {
        "code": "own-book",
        "title_fr": "À part",
        "title_en": "Apart",
        "book": "own",
        "discount_percent": "7",
    },
}


@pytest.fixture
def tenant(api: TestClient, database: Database) -> Caller:
    with database.system() as uow:
        catalogue.seed(uow)
        rating.seed(uow)
    return sign_up(api)


@pytest.fixture
def operator(settings: Settings, database: Database) -> dict[str, str]:
    return operator_headers(database, settings)


def give_plan(api: TestClient, operator: dict[str, str], tenant: Caller, code: str) -> None:
    body = PLANS[code]
    if body is not None:
        assert api.post("/v1/admin/price_versions", json=OWN_BOOK, headers=operator).status_code == 201
        assert api.post("/v1/admin/plans", json=body, headers=operator).status_code == 201
    path = f"/v1/admin/organizations/{tenant.organization_id}/plan"
    assert api.put(path, json={"plan": code}, headers=operator).status_code == 200


def billed(
    api: TestClient, tenant: Caller, meter: str, quantity: Decimal, dimensions: dict[str, str]
) -> Decimal:
    """What the rater makes of that usage alone, unrounded: the lines of usage, without the plan's fee."""
    wish = {"meter": meter, "quantity": str(quantity), "dimensions": dimensions}
    answer = api.post("/v1/costs/preview", json={"usage": [wish]}, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    lines = answer.json()["cost"]["lines"]
    return sum(
        (Decimal(line["exact_amount"]) for line in lines if not line["sku"].startswith("plan.")), Decimal(0)
    )


@pytest.mark.case("M43")
@pytest.mark.parametrize("plan", PLANS)
def test_an_hour_of_each_size_is_billed_as_it_was_shown(
    api: TestClient, operator: dict[str, str], tenant: Caller, plan: str
) -> None:
    give_plan(api, operator, tenant, plan)
    sizes = api.get("/v1/catalog/instances", headers=tenant.headers).json()["instances"]
    assert {size["gpus"] for size in sizes} == {0, 1, 4, 8}
    for size in sizes:
        shown = Decimal(size["price_per_hour"])
        if not size["gpus"]:
            assert shown == 0
            continue
        seconds = Decimal(3_600 * size["gpus"])
        assert billed(api, tenant, "gpu_seconds", seconds, {"sku": size["gpu_sku"]}) == shown


@pytest.mark.case("M44")
@pytest.mark.parametrize("plan", PLANS)
def test_a_tenant_reads_every_price_that_it_can_be_billed(
    api: TestClient, operator: dict[str, str], tenant: Caller, plan: str
) -> None:
    give_plan(api, operator, tenant, plan)
    listed = api.get("/v1/prices", headers=tenant.headers).json()["price_list"]
    assert listed["plan"] == plan
    skus = api.get("/v1/admin/skus", headers=operator).json()["skus"]
    metered = {sku["code"]: sku for sku in skus if sku["meter"]}
    assert metered.keys() <= {price["sku"] for price in listed["prices"]}
    fees = {price["sku"] for price in listed["prices"]} - metered.keys()
    assert fees == ({"plan.pro"} if plan == "pro" else set())
    for price in listed["prices"]:
        if price["sku"] not in metered:
            continue
        (tier,) = price["price"]["tiers"]
        base = Decimal(price["price"]["base_quantity"])
        sku = metered[price["sku"]]
        dimensions = dict(sku["matches"])
        amount = billed(api, tenant, sku["meter"], base, dimensions)
        assert amount == Decimal(tier["unit_price"]), price["sku"]


@pytest.mark.case("M44")
def test_a_price_that_is_announced_is_shown_before_it_holds(
    api: TestClient, operator: dict[str, str], tenant: Caller
) -> None:
    body = {
        "sku": "tokens.input", "model": "PER_UNIT", "base_quantity": "1000000",
        "tiers": [{"unit_price": "0.35"}], "valid_from": "2030-01-01T00:00:00Z",
    }  # fmt: skip
    made = api.post("/v1/admin/price_versions", json=body, headers=operator)
    assert made.status_code == 201, made.text
    prices = api.get("/v1/prices", headers=tenant.headers).json()["price_list"]["prices"]
    (tokens,) = (price for price in prices if price["sku"] == "tokens.input")
    assert tokens["price"]["tiers"][0]["unit_price"] == "0.20"
    assert tokens["next_price"]["tiers"][0]["unit_price"] == "0.35"
    assert tokens["next_price"]["valid_from"] == "2030-01-01T00:00:00Z"


@pytest.mark.case("M44")
def test_prices_are_for_those_who_have_a_plan(
    api: TestClient, operator: dict[str, str], tenant: Caller
) -> None:
    assert api.get("/v1/prices").status_code == 401
    assert api.get("/v1/prices", headers=operator).status_code == 403
    sizes = api.get("/v1/catalog/instances", headers=operator).json()["instances"]
    assert {size["price_per_hour"] for size in sizes} == {None}


@given(
    unit_price=st.decimals(min_value=0, max_value=1_000, places=6),
    base=st.sampled_from([Decimal(1), Decimal(60), Decimal(3_600), Decimal(1_000_000)]),
    gpus=st.integers(1, 16),
    percent=st.integers(0, 100),
)
def test_the_hourly_price_is_what_the_rater_makes_of_an_hour(
    unit_price: Decimal, base: Decimal, gpus: int, percent: int
) -> None:
    price = make_per_unit(unit_price, base)
    pieces = price_stretch(price, Decimal(0), Decimal(3_600 * gpus), Decimal(percent))
    assert sum(piece.exact_amount for piece in pieces) == hourly_price(price, gpus, Decimal(percent))
