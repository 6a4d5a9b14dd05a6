"""Σ lines = round(Σ rated events), on one bill and over all bills of a month."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from controlplane.rating import pricers
from controlplane.rating.domain import RatedLine, RatedPeriod, Sku, StepKind
from controlplane.rating.line_rules import correct
from controlplane.rating.rating_rules import PlanSpan, rate
from controlplane.rating.rounding_rules import balance_bill, balance_lines, sum_exact
from tests.unit.rating.values import (
    MONTH,
    PAYG,
    given_input,
    per_unit,
    table,
    unhurried,
    usage,
    version,
)

# Prices whose products fall everywhere between two cents, on the half cent too.
PRICES = {
    "a": "0.005", "b": "0.0033", "c": "0.001667", "d": "0.0125", "e": "0.0049", "f": "0.000001", "g": "0.333333",
}  # fmt: skip
SKUS = [Sku(f"sku.{name}", name, name, "input_tokens", "token", {"model": name}) for name in PRICES]
VERSIONS = table(*(version(per_unit(price), f"sku.{name}") for name, price in PRICES.items()))
EVENTS = st.lists(st.tuples(st.sampled_from(sorted(PRICES)), st.integers(1, 999)), min_size=1, max_size=12)
Event = tuple[str, int]


def rate_events(events: list[Event], minimum_minor: int = 0) -> RatedPeriod:
    plan = replace(PAYG, minimum_minor=minimum_minor)
    totals = [usage(count, model=name) for name, count in events]
    return rate(given_input(VERSIONS, totals, skus=SKUS, plans=[PlanSpan(plan, MONTH)]))


def round_sum(events: list[Event]) -> int:
    """The oracle: events × price, summed without any rating, rounded once."""
    return pricers.round_minor(sum((Decimal(PRICES[name]) * count for name, count in events), Decimal(0)))


def net(lines: tuple[RatedLine, ...]) -> int:
    return sum(line.net_minor for line in lines)


@unhurried
@given(events=EVENTS)
def test_lines_sum_to_the_rounded_sum_of_rated_events(events: list[Event]) -> None:
    lines = rate_events(events).lines
    assert net(lines) == round_sum(events) == pricers.round_minor(sum_exact(lines))
    for line in lines:
        assert abs(line.net_minor - line.exact_amount * 100) < 1
        assert all(pricers.replay(step) == step.result for step in line.calculation)
        assert line.calculation[-1].result == str(line.net_minor)


@unhurried
@given(on_time=EVENTS, late=st.lists(EVENTS, max_size=4), seed=st.integers(0, 10**6))
def test_all_bills_of_a_month_sum_to_the_rounded_sum_of_its_events(
    on_time: list[Event], late: list[list[Event]], seed: int
) -> None:
    """However many times events come late, in whatever order: no half cent piles up between the bills."""
    booked, seen = rate_events(on_time).lines, list(on_time)
    for batch in late:
        seen += batch
        random.Random(seed).shuffle(seen)
        booked += correct(rate_events(seen).lines, booked)
        assert net(booked) == round_sum(seen)
    assert correct(rate_events(seen).lines, booked) == ()


@unhurried
@given(events=EVENTS, taken=st.integers(0, 11))
def test_usage_that_is_taken_back_leaves_no_cent(events: list[Event], taken: int) -> None:
    kept = events[:taken]
    booked = rate_events(events).lines
    assert net(booked) + net(correct(rate_events(kept).lines, booked)) == round_sum(kept)


@unhurried
@given(on_time=EVENTS, late=EVENTS, minimum=st.integers(0, 2_000))
def test_a_minimum_is_reached_to_the_cent(on_time: list[Event], late: list[Event], minimum: int) -> None:
    booked = rate_events(on_time, minimum).lines
    assert net(booked) == max(minimum, round_sum(on_time))
    booked += correct(rate_events(on_time + late, minimum).lines, booked)
    assert net(booked) == max(minimum, round_sum(on_time + late))


def test_the_cent_goes_where_rounding_took_most() -> None:
    """1.2 + 1.4 + 1.4 cents are 4: the first of the two that lost most takes the missing one, and says so."""
    [line] = rate_events([("a", 1)]).lines
    lines = [
        replace(line, exact_amount=Decimal(cents).scaleb(-2), net_minor=1) for cents in ("1.2", "1.4", "1.4")
    ]
    found = balance_bill(lines)
    assert [each.net_minor for each in found] == [1, 2, 1]
    assert [each.calculation[-1].kind is StepKind.BALANCE for each in found] == [False, True, False]
    assert found[1].calculation[-1].inputs == {"bill_minor": "4", "lines_minor": "3", "rounded_minor": "1"}
    assert balance_lines(lines, 3) == tuple(lines)


def test_one_line_is_simply_rounded() -> None:
    [line] = rate_events([("a", 3)]).lines
    assert (line.sku, line.net_minor, line.calculation[-1].kind) == ("sku.a", 2, StepKind.ROUND)
