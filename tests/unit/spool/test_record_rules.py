"""Lines and cursors of a spool, whole and damaged."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.spool.record_rules import (
    Position,
    encode_batch,
    is_open_batch,
    read_cursor,
    read_line,
    write_cursor,
)

RECORDS = st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=8), st.integers(0, 9)), max_size=4)


@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_a_batch_reads_back_and_only_its_last_line_ends_it(records: list[dict[str, object]]) -> None:
    lines = encode_batch(records).split(b"\n")[:-1]
    assert [read_line(line).record for line in lines] == records
    assert [is_open_batch(line) for line in lines] == [True] * (len(records) - 1) + [False]


@given(st.binary(max_size=60), st.booleans())
def test_any_line_at_all_is_read_without_an_error(text: bytes, is_cut: bool) -> None:
    found = read_line(text, is_cut=is_cut)
    assert 0 <= found.offset <= len(text)
    assert found.record is None or orjson.loads(text[found.offset :]) == found.record


@pytest.mark.case("H1")
@given(st.integers(0, 10**12 - 1), st.integers(0, 2**62))
def test_both_forms_of_a_cursor_are_read(segment: int, length: int) -> None:
    place = Position(segment, length)
    assert read_cursor(write_cursor(place)) == place
    assert read_cursor(orjson.dumps([segment, length])) == place
    assert read_cursor(orjson.dumps({"segment": segment, "length": length, "later": 1})) == place


@pytest.mark.case("H3")
@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 30, b"{", b"[]", b"[1]", b"[1,2,3]", b"3", b"null", b'"x"', b"{}", b'{"segment":1}', b"[1,-1]",
     b"[-1,1]", b"[true,1]", b'["1",1]', b"[1.5,1]", b"[1,null]", b'{"segment":"1","length":1}', b"[1e30,1]",
     b"[1000000000000,1]", b"[1,9223372036854775808]", b"\xff\xfe"],
)  # fmt: skip
def test_what_is_no_cursor_is_none(data: bytes) -> None:
    assert read_cursor(data) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_a_good_cursor_or_none(data: bytes) -> None:
    found = read_cursor(data)
    assert found is None or (found.segment >= 0 and found.length >= 0)
