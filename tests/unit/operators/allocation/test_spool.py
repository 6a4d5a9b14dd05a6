"""The spool on a real disk: torn tails, rotation, one writer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.allocation.spool import Spool, SpoolBusy, SpoolCorrupt, list_segments, read_segment


def written(directory: Path) -> list[int]:
    return [record["n"] for path in list_segments(directory) for record in read_segment(path)]


class TestSpool:
    def test_records_come_back_in_order_after_reopening(self, tmp_path: Path) -> None:
        with Spool(tmp_path) as spool:
            spool.append([{"n": 1}, {"n": 2}])
        with Spool(tmp_path) as spool:
            spool.append([{"n": 3}])
        assert written(tmp_path) == [1, 2, 3]

    @pytest.mark.parametrize("torn", [b'{"n": 3', b"{", b'{"n": 3, "x": \x00\x00\n', b"\x00\x00\x00"])
    def test_a_torn_tail_is_cut_and_the_next_record_is_whole(self, tmp_path: Path, torn: bytes) -> None:
        with Spool(tmp_path) as spool:
            spool.append([{"n": 1}, {"n": 2}])
        with list_segments(tmp_path)[-1].open("ab") as file:
            file.write(torn)
        assert written(tmp_path) == [1, 2]
        with Spool(tmp_path) as spool:
            spool.append([{"n": 4}])
        assert written(tmp_path) == [1, 2, 4]

    def test_garbage_before_the_end_is_reported_not_skipped(self, tmp_path: Path) -> None:
        with Spool(tmp_path) as spool:
            spool.append([{"n": 1}])
        with list_segments(tmp_path)[-1].open("ab") as file:
            file.write(b'garbage\n{"n": 2}\n')
        with pytest.raises(SpoolCorrupt, match="line 2"):
            written(tmp_path)

    def test_a_second_writer_is_refused(self, tmp_path: Path) -> None:
        with Spool(tmp_path), pytest.raises(SpoolBusy):
            Spool(tmp_path)

    def test_a_new_segment_begins_with_what_is_open_so_that_old_ones_may_go(self, tmp_path: Path) -> None:
        with Spool(tmp_path, segment_bytes_max=20, on_rotate=lambda: [{"n": 0}]) as spool:
            for number in range(1, 9):
                spool.append([{"n": number}])
            segments = list_segments(tmp_path)
            assert len(segments) > 2
            for path in segments[1:]:
                assert next(read_segment(path)) == {"n": 0}
            for path in segments[:-2]:
                path.unlink()
            assert next(spool.recover()) == {"n": 0}


@given(data=st.data(), records=st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_a_cut_anywhere_leaves_a_prefix(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, records: list[int]
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    with Spool(directory) as spool:
        spool.append([{"n": each} for each in records])
    path = list_segments(directory)[-1]
    size = path.stat().st_size
    cut = data.draw(st.integers(0, size))
    path.write_bytes(path.read_bytes()[:cut])
    with Spool(directory) as spool:
        spool.append([{"n": 77}])
    found = written(directory)
    assert found[-1] == 77
    assert found[:-1] == records[: len(found) - 1]
