"""What a key looks like and whether it may call."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.domain import ApiKey, BudgetState, KeySnapshot
from controlplane.gateway.key_rules import (
    BASE62,
    BUDGETS_AGE_MAX,
    SNAPSHOT_AGE_MAX,
    KeyRefusal,
    checksum,
    choose_project,
    decide_budget,
    decide_key,
    door_token,
    hash_key,
    is_well_formed,
)
from controlplane.identity import key_rules as identity
from controlplane.kernel.keyring import Keyring

PEPPER = b"p" * 32
NOW = datetime(2026, 11, 21, tzinfo=UTC)
RANDOM = st.text(BASE62, min_size=30, max_size=30)


def _key(random: str = "a" * 30) -> str:
    body = f"rmp_svc_test_{random}"
    return f"{body}_{checksum(body)}"


def _snapshot(key: str, **changes: object) -> KeySnapshot:
    entry = _entry(key, **changes)
    return KeySnapshot("1", NOW, {entry.hash: entry})


def _entry(key: str = "", **changes: object) -> ApiKey:
    values: dict[str, object] = {
        "key_id": "key_1",
        "hash": hash_key(PEPPER, key),
        "tenant_id": "org_1",
        "project_id": "prj_1",
        "expires_at": None,
        "scopes": ("inference",),
        **changes,
    }
    return ApiKey(**values)  # type: ignore[arg-type]


@given(RANDOM)
def test_the_gateway_and_identity_agree_on_a_key(random: str) -> None:
    key = _key(random)
    assert is_well_formed(key)
    assert checksum(key.rpartition("_")[0]) == identity.checksum(key.rpartition("_")[0])
    assert hash_key(PEPPER, key) == identity.hash_key(PEPPER, key)


@given(RANDOM, st.integers(0, 48), st.sampled_from(BASE62))
def test_one_wrong_character_is_noticed_without_any_key_known(random: str, at: int, other: str) -> None:
    key = _key(random)
    assert is_well_formed(key[:at] + other + key[at + 1 :]) is (key[at] == other)


@given(st.text(max_size=200))
def test_any_text_at_all_is_answered(text: str) -> None:
    assert decide_key(_snapshot(_key()), Keyring.single(PEPPER), text, NOW) is not None


def test_an_unknown_snapshot_refuses_every_key() -> None:
    assert decide_key(None, Keyring.single(PEPPER), _key(), NOW) is KeyRefusal.SNAPSHOT_UNKNOWN
    late = NOW + SNAPSHOT_AGE_MAX + timedelta(seconds=1)
    assert decide_key(_snapshot(_key()), Keyring.single(PEPPER), _key(), late) is KeyRefusal.SNAPSHOT_UNKNOWN


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"expires_at": NOW}, KeyRefusal.EXPIRED),
        ({"project_id": ""}, KeyRefusal.PROJECTLESS),
        ({"scopes": ()}, KeyRefusal.OUT_OF_SCOPE),
        ({"scopes": ("manage",)}, KeyRefusal.OUT_OF_SCOPE),
    ],
)
def test_a_key_that_may_not_call_is_refused_with_its_reason(
    changes: dict[str, object], expected: KeyRefusal
) -> None:
    assert decide_key(_snapshot(_key(), **changes), Keyring.single(PEPPER), _key(), NOW) is expected


def test_a_key_hashed_with_another_pepper_is_unknown() -> None:
    assert decide_key(_snapshot(_key()), Keyring.single(b"q" * 32), _key(), NOW) is KeyRefusal.UNKNOWN


def test_a_good_key_names_its_owner() -> None:
    found = decide_key(
        _snapshot(_key(), expires_at=NOW + timedelta(seconds=1)), Keyring.single(PEPPER), _key(), NOW
    )
    assert isinstance(found, ApiKey)
    assert found.project_id == "prj_1"


def test_a_door_token_opens_one_deployment_only() -> None:
    assert door_token("t", "rdp_1") != door_token("t", "rdp_2")


@pytest.mark.parametrize(
    ("tenants", "projects", "is_refused"),
    [((), (), False), (("org_1",), (), True), ((), ("prj_1",), True), (("org_2",), ("prj_2",), False)],
)
def test_who_is_past_a_hard_budget_is_refused(
    tenants: tuple[str, ...], projects: tuple[str, ...], is_refused: bool
) -> None:
    budgets = BudgetState("1", NOW, frozenset(tenants), frozenset(projects))
    found = decide_budget(_entry(), budgets, NOW)
    assert found is (KeyRefusal.BUDGET_EXHAUSTED if is_refused else None)
    assert decide_budget(_entry(), None, NOW) is None


@pytest.mark.parametrize("hard", [("org_1", ""), ("", "prj_1")])
def test_an_old_state_refuses_those_with_a_hard_budget_and_nobody_else(hard: tuple[str, str]) -> None:
    def decide(age: timedelta, tenant: str, project: str) -> object:
        limited = frozenset({tenant}), frozenset({project})
        budgets = BudgetState("1", NOW - age, frozenset(), frozenset(), *limited)
        return decide_budget(_entry(), budgets, NOW)

    assert decide(BUDGETS_AGE_MAX, *hard) is None
    assert decide(BUDGETS_AGE_MAX + timedelta(seconds=1), *hard) is KeyRefusal.BUDGET_UNKNOWN
    assert decide(BUDGETS_AGE_MAX + timedelta(hours=1), "org_2", "prj_2") is None


PROJECTS = [("org_1", "prj_1"), ("org_1", "prj_2"), ("org_2", "prj_3"), ("org_2", "prj_2")]


@pytest.mark.case("S10")
@given(
    st.sets(st.sampled_from(PROJECTS)),
    st.sampled_from(["prj_1", "prj_2", "prj_3", "prj_4", "-", ""]),
    st.booleans(),
)
def test_a_key_calls_in_its_own_project_or_if_unbound_in_one_of_its_tenants(
    projects: set[tuple[str, str]], wanted: str, is_bound: bool
) -> None:
    key = _entry(is_bound=is_bound)
    found = choose_project(key, wanted, projects)
    if wanted == "prj_1":
        assert found is key
    elif is_bound:
        assert found is KeyRefusal.PROJECT_MISMATCH
    elif ("org_1", wanted) in projects:
        assert isinstance(found, ApiKey)
        assert found == replace(key, project_id=wanted)
    else:
        assert found is KeyRefusal.PROJECT_UNKNOWN
