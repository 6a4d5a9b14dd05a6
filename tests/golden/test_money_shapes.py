"""One notation of money in the whole API: a decimal text in major units with its currency beside it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from controlplane.entrypoints import openapi

Json = dict[str, Any]
# The words that name an amount of money in the API's shapes.
MONEY = re.compile(
    r"(^|_)(amount|net|tax|gross|vat|price|cost|budget|credit|debit|due|open|paid|credited|left|left_over|capital|"
    r"minimum|fee|balance|allowance|total|per_hour|carbon|scarcity)$"
)
# Names that are the same words for something else.
OTHER = frozenset({"SkuShape.fee", "BudgetAnswer.budget", "CostAnswer.cost", "CreditAnswer.credit"})
NUMBERS = {"integer", "number"}


@pytest.fixture(scope="module")
def shapes() -> dict[str, Json]:
    found: dict[str, Json] = json.loads(openapi.render())["components"]["schemas"]
    return found


def kinds(schema: Json) -> set[str]:
    if "$ref" in schema:
        return {"shape"}
    listed = schema.get("type", [])
    found = {listed} if isinstance(listed, str) else set(listed)
    return found.union(*(kinds(each) for each in schema.get("anyOf", [])))


def amounts_of(name: str, shape: Json) -> dict[str, Json]:
    return {
        field: schema
        for field, schema in shape.get("properties", {}).items()
        if MONEY.search(field)
        and f"{name}.{field}" not in OTHER
        and not kinds(schema) & {"shape", "array", "boolean"}
    }


@pytest.mark.case("W16")
@pytest.mark.case("M45")
def test_no_amount_is_a_number_or_counts_parts_of_a_cent(shapes: dict[str, Json]) -> None:
    wrong, seen = [], 0
    for name, shape in shapes.items():
        for field in shape.get("properties", {}):
            if re.search(r"_(minor|micro|cents)(_|$)", field):
                wrong.append(f"{name}.{field}")
        for field, schema in amounts_of(name, shape).items():
            seen += 1
            if kinds(schema) & NUMBERS:
                wrong.append(f"{name}.{field}")
    assert wrong == []
    assert seen > 30


@pytest.mark.case("W16")
@pytest.mark.case("M45")
def test_every_amount_stands_with_its_currency(shapes: dict[str, Json]) -> None:
    """In its own shape, in a shape that holds it, or in the sentence about a field that a caller sends."""
    text = {name: json.dumps(shape) for name, shape in shapes.items()}

    def has_currency(name: str, seen: frozenset[str]) -> bool:
        if "currency" in shapes[name].get("properties", {}):
            return True
        holders = [
            other
            for other, held in text.items()
            if f'"#/components/schemas/{name}"' in held and other not in seen
        ]
        return bool(holders) and all(has_currency(each, seen | {name}) for each in holders)

    wrong = [
        f"{name}.{field}"
        for name, shape in shapes.items()
        for field, schema in amounts_of(name, shape).items()
        if not has_currency(name, frozenset())
        and not re.search(r"EUR|[Cc]urrency", schema.get("description", ""))
    ]
    assert wrong == []
