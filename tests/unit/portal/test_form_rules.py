"""From a form to what the API is asked, and from its refusal back to the fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.deployments.definition_schemas import DefinitionIn
from controlplane.portal.money_rules import CHART_HEIGHT, CHART_WIDTH, bars, budget_use, parse_euros
from controlplane.portal.ownership_rules import DEPTH_MAX, list_owners
from controlplane.portal.placement_rules import read_residency, sort_assessments
from controlplane.portal.service_form_rules import place_errors, read_service_form

FILLED: dict[str, tuple[str, ...]] = {
    "app_id": ("new",),
    "app_name": ("demo",),
    "name": ("assistant",),
    "model": ("smollm2-135m-instruct",),
    "instance_type": ("",),
    "min": ("0",),
    "max": ("2",),
    "idle_seconds": ("60",),
    "countries": ("FR", "SE"),
    "certifications": ("HDS",),
    "licence_colours": ("green",),
    "pue_below": ("1,3",),
    "is_non_eu_control_denied": ("yes",),
}


def test_a_filled_form_is_a_definition_that_the_api_reads() -> None:
    form = read_service_form(FILLED)
    assert not form.errors
    assert form.makes_app
    read = DefinitionIn.model_validate(form.definition)
    assert read.sovereignty.countries == ["FR", "SE"]
    assert read.sovereignty.pue_below_milli == 1300
    assert read.sovereignty.is_non_eu_control_denied
    assert not read.sovereignty.is_secnumcloud_ownership_required
    assert read.scalings[0].targets[0].sleep_idle_delay is not None


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("model", ""), ("min", "x"), ("max", "1.5"), ("max", ""), ("idle_seconds", "-1"),
     ("pue_below", "low"), ("pue_below", "1.23456"), ("pue_below", "NaN"), ("min", "9" * 12), ("min", "٣")],
)  # fmt: skip
def test_what_is_no_number_or_missing_is_said_at_its_field(field: str, value: str) -> None:
    form = read_service_form({**FILLED, field: (value,)})
    assert list(form.errors.fields) == [field]


@pytest.mark.parametrize(
    ("where", "field"),
    [
        ("body.definition.name", "name"),
        ("body.definition.scalings.0.max", "max"),
        ("body.definition.scalings.0", "max"),
        ("body.definition.scalings.0.targets.0.sleep_idle_delay.deep_sleep_value", "idle_seconds"),
        ("body.definition.sovereignty.countries.1", "countries"),
        ("definition.inference.model", "model"),
    ],
)
def test_the_apis_refusal_is_put_at_its_field(where: str, field: str) -> None:
    errors = place_errors([{"field": where, "message": "No.", "code": "x"}])
    assert errors.fields == {field: "No."}


def test_a_refusal_without_a_field_is_about_the_whole_form() -> None:
    errors = place_errors([{"field": "header.x", "message": "No.", "code": "x"}])
    assert errors.whole == ["No."]


@given(
    st.dictionaries(st.sampled_from(sorted(FILLED)), st.lists(st.text(max_size=20), max_size=3).map(tuple))
)
def test_any_form_is_read_without_a_fault(form: dict[str, tuple[str, ...]]) -> None:
    read_service_form(form)


EUROS = """
500        50000
499,90     49990
499.9      49990
1 234,56   123456
12 €       1200
0          -
-5         -
1,2,3      -
1.234      -
abc        -
"""


@pytest.mark.parametrize("case", EUROS.strip().splitlines())
def test_amounts_are_read_as_people_write_them(case: str) -> None:
    text, _, expected = case.strip().rpartition("  ")
    assert parse_euros(text.strip()) == (None if expected.strip() == "-" else f"{int(expected) / 100:.2f}")


def test_a_budget_is_full_only_when_it_is_used_up() -> None:
    budget = {"amount": "10.00", "is_hard": True}
    assert budget_use(budget, "9.99").percent == 99
    assert budget_use(budget, "10.00").percent == 100
    assert budget_use(budget, "50.00").shown == 100


@given(st.lists(st.integers(min_value=0, max_value=10**12), max_size=31))
def test_bars_stay_inside_their_chart(quantities: list[int]) -> None:
    for bar in bars([(str(place), str(quantity)) for place, quantity in enumerate(quantities)]):
        assert bar.x >= 0
        assert bar.x + bar.width <= CHART_WIDTH
        assert bar.y + bar.height == CHART_HEIGHT
        assert (bar.height > 0) == (bar.quantity != "0")


def entity(name: str) -> dict[str, Any]:
    return {"id": name, "name": name}


def holding(holder: str, held: str, capital: int | None, valid_to: str | None = None) -> dict[str, Any]:
    return {"holder_id": holder, "held_id": held, "capital_bp": capital, "valid_to": valid_to}


def test_owners_stand_below_what_they_hold() -> None:
    entities = {name: entity(name) for name in ("site", "holding", "us", "fr")}
    facts = [
        holding("fr", "holding", 2000),
        holding("us", "holding", 8000),
        holding("holding", "site", 10_000),
    ]
    rows = list_owners("site", entities, [*facts, holding("us", "site", 1, "2020-01-01T00:00:00Z")])
    assert [(row.depth, row.entity["name"]) for row in rows] == [
        (0, "site"), (1, "holding"), (2, "us"), (2, "fr"),
    ]  # fmt: skip


def test_a_circle_of_owners_ends() -> None:
    entities = {name: entity(name) for name in ("a", "b")}
    rows = list_owners("a", entities, [holding("a", "b", 1), holding("b", "a", None)])
    assert [row.entity["name"] for row in rows] == ["a", "b", "a"]
    assert max(row.depth for row in rows) <= DEPTH_MAX


def test_places_are_sorted_by_what_speaks_against_them() -> None:
    def assessment(pool: str, is_admitted: bool, *codes: str) -> dict[str, Any]:
        return {
            "datacenter": pool,
            "is_admitted": is_admitted,
            "rejections": [{"code": code} for code in codes],
        }

    found = sort_assessments(
        {
            "is_placed": True,
            "decided_at": "2026-11-21T00:00:00Z",
            "explanation": {
                "chosen_datacenter": "a",
                "summary": {"en": "", "fr": ""},
                "policy_hash": "0",
                "assessments": [
                    assessment("a", True), assessment("b", False, "capacity", "sovereignty"),
                    assessment("c", False, "capacity"), assessment("d", True),
                ],
            },
        }
    )  # fmt: skip
    assert [(each["datacenter"], each["is_chosen"]) for each in found.admitted] == [("a", True), ("d", False)]
    assert [each["datacenter"] for each in found.excluded] == ["b"]
    assert [each["datacenter"] for each in found.unfit] == ["c"]


def test_the_gateways_residency_is_put_in_words() -> None:
    header = "country=FR; datacenter=essonne-1; operator=Centre Essonne SAS; policy=" + "a" * 64
    assert read_residency(header) == {"place": "essonne-1 (FR) · Centre Essonne SAS", "policy": "a" * 16}
    assert read_residency("") == {"place": "–", "policy": "–"}
