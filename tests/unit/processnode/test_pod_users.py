"""Numbers of pods' users: the same each time, apart from everybody's, and said when there are none."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.processnode import pod_users
from infra.local.processnode.pod_users import USERS_COUNT, USERS_FIRST, find_obstacle, user_of


@pytest.mark.case("X23")
@given(st.uuids())
def test_a_pods_user_is_the_same_each_time_and_nobody_elses(uid: object) -> None:
    number = user_of(str(uid))
    assert number == user_of(str(uid))
    # Above people, services and ranges of user namespaces; below what a signed number holds.
    assert 1 << 30 <= USERS_FIRST <= number < USERS_FIRST + USERS_COUNT < 1 << 31


def test_pods_side_by_side_have_different_users() -> None:
    assert len({user_of(str(uuid4())) for _ in range(1_000)}) >= 999


@pytest.mark.case("X23")
def test_without_root_one_sentence_says_what_is_not_separated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = find_obstacle(tmp_path)
    assert "they can read the keys" in said
    assert "root" in said


@pytest.mark.case("X23")
def test_an_interpreter_out_of_reach_is_said_and_not_met_by_the_first_pod(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pod_users, "allow_passing", lambda _: None)
    monkeypatch.setattr(pod_users, "become", lambda _: None)
    # No source there: the first thing that a pod does would fail.
    said = find_obstacle(tmp_path)
    assert "does not reach the interpreter" in said
    assert sys.executable not in said
