"""A pod's status is a function of what became of its container."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.processnode.domain import ContainerRecord, ContainerState, RestartPolicy, StateKind
from infra.local.processnode.status_rules import (
    CRASH_BACKOFF_MOST_SECONDS,
    MESSAGE_BYTES_MAX,
    build_annotations,
    build_status,
    count_crashes,
    decide_backoff,
    decide_phase,
    is_covered,
    is_restart_wanted,
    restore_record,
    shorten_message,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
POD: dict[str, Any] = {"spec": {"containers": [{"name": "c", "image": "i"}]}, "status": {}}

WAITING = ContainerRecord(ContainerState(StateKind.WAITING, "ContainerCreating"))
RUNNING = ContainerRecord(
    ContainerState(StateKind.RUNNING, started_at=NOW, container_id="process://7"), is_started=True
)
ENDED = ContainerState(StateKind.TERMINATED, "Completed", started_at=NOW, finished_at=NOW)


@pytest.mark.parametrize(
    ("record", "phase"),
    [
        (WAITING, "Pending"),
        (RUNNING, "Running"),
        (replace(WAITING, last_state=ENDED), "Running"),
        (ContainerRecord(ENDED, is_final=True), "Succeeded"),
        (ContainerRecord(replace(ENDED, exit_code=1), is_final=True), "Failed"),
        (ContainerRecord(ENDED, is_final=True, pod_reason="DeadlineExceeded"), "Failed"),
        (ContainerRecord(ENDED), "Running"),
    ],
)
def test_phase_follows_the_container(record: ContainerRecord, phase: str) -> None:
    assert decide_phase(record) == phase


@pytest.mark.parametrize(
    ("policy", "code", "is_wanted"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policy(policy: str, code: int, is_wanted: bool) -> None:
    assert is_restart_wanted(RestartPolicy(policy), code) is is_wanted


@given(st.integers(min_value=0, max_value=10_000))
def test_crash_backoff_grows_and_stays_bounded(crashes: int) -> None:
    assert 0 <= decide_backoff(crashes) <= decide_backoff(crashes + 1) <= CRASH_BACKOFF_MOST_SECONDS


def test_a_long_run_is_forgiven() -> None:
    assert count_crashes(7, ran_seconds=5) == 8
    assert count_crashes(7, ran_seconds=600) == 1


def test_an_unchanged_condition_keeps_its_time() -> None:
    first = build_status(POD, RUNNING, NOW)
    pod = {**POD, "status": first}
    later = build_status(pod, replace(RUNNING, is_ready=True), NOW + timedelta(hours=1))
    times = {each["type"]: each["lastTransitionTime"] for each in later["conditions"]}
    assert times["PodScheduled"] == "2026-03-01T12:00:00Z"
    assert times["Ready"] == "2026-03-01T13:00:00Z"
    assert later["startTime"] == first["startTime"]


def test_a_written_status_is_not_written_again() -> None:
    for record in (WAITING, RUNNING, ContainerRecord(ENDED, is_final=True)):
        status = build_status(POD, record, NOW)
        as_stored = {
            **status,
            "qosClass": "BestEffort",
            "conditions": [*status["conditions"], {"type": "Other"}],
        }
        pod = {**POD, "status": as_stored}
        assert is_covered(build_status(pod, record, NOW + timedelta(hours=1)), as_stored)


def test_a_changed_status_is_written() -> None:
    status = build_status(POD, RUNNING, NOW)
    assert not is_covered(build_status(POD, replace(RUNNING, is_ready=True), NOW), status)


def test_a_container_that_was_running_is_reported_as_lost() -> None:
    status = build_status(POD, replace(RUNNING, restart_count=4), NOW)
    restored = restore_record(status, NOW)
    assert restored.state.kind is StateKind.TERMINATED
    assert (restored.state.reason, restored.state.exit_code) == ("ContainerStatusUnknown", 137)
    assert restored.restart_count == 4
    assert not restored.is_final


def test_a_finished_pod_stays_finished() -> None:
    status = build_status(POD, ContainerRecord(replace(ENDED, exit_code=2), is_final=True), NOW)
    restored = restore_record(status, NOW)
    assert restored.is_final
    assert decide_phase(restored) == "Failed"


def test_annotations_tell_ports_and_exact_times() -> None:
    record = replace(RUNNING, ports=(("http", 20007), ("", 20008)), ready_at=NOW)
    assert build_annotations(record) == {
        "rempart.eu/port-http": "20007",
        "rempart.eu/started-at": "2026-03-01T12:00:00.123Z",
        "rempart.eu/ready-at": "2026-03-01T12:00:00.123Z",
    }


@given(st.text(max_size=MESSAGE_BYTES_MAX + 100))
def test_a_message_fits_and_stays_readable(text: str) -> None:
    short = shorten_message(text)
    assert len(short.encode()) <= MESSAGE_BYTES_MAX
    assert text.startswith(short)
