"""What a changed declaration means, and that an unchanged one means nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.output import Unknown
from pulumi.runtime.rpc import UNKNOWN

from infra.provider import diff_rules
from infra.provider.diff_rules import Change, compare, compare_service, covers
from infra.provider.values import clean, is_unknown, to_whole

RULES = [
    diff_rules.PROJECT,
    diff_rules.APP,
    diff_rules.SECRET,
    diff_rules.API_KEY,
    diff_rules.SERVICE,
    diff_rules.SERVICE_READY,
]
scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(RULES), st.data())
def test_what_did_not_change_is_no_change(rule: diff_rules.Rule, data: st.DataObject) -> None:
    names = (*rule.in_place, *rule.replacing)
    props = data.draw(st.fixed_dictionaries(dict.fromkeys(names, values)))
    declared = clean(props)
    assert not compare(rule, declared, declared).is_any
    said = {name: value for name, value in declared.items() if value}
    assert not compare(rule, declared, said).is_any, "what is empty is as good as not said"


@pytest.mark.parametrize("rule", RULES)
def test_each_input_of_a_rule_is_compared(rule: diff_rules.Rule) -> None:
    for name in rule.in_place:
        assert compare(rule, {name: "a"}, {name: "b"}) == Change((name,), (), False)
    for name in rule.replacing:
        assert compare(rule, {name: "a"}, {name: "b"}) == Change((), (name,), rule.is_old_deleted_first)


@pytest.mark.parametrize("value", [UNKNOWN, Unknown(), {"a": [UNKNOWN]}])
def test_what_is_not_known_yet_may_be_a_change(value: Any) -> None:
    assert compare(diff_rules.SERVICE, {"definition": value}, {"definition": value}).in_place == (
        "definition",
    )


def test_a_new_key_comes_before_the_old_one_goes_and_a_name_is_free_first() -> None:
    assert not compare(diff_rules.API_KEY, {"role": "viewer"}, {"role": "admin"}).is_old_deleted_first
    assert compare(diff_rules.SECRET, {"name": "a"}, {"name": "b"}).is_old_deleted_first


def test_a_renamed_project_is_the_same_project() -> None:
    assert compare(diff_rules.PROJECT, {"name": "a"}, {"name": "b"}) == Change(("name",))


@pytest.mark.parametrize("drift", [{"scale": {"min": 1, "max": 1}}, {"is_paused": True}])
def test_scaling_and_pausing_are_drift(drift: dict[str, Any]) -> None:
    declared = {"name": "a", "definition": {"x": 1}}
    assert not compare_service({**declared, "scale": {}, "is_paused": False}, declared).is_any
    assert compare_service({**declared, **drift}, declared).in_place == tuple(drift)


@given(values)
def test_everything_covers_itself(value: Any) -> None:
    assert covers(value, value)


def test_defaults_that_were_not_declared_are_covered() -> None:
    actual = {"a": 1, "b": {"c": [1, {"d": 2, "e": 3}]}}
    assert covers(actual, {"b": {"c": [1, {"d": 2}]}})
    assert not covers(actual, {"b": {"c": [1]}})
    assert not covers(actual, {"b": {"c": [1, {"d": 9}]}})
    assert not covers(actual, {"z": None})
    assert not covers("abc", ["a", "b", "c"])


@given(values)
def test_whole_numbers_survive_the_engines_protocol(value: Any) -> None:
    def as_floats(each: Any) -> Any:
        if isinstance(each, bool) or each is None or isinstance(each, str):
            return each
        if isinstance(each, int):
            return float(each)
        if isinstance(each, list):
            return [as_floats(part) for part in each]
        return {key: as_floats(part) for key, part in each.items()}

    there_and_back = to_whole(as_floats(value))
    assert there_and_back == to_whole(value)
    assert not is_unknown(there_and_back)


def test_the_order_of_a_mapping_does_not_matter() -> None:
    there, back = (
        {"b": {"y": 1, "x": [{"d": 1, "c": 2}]}, "a": 1},
        {"a": 1, "b": {"x": [{"c": 2, "d": 1}], "y": 1}},
    )
    assert repr(clean(there)) == repr(clean(back)), "the same to the byte"


def test_the_serialised_provider_is_no_property() -> None:
    assert clean({"__provider": "gASV", "n": 2.0, "none": None, "half": 0.5}) == {"n": 2, "half": 0.5}
