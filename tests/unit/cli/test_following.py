"""Following: what is new is told once, in order, whatever comes again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.cli.output import CELL_WIDTH_MAX, cut
from controlplane.cli.story import news

LINES = st.lists(st.sampled_from("abc").map(lambda text: {"msg": text}), max_size=20)


@pytest.mark.case("W23")
@given(LINES, LINES)
def test_what_was_added_is_new_and_nothing_else(
    before: list[dict[str, str]], added: list[dict[str, str]]
) -> None:
    assert news(before, before) == []
    assert sorted(each["msg"] for each in news(before, [*before, *added])) == sorted(
        each["msg"] for each in added
    )
    assert news([], added) == added


@pytest.mark.case("W28")
@given(st.text())
def test_a_cell_is_one_line_of_bounded_width(text: str) -> None:
    shown = cut(text)
    assert len(shown) <= CELL_WIDTH_MAX
    assert len(shown.splitlines()) <= 1
    if len(" ".join(text.split())) > CELL_WIDTH_MAX:
        assert shown.endswith("…")
