"""Names of query parameters: each that is not known, or stands there twice, is named with the nearest known one."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.plumbing.query import SHOWN_MAX, check_query

KNOWN = {"limit": False, "cursor": False, "statuses": True, "organization_id": False, "state": False}


@pytest.mark.case("W13")
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("status", "statuses"),
        ("Statuses", "statuses"),
        ("states", "state"),
        ("organization", "organization_id"),
        ("organisation_id", "organization_id"),
        ("page_limit", "limit"),
        ("curser", "cursor"),
    ],
)
def test_a_misspelt_name_is_told_with_the_right_one(name: str, meant: str) -> None:
    (problem,) = check_query(f"{name}=x&limit=5", KNOWN)
    assert problem.field == f"query.{name}"
    assert f"Did you mean '{meant}'?" in problem.message
    assert problem.code == "unknown_parameter"


@pytest.mark.case("W13")
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=5)), max_size=30))
def test_only_known_names_pass_and_only_lists_twice(pairs: list[tuple[str, str]]) -> None:
    names = [name for name, _ in pairs]
    problems = check_query(urlencode(pairs), KNOWN)
    wrong = {n for n in names if n not in KNOWN or (names.count(n) > 1 and not KNOWN[n])}
    assert bool(problems) == bool(wrong)
    assert len(problems) <= SHOWN_MAX


@pytest.mark.case("W13")
def test_a_parameter_without_a_value_is_a_parameter() -> None:
    assert check_query("force", KNOWN)
    assert check_query("limit=1&limit=2", KNOWN)[0].code == "repeated_parameter"
    assert check_query("statuses=A&statuses=B", KNOWN) == ()
    assert check_query("", {}) == ()
