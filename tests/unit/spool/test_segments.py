"""The spool on a real disk, in both settings: every record once, durable, whole after any damage."""

from __future__ import annotations

import json
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.spool.record_rules import RECORD_BYTES_MAX, Position, RecordTooLarge
from controlplane.spool.segments import Damage, SpoolBusy, list_segments, read_segment, segment_path
from tests.unit.spool.settings import FAST, OPENING, OPERATORS, SETTINGS, Setting, read_ids

SCALE = 64 * 1024
"""Segments of 128 and 256 bytes."""

both = pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)


def record(name: str) -> dict[str, str]:
    return {"id": name, "text": "é"}


def fill(setting: Setting, folder: Path, count: int) -> list[str]:
    with setting.open(folder, SCALE) as spool:
        for number in range(count):
            spool.append([record(f"r{number}")])
    return [f"r{number}" for number in range(count)]


class TestAppend:
    @both
    @settings(deadline=None, max_examples=30)
    @given(batches=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=5), max_size=12))
    def test_what_is_appended_is_read_back_in_order_over_segments(
        self, setting: Setting, batches: list[list[int]]
    ) -> None:
        with tempfile.TemporaryDirectory(dir=FAST) as name:
            with setting.open(Path(name), SCALE) as spool:
                for batch in batches:
                    spool.append([record(str(number)) for number in batch])
            assert read_ids(Path(name)) == [str(number) for batch in batches for number in batch]

    @both
    def test_records_come_back_in_order_after_reopening(self, setting: Setting, memory: Path) -> None:
        for name in ("a", "b", "c"):
            with setting.open(memory) as spool:
                spool.append([record(name)])
        assert read_ids(memory) == ["a", "b", "c"]

    @both
    def test_a_record_that_is_too_large_or_no_json_leaves_no_trace(
        self, setting: Setting, memory: Path
    ) -> None:
        with setting.open(memory) as spool:
            spool.append([record("a")])
            with pytest.raises(RecordTooLarge, match="more than 65536"):
                spool.append([record("b"), {"id": "c", "text": "x" * RECORD_BYTES_MAX}])
            with pytest.raises(TypeError):
                spool.append([record("b"), {"id": object()}])
            spool.append([record("d")])
        assert read_ids(memory) == ["a", "d"]

    @both
    def test_ids_behind_a_position_are_those_a_cursor_does_not_know(
        self, setting: Setting, memory: Path
    ) -> None:
        with setting.open(memory, SCALE) as spool:
            spool.append([record("a"), record("b")])
            position = spool.append([record("c"), record("filler"), record("filler"), record("filler")])
            spool.append([record("d")])
            assert spool.ids_after(position) - {OPENING} == {"d"}
            assert spool.ids_after(None) - {OPENING} == {"a", "b", "c", "d", "filler"}
            assert spool.ids_after(Position(99, 0)) == set()

    def test_a_new_segment_begins_with_what_is_open_so_that_old_ones_may_go(self, memory: Path) -> None:
        with OPERATORS.open(memory, SCALE) as spool:
            for number in range(60):
                spool.append([record(str(number))])
            numbers = list_segments(memory)
            assert len(numbers) > 3
            for number in numbers[1:]:
                assert [each["id"] for each in read_segment(segment_path(memory, number))][:2] == [
                    OPENING
                ] * 2
            for number in numbers[:-2]:
                segment_path(memory, number).unlink()
            assert next(spool.recover())["id"] == OPENING

    @both
    @pytest.mark.case("H4")
    def test_a_second_writer_is_refused(self, setting: Setting, memory: Path) -> None:
        with setting.open(memory), pytest.raises(SpoolBusy):
            setting.open(memory)
        setting.open(memory).close()

    @both
    @pytest.mark.case("H5")
    @pytest.mark.parametrize("is_new", [True, False])
    def test_folders_and_files_are_private(self, setting: Setting, is_new: bool, memory: Path) -> None:
        folder = memory / "state" / "spool" / "usage"
        if not is_new:
            folder.mkdir(parents=True, mode=0o755)
            segment_path(folder, 1).touch(mode=0o644)
        ids = fill(setting, folder, 30)
        made = [folder, *folder.iterdir(), *([folder.parent, folder.parent.parent] if is_new else [])]
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made}
        assert modes == {path.name: 0o700 if path.is_dir() else 0o600 for path in made}
        assert read_ids(folder) == ids


GARBAGE = (
    b"\n",
    b"garbage\n",
    b'{"id": "x\0\n',
    b'{"id": "half \xc3\n',
    b"\xff\xfe\n",
    b"[1]\n",
    b"3\n",
    b"null\n",
    b'{"id": "unclosed"\n',
    b'{"id": "torn", "data": {"x": 1}\n',
    b"\0" * 5000 + b"\n",
    b"\0" * 200_000 + b"\n",
    b'{"id": "long", "text": "' + b"x" * 100_000 + b'"\n',
    b"\r\n",
)
TORN = (b'{"id": "torn', b"{", b"\0" * 4096, b'{"id": "half \xc3', b'{"id": "unfinished batch"} \n', b" ")


@pytest.mark.case("H3")
class TestDamage:
    @both
    @pytest.mark.parametrize("torn", TORN)
    def test_a_torn_tail_is_cut_to_the_last_whole_line(
        self, setting: Setting, torn: bytes, memory: Path
    ) -> None:
        ids = fill(setting, memory, 3)
        with segment_path(memory, list_segments(memory)[-1]).open("ab") as file:
            file.write(torn)
        with setting.open(memory, SCALE) as spool:
            assert spool.damage == Damage(torn_bytes=len(torn))
            spool.append([record("after")])
        assert read_ids(memory) == [*ids, "after"]

    @both
    @pytest.mark.parametrize("garbage", GARBAGE, ids=lambda g: repr(g[:9]))
    @pytest.mark.parametrize("place", ["first", "middle", "last"])
    def test_garbage_anywhere_costs_no_good_line_and_no_start(
        self, setting: Setting, garbage: bytes, place: str, memory: Path
    ) -> None:
        ids = fill(setting, memory, 40)
        numbers = list_segments(memory)
        for number in (numbers[0], numbers[-1]):
            path = segment_path(memory, number)
            lines = path.read_bytes().splitlines(keepends=True)
            lines.insert({"first": 0, "middle": len(lines) // 2, "last": len(lines)}[place], garbage)
            path.write_bytes(b"".join(lines))
        is_blank = garbage == b"\n"
        with setting.open(memory, SCALE) as spool:
            assert spool.damage.lines == (0 if is_blank else 2)
            assert spool.ids_after(None) - {OPENING} == set(ids)
            list(spool.recover())
            spool.append([record("after")])
        assert read_ids(memory) == [*ids, "after"]
        with setting.open(memory, SCALE) as again:
            assert again.damage.lines == 0, "what was mended and kept is not counted again"
        assert (memory / "damaged.log").exists() != is_blank

    @both
    @settings(deadline=None, max_examples=60)
    @given(data=st.data())
    def test_bytes_overwritten_anywhere_cost_only_the_lines_that_they_touch(
        self, setting: Setting, data: st.DataObject
    ) -> None:
        with tempfile.TemporaryDirectory(dir=FAST) as name:
            folder = Path(name)
            ids = fill(setting, folder, 30)
            path = segment_path(folder, data.draw(st.sampled_from(list_segments(folder))))
            held = path.read_bytes()
            start = data.draw(st.integers(0, len(held) - 1))
            junk = data.draw(st.sampled_from([b"\0", b"\xff", b"\n", b'"', b"{"])) * data.draw(
                st.integers(1, 90)
            )
            after = (held[:start] + junk + held[start + len(junk) :])[: max(len(held), start + 1)]
            path.write_bytes(after)
            touched = set()
            at = 0
            for line in held.splitlines(keepends=True):
                if at < start + len(junk) and start < at + len(line):
                    touched.add(json.loads(line)["id"])
                at += len(line)
            with setting.open(folder, SCALE) as spool:
                spool.append([record("after")])
            found = read_ids(folder)
            assert found[-1] == "after"
            assert [each for each in found if each in ids] == sorted(set(found) & set(ids), key=ids.index)
            assert set(ids) - set(found) <= touched

    @both
    @settings(deadline=None, max_examples=40)
    @given(data=st.data())
    def test_a_cut_anywhere_leaves_a_prefix(self, setting: Setting, data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory(dir=FAST) as name:
            folder = Path(name)
            ids = fill(setting, folder, 4)
            path = segment_path(folder, list_segments(folder)[-1])
            held = path.read_bytes()
            kept = data.draw(st.integers(0, len(held)))
            path.write_bytes(held[:kept])
            with setting.open(folder, SCALE) as spool:
                spool.append([record("after")])
            found = read_ids(folder)
            assert found == [*ids[: len(found) - 1], "after"]

    @both
    def test_a_whole_record_behind_a_torn_one_or_zeros_is_found_again(
        self, setting: Setting, memory: Path
    ) -> None:
        ids = fill(setting, memory, 2)
        path = segment_path(memory, list_segments(memory)[-1])
        with path.open("ab") as file:
            file.write(b"\0" * 70_000 + json.dumps(record("zeros")).encode() + b"\n")
            file.write(b'{"id": "to' + json.dumps(record("torn")).encode() + b"\n")
        for lines in (2, 0):
            with setting.open(memory, SCALE) as spool:
                assert spool.damage.lines == lines
            assert read_ids(memory) == [*ids, "zeros", "torn"]

    @both
    @pytest.mark.parametrize("what", ["empty", "missing", "folder", "all missing", "other names"])
    def test_a_segment_that_is_empty_missing_or_unreadable_stops_nothing(
        self, setting: Setting, what: str, memory: Path
    ) -> None:
        ids = fill(setting, memory, 40)
        numbers = list_segments(memory)
        for number in numbers if what == "all missing" else {numbers[1], numbers[-1]}:
            path = segment_path(memory, number)
            if what == "other names":
                (memory / f"copy-of-{path.name}").write_bytes(b"garbage")
                (memory / f"{path.name}.bak").mkdir()
                continue
            path.unlink()
            if what == "empty":
                path.touch()
            elif what == "folder":
                path.mkdir()
        with setting.open(memory, SCALE) as spool:
            assert spool.damage.segments == (2 if what == "folder" else 0)
            spool.append([record("after")])
            assert "after" in spool.ids_after(None)
            assert spool.durable.segment >= (1 if what == "all missing" else numbers[-2])
        if what == "folder":
            for number in list_segments(memory):
                if segment_path(memory, number).is_dir():
                    segment_path(memory, number).rmdir()
        found = read_ids(memory)
        assert found[-1] == "after"
        assert set(found) <= {*ids, "after"}
        assert what != "other names" or found == [*ids, "after"]

    @both
    def test_a_segment_removed_under_its_writer_is_replaced_at_once(
        self, setting: Setting, memory: Path
    ) -> None:
        with setting.open(memory) as spool:
            spool.append([record("gone")])
            segment_path(memory, 1).unlink()
            spool.append([record("after")])
            assert spool.damage.segments == 1
        assert read_ids(memory) == ["after"]

    @both
    def test_a_spool_of_the_version_before_is_read_on(self, setting: Setting, memory: Path) -> None:
        """Then no line but a torn one ended in anything but a brace and a line feed."""
        segment_path(memory, 7).write_bytes(b'{"id":"a"}\n{"id":"b"}\n')
        with setting.open(memory) as spool:
            assert spool.damage == Damage()
            assert spool.append([record("c")]).segment == 7
        assert read_ids(memory) == ["a", "b", "c"]
