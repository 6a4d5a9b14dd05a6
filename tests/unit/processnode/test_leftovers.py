"""Leftovers of an earlier run are found by what it recorded, and nothing else is ever touched."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.processnode.leftovers import (
    POD_UID_VARIABLE,
    RECORD_FILE,
    end_leftovers,
    find_processes,
    read_boot_id,
    read_start_ticks,
    record_process,
)

WAIT_SECONDS = 10


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "300"], env={})
    yield process
    process.kill()
    process.wait()


def test_a_recorded_process_is_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    folder = tmp_path / "uid-1"
    folder.mkdir()
    record_process(folder, sleeper.pid, read_start_ticks(sleeper.pid))
    assert end_leftovers(tmp_path) == 1
    assert sleeper.wait(WAIT_SECONDS) == -9


def test_a_recycled_pid_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    folder = tmp_path / "uid-2"
    folder.mkdir()
    record_process(folder, sleeper.pid, read_start_ticks(sleeper.pid) - 1)
    assert end_leftovers(tmp_path) == 0
    assert sleeper.poll() is None


def test_a_pid_of_another_boot_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    folder = tmp_path / "uid-3"
    folder.mkdir()
    record = {"pid": sleeper.pid, "startTicks": read_start_ticks(sleeper.pid), "bootId": read_boot_id()[::-1]}
    (folder / RECORD_FILE).write_text(json.dumps(record))
    assert end_leftovers(tmp_path) == 0
    assert sleeper.poll() is None


def test_a_child_that_left_the_group_is_found_by_its_pods_uid(tmp_path: Path) -> None:
    folder = tmp_path / "uid-4"
    folder.mkdir()
    stray = subprocess.Popen(["sleep", "300"], env={POD_UID_VARIABLE: "uid-4"}, start_new_session=True)
    try:
        assert find_processes(folder, "uid-4") == [stray.pid]
        assert find_processes(folder, "uid-40") == []
        end_leftovers(tmp_path)
        assert stray.wait(WAIT_SECONDS) == -9
    finally:
        stray.kill()
        stray.wait()


def test_a_damaged_record_is_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "uid-5"
    folder.mkdir()
    (folder / RECORD_FILE).write_text("{")
    assert end_leftovers(tmp_path) == 0
