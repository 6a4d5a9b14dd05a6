"""Conditions: a repeated observation is no change."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from operators.lib.conditions import (
    ConditionValue,
    find_condition,
    is_condition_true,
    set_condition,
    set_conditions,
    summarise,
)

STATUSES = st.sampled_from(["True", "False", "Unknown"])
VALUES = st.builds(
    ConditionValue,
    st.sampled_from(["Ready", "Accepted", "Degraded", "Launched"]),
    STATUSES,
    st.sampled_from(["A", "B"]),
    st.text(max_size=5),
)


@given(st.lists(VALUES, max_size=20))
def test_setting_the_same_values_again_changes_nothing(values: list[ConditionValue]) -> None:
    once: list[dict[str, Any]] = set_conditions([], values, generation=1, now="t1")
    last = list({value.type: value for value in values}.values())
    assert set_conditions(once, last, generation=1, now="t2") == once


@given(st.lists(VALUES, min_size=1, max_size=20))
def test_the_time_moves_only_when_the_status_flips(values: list[ConditionValue]) -> None:
    conditions: list[dict[str, Any]] = []
    for moment, value in enumerate(values):
        before = find_condition(conditions, value.type)
        conditions = set_condition(conditions, value, generation=1, now=f"t{moment}")
        after = find_condition(conditions, value.type)
        assert after is not None
        if before is not None and before["status"] == value.status:
            assert after["lastTransitionTime"] == before["lastTransitionTime"]
        else:
            assert after["lastTransitionTime"] == f"t{moment}"
    assert len({condition["type"] for condition in conditions}) == len(conditions)


def test_a_condition_says_which_generation_it_speaks_of() -> None:
    conditions = set_condition([], ConditionValue("Ready", "True", "Up"), generation=3, now="t")
    assert conditions[0]["observedGeneration"] == 3
    assert is_condition_true(conditions, "Ready")
    assert not is_condition_true(conditions, "Accepted")


def test_the_first_bad_input_decides_then_the_first_unknown_one() -> None:
    good = ConditionValue("Launched", "True", "Launched")
    unknown = ConditionValue("Accepted", "Unknown", "Running", "not yet")
    bad = ConditionValue("Registered", "False", "Gone", "no node")
    degraded = ConditionValue("Degraded", "True", "Broken", "half")
    assert summarise([good]).status == "True"
    assert summarise([good, unknown]) == ConditionValue("Ready", "Unknown", "Running", "not yet")
    assert summarise([good, unknown, bad]) == ConditionValue("Ready", "False", "Gone", "no node")
    assert summarise([good, degraded]).reason == "Broken"
    assert summarise([good, ConditionValue("Degraded", "False", "AsExpected")]).status == "True"
