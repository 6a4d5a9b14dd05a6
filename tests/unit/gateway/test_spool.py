"""The spool: every line once, durable, whole after any crash."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.gateway.spool import Position, Spool


def _read(folder: Path) -> list[str]:
    lines = b"".join(path.read_bytes() for path in sorted(folder.glob("*.jsonl"))).splitlines()
    return [json.loads(line)["id"] for line in lines]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=5), max_size=8), st.integers(1, 200))
def test_what_is_appended_is_read_back_in_order_over_segments(batches: list[list[int]], size: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        spool = Spool(Path(name), segment_bytes_max=size)
        for batch in batches:
            spool.append([{"id": str(number)} for number in batch])
        spool.close()
        assert _read(Path(name)) == [str(number) for batch in batches for number in batch]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 6), st.integers(0, 40))
def test_a_torn_tail_is_cut_to_the_last_whole_line(count: int, torn: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spool = Spool(folder)
        spool.append([{"id": str(number)} for number in range(count)])
        spool.close()
        path = spool.path(1)
        whole = path.read_bytes()
        kept = max(0, len(whole) - torn)
        path.write_bytes(whole[:kept])
        again = Spool(folder)
        again.append([{"id": "after"}])
        again.close()
        expected = whole[:kept].count(b"\n")
        assert _read(folder) == [*(str(number) for number in range(expected)), "after"]


def test_ids_behind_a_position_are_those_a_cursor_does_not_know(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes_max=20)
    spool.append([{"id": "a"}, {"id": "b"}])
    position = spool.append([{"id": "c"}])
    spool.append([{"id": "d"}])
    assert spool.ids_after(position) == {"d"}
    assert spool.ids_after(None) == {"a", "b", "c", "d"}
    assert spool.ids_after(Position(99, 0)) == set()
    spool.close()
