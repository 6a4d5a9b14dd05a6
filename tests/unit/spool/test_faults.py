"""Every call that the spool makes to the disk fails in turn: what was acknowledged stays, what was refused is not."""

from __future__ import annotations

import ast
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controlplane.spool import disk
from controlplane.spool.segments import Spool, WriteUndecided, list_segments, segment_path
from tests.fixtures.disk_faults import STEPS, Fault, Killed, dead, full, injected, only
from tests.unit.spool.settings import SETTINGS, Setting, read_ids

SCALE = 32 * 1024
"""Segments of 256 and 512 bytes: a few batches fill one, so every step of a rotation is met often."""

BATCHES = 11
FAILURES = ("EIO", "ENOSPC", "EDQUOT", "short", "torn", "failed after")
KILLS = ("killed", "killed after", "killed torn")
TRIES_MAX = 400
LAST = f"{2 * BATCHES - 1}.0"
SETTLED = 30
"""Calls after which the first batch behind the last failure is written."""

pytestmark = [pytest.mark.case("H1"), pytest.mark.case("X8")]


@dataclass
class Story:
    """What a producer was told, batch by batch."""

    setting: Setting
    folder: Path
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    in_flight: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)

    def open(self) -> Spool:
        """As every producer does: a disk that does not let it is asked again."""
        for _ in range(TRIES_MAX):
            try:
                spool = self.setting.open(self.folder, SCALE)
            except OSError:
                continue
            self.decide()
            return spool
        raise AssertionError("the spool never opened")

    def decide(self) -> None:
        """What the spool itself called undecided when its process ended is there whole, at the end, or not at all."""
        if self.undecided and read_ids(self.folder) == self.acknowledged + self.undecided:
            self.acknowledged += self.undecided
        self.undecided = []

    def produce(self, spool: Spool, first: int, count: int) -> None:
        for number in range(first, first + count):
            ids = [f"{number}.{part}" for part in range(number % 3 + 1)]
            self.in_flight = ids
            try:
                spool.append([{"id": each, "padding": "x" * 10} for each in ids])
            except OSError as err:
                self.refused += ids
                if isinstance(err, WriteUndecided):
                    self.undecided = ids
            else:
                self.acknowledged += ids
                self.undecided = []
                self.check_durable(spool)
            self.in_flight = []

    def check_durable(self, spool: Spool) -> None:
        """A reader that goes as far as `durable` meets what was acknowledged and nothing else."""
        held = []
        for path in sorted(self.folder.glob("*.jsonl")):
            number, data = int(path.stem), path.read_bytes()
            if number <= spool.durable.segment:
                held.append(data[: spool.durable.length] if number == spool.durable.segment else data)
        assert b"".join(held).count(b"padding") == len(self.acknowledged)

    def check_after_restart(self, *, may_hold_last: bool = False) -> None:
        self.open().close()
        found = read_ids(self.folder)
        if may_hold_last and found != self.acknowledged:
            assert found == self.acknowledged + self.in_flight
            return
        assert found == self.acknowledged


def run(setting: Setting, folder: Path, decide: Fault) -> tuple[Story, list[str]]:
    """Open, produce over several segments, close, open again and go on, while calls fail."""
    story = Story(setting, folder)
    with injected(decide) as faults, contextlib.suppress(Killed):
        for first in (0, BATCHES):
            spool = story.open()
            story.produce(spool, first, BATCHES)
            spool.close()
    return story, faults.calls


def count_calls(setting: Setting, folder: Path) -> list[str]:
    story, calls = run(setting, folder, lambda *_: None)
    assert len(list_segments(folder)) >= 3
    assert not story.refused
    return calls


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
@pytest.mark.parametrize("how", FAILURES)
def test_a_failure_of_any_one_call_loses_nothing_and_needs_nobody(
    setting: Setting, how: str, memory: Path
) -> None:
    for number in range(len(count_calls(setting, memory / "plain"))):
        story, calls = run(setting, memory / str(number), only(number, how))
        # One failure refuses at most the batch that met it; the next one is taken.
        assert len(story.refused) <= 3, f"call {number} ({calls[number]})"
        story.check_after_restart()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
@pytest.mark.parametrize("how", KILLS)
def test_a_process_killed_at_any_call_leaves_all_or_nothing_of_the_batch_in_flight(
    setting: Setting, how: str, memory: Path
) -> None:
    for number in range(len(count_calls(setting, memory / "plain"))):
        story, _ = run(setting, memory / str(number), only(number, how))
        story.check_after_restart(may_hold_last=True)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
@pytest.mark.parametrize("how", ["ENOSPC", "EDQUOT", "torn"])
@pytest.mark.parametrize("length", [5, 40])
def test_a_disk_that_is_full_for_a_while_goes_on_by_itself(
    setting: Setting, how: str, length: int, memory: Path
) -> None:
    for first in range(0, len(count_calls(setting, memory / "plain")), 3):
        story, calls = run(setting, memory / str(first), full(first, first + length, how))
        story.check_after_restart()
        assert len(calls) < first + length + SETTLED or story.acknowledged[-1] == LAST


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
@pytest.mark.parametrize("length", [3, 8, 30])
def test_a_disk_that_answers_nothing_for_a_while_goes_on_by_itself(
    setting: Setting, length: int, memory: Path
) -> None:
    for first in range(len(count_calls(setting, memory / "plain"))):
        story, calls = run(setting, memory / str(first), dead(first, first + length))
        story.check_after_restart()
        assert len(calls) < first + length + SETTLED or story.acknowledged[-1] == LAST


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
@pytest.mark.parametrize("decide", [full, dead], ids=["full", "dead"])
def test_a_process_killed_on_a_disk_that_still_fails_keeps_what_was_acknowledged(
    setting: Setting, decide: Callable[[int, int], Fault], memory: Path
) -> None:
    for first in range(0, len(count_calls(setting, memory / "plain")), 2):
        for length in (1, 2, 4, 9):
            failing = decide(first, first + length)

            def then_killed(
                index: int,
                name: str,
                arguments: tuple[Any, ...],
                failing: Fault = failing,
                end: int = first + length,
            ) -> str | None:
                return "killed" if index == end else failing(index, name, arguments)

            story, _ = run(setting, memory / f"{first}-{length}", then_killed)
            story.check_after_restart(may_hold_last=True)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
@pytest.mark.parametrize("how", ["EIO", "ENOSPC", "torn", "failed after", "killed", "killed after"])
def test_mending_that_fails_at_any_call_loses_nothing(setting: Setting, how: str, memory: Path) -> None:
    def damaged(folder: Path) -> Story:
        story = Story(setting, folder)
        spool = story.open()
        story.produce(spool, 0, BATCHES)
        spool.close()
        path = segment_path(folder, list_segments(folder)[-1])
        data = path.read_bytes()
        first = data.index(b"\n") + 1
        path.write_bytes(data[:first] + b"\0\0garbage\xc3\n" + data[first:] + b'{"id": "torn')
        return story

    for number in itertools.count():
        story = damaged(memory / str(number))
        with injected(only(number, how)) as faults, contextlib.suppress(Killed):
            story.open().close()
        story.check_after_restart()
        if len(faults.calls) <= number:
            assert number > 10
            return


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_at_its_true_bound_a_rotation_that_fails_at_any_call_loses_nothing(
    setting: Setting, memory: Path
) -> None:
    filler = [{"id": f"filler.{n}", "padding": "x" * 60_000} for n in range(setting.bytes_max // 60_000 + 1)]
    for number in itertools.count():
        folder = memory / str(number)
        with setting.open(folder) as spool:
            spool.append(filler)
            assert spool.durable.length >= setting.bytes_max
            with injected(only(number, "torn" if number % 2 else "EIO")) as faults:
                ids = []
                for name in ("a", "b", "c"):
                    try:
                        spool.append([{"id": name}])
                        ids.append(name)
                    except OSError:
                        continue
        setting.open(folder).close()
        assert read_ids(folder) == [record["id"] for record in filler] + ids
        for path in folder.iterdir():
            path.unlink()
        if len(faults.calls) <= number:
            assert ids == ["a", "b", "c"]
            assert number > 8
            return


def test_every_call_of_the_room_can_be_made_to_fail() -> None:
    """All files of the room reach the disk through disk.py, and disk.py through calls that tests know."""
    room = Path(disk.__file__).parent
    for path in sorted(room.glob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Name):
                assert called.id != "open", path.name
                continue
            assert isinstance(called, ast.Attribute)
            owner = called.value.id if isinstance(called.value, ast.Name) else ""
            if owner in {"os", "fcntl"}:
                assert path.name == "disk.py"
                assert called.attr in STEPS or called.attr == "path"
            named = {
                "write_bytes",
                "write_text",
                "read_bytes",
                "unlink",
                "rename",
                "replace",
                "glob",
                "stat",
                "mkdir",
            }
            assert called.attr not in named | {"touch", "open"} or owner in {"os", "disk"}, called.attr
