"""W3C Trace Context, by its own table of valid and invalid headers, and as a property over any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.plumbing.trace_rules import join_trace, readable_client_id

NEW_TRACE, NEW_SPAN = "a" * 32, "b" * 16
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.case("W12")
@pytest.mark.parametrize(
    ("header", "is_continued"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", True),
        (f"cc-{TRACE}-{PARENT}-01-what-comes-later", True),
        (f"00-{TRACE}-{PARENT}-01-more", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE[1:]}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}-01\n", False),
        ("", False),
        (None, False),
    ],
)
def test_a_callers_trace_is_continued_exactly_when_its_header_is_valid(
    header: str | None, is_continued: bool
) -> None:
    trace = join_trace(header, new_trace_id=NEW_TRACE, new_span_id=NEW_SPAN)
    assert trace.trace_id == (TRACE if is_continued else NEW_TRACE)
    assert trace.parent_id == (PARENT if is_continued else "")
    assert trace.span_id == NEW_SPAN


@given(
    header=st.one_of(
        st.text(max_size=80), st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*")
    )
)
def test_what_is_passed_on_is_always_a_valid_header(header: str) -> None:
    passed = join_trace(header, new_trace_id=NEW_TRACE, new_span_id=NEW_SPAN).traceparent
    assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]", passed)


@given(header=st.text(max_size=200))
def test_a_callers_own_id_cannot_forge_a_line_or_flood_it(header: str) -> None:
    kept = readable_client_id(header)
    assert kept is None or (kept == header and len(kept) <= 128 and kept.isascii() and kept.isprintable())
