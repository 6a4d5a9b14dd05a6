"""Numbers: their form, their year, their order."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.invoicing.numbering_rules import (
    NUMBER,
    NUMBER_MAX,
    SeriesState,
    format_number,
    next_in_series,
    parse_number,
)
from controlplane.kernel.errors import Conflict

EMPTY = SeriesState("RMP", 2026, 0, None)


@given(st.from_regex(r"[A-Z]{1,6}", fullmatch=True), st.integers(2000, 2099), st.integers(1, NUMBER_MAX))
def test_every_number_passes_the_platforms_alphabet_and_length(prefix: str, year: int, number: int) -> None:
    text = format_number(prefix, year, number)
    assert NUMBER.fullmatch(text)
    assert len(text) <= 20
    assert parse_number(text) == (prefix, year, number)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_numbers_are_contiguous_within_each_year(steps: list[int]) -> None:
    state, day, seen = EMPTY, date(2026, 1, 1), []
    for step in steps:
        day = date.fromordinal(day.toordinal() + step)
        state, text = next_in_series(state, day)
        seen.append(parse_number(text))
    for year in {year for _, year, _ in seen}:
        given_numbers = [number for _, seen_year, number in seen if seen_year == year]
        assert given_numbers == list(range(1, len(given_numbers) + 1))


def test_the_year_is_inside_and_the_count_starts_anew() -> None:
    state, first = next_in_series(EMPTY, date(2026, 12, 31))
    _, second = next_in_series(state, date(2027, 1, 1))
    assert (first, second) == ("RMP-2026-000001", "RMP-2027-000001")


def test_a_clock_that_went_back_takes_no_number() -> None:
    state, _ = next_in_series(EMPTY, date(2026, 11, 2))
    with pytest.raises(Conflict, match="order of numbers"):
        next_in_series(state, date(2026, 11, 1))


def test_a_full_year_takes_no_number() -> None:
    with pytest.raises(Conflict, match="no number left"):
        next_in_series(SeriesState("RMP", 2026, NUMBER_MAX, None), date(2026, 11, 1))
