"""What a stretch of a month's quantity costs."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.rating import pricers
from controlplane.rating.domain import Price
from tests.unit.rating.values import graduated, per_unit, unhurried

ZERO = Decimal(0)
QUANTITIES = st.decimals(0, 10**9, places=4)
PRICES = st.decimals(0, 1000, places=6)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    bounds = sorted(draw(st.sets(st.integers(1, 10**6), max_size=4)))
    tiers = [(str(bound), str(draw(PRICES))) for bound in bounds]
    return graduated(
        *tiers,
        (None, str(draw(PRICES))),
        free=str(draw(st.integers(0, 1000))),
        base=str(draw(st.sampled_from((1, 1000)))),
    )


def total(price: Price, start: Decimal, end: Decimal) -> Decimal:
    return sum((piece.exact_amount for piece in pricers.price_stretch(price, start, end, ZERO)), ZERO)


THREE_TIERS = graduated(("100", "2"), ("300", "1.5"), (None, "1"))
# (price, start, end) → (tier, quantity, exact amount) of each piece.
CASES = [
    (per_unit("0.20", "1000000"), 0, 3_500_000, [(1, "3500000", "0.7")]),
    (per_unit("0.20", "1000000", free="1000000"), 0, 3_500_000, [(0, "1000000", "0"), (1, "2500000", "0.5")]),
    (per_unit("5.90", "3600"), 0, 2_682_000, [(1, "2682000", "4395.5")]),
    (THREE_TIERS, 0, 400, [(1, "100", "200"), (2, "200", "300"), (3, "100", "100")]),
    (graduated(("100", "2"), (None, "1"), free="50"), 0, 160, [(0, "50", "0"), (1, "100", "200"), (2, "10", "10")]),
    (graduated(("100", "2"), (None, "1"), free="50"), 140, 160, [(1, "10", "20"), (2, "10", "10")]),
    (graduated(("100", "2"), (None, "1")), 0, 100, [(1, "100", "200")]),
    (per_unit("1"), 5, 5, []),
]  # fmt: skip


@pytest.mark.parametrize(("price", "start", "end", "expected"), CASES)
def test_each_unit_is_priced_where_it_lies(
    price: Price, start: int, end: int, expected: list[tuple[int, str, str]]
) -> None:
    pieces = pricers.price_stretch(price, Decimal(start), Decimal(end), ZERO)
    found = [(p.tier, pricers.text(p.quantity), pricers.text(p.exact_amount)) for p in pieces]
    assert found == expected


@unhurried
@given(price=prices(), points=st.lists(QUANTITIES, min_size=2, max_size=5))
def test_a_stretch_costs_what_its_parts_cost(price: Price, points: list[Decimal]) -> None:
    edges = sorted(points)
    parts = sum((total(price, a, b) for a, b in itertools.pairwise(edges)), ZERO)
    assert parts == total(price, edges[0], edges[-1])


@unhurried
@given(price=prices(), end=QUANTITIES)
def test_pieces_hold_the_whole_quantity(price: Price, end: Decimal) -> None:
    assert sum((piece.quantity for piece in pricers.price_stretch(price, ZERO, end, ZERO)), ZERO) == end


@pytest.mark.parametrize(
    ("price", "percent", "expected"),
    [
        ("0.20", "10", "0.18"),
        ("0.000001", "50", "0.000001"),
        ("0.33", "33.33", "0.220011"),
        ("5", "100", "0"),
    ],
)
def test_a_discount_forms_a_price_of_six_decimals(price: str, percent: str, expected: str) -> None:
    assert pricers.text(pricers.discount_price(Decimal(price), Decimal(percent))) == expected


@pytest.mark.parametrize(
    ("amount", "minor"),
    [
        ("0.005", 1),
        ("0.0049999", 0),
        ("-0.005", -1),
        ("-0.0049", 0),
        ("1.015", 102),
        ("123456789012345.675", 12345678901234568),
    ],
)
def test_a_line_is_rounded_half_away_from_zero(amount: str, minor: int) -> None:
    assert pricers.round_minor(Decimal(amount)) == minor


@unhurried
@given(
    quantity=st.integers(0, 10**14).map(lambda n: Decimal(n).scaleb(-4)),
    price=st.integers(0, 10**9).map(lambda n: Decimal(n).scaleb(-6)),
    base=st.one_of(st.integers(1, 1_000_000), st.sampled_from((1, 3, 7, 3600, 999_983, 1_000_000))),
)
def test_eighteen_decimals_decide_every_rounding(quantity: Decimal, price: Decimal, base: int) -> None:
    """The kept amount rounds as the fraction itself does, computed in whole numbers."""
    numerator = int(quantity.scaleb(4)) * int(price.scaleb(6)) * 100
    denominator = base * 10**10
    expected = (2 * numerator + denominator) // (2 * denominator)
    assert pricers.round_minor(pricers.amount_of(quantity, price, Decimal(base))) == expected


@unhurried
@given(
    total=st.decimals(-(10**6), 10**6, places=4),
    weights=st.lists(st.decimals(0, 10**6, places=6), min_size=1, max_size=6).filter(any),
)
def test_a_split_loses_nothing(total: Decimal, weights: list[Decimal]) -> None:
    parts = pricers.apportion(total, weights, Decimal("0.0001"))
    assert sum(parts, ZERO) == total
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.00", "0"), ("10", "10"), ("1E+3", "1000"), ("0.1200", "0.12"), ("-5.50", "-5.5")],
)
def test_equal_values_are_equal_texts(value: str, expected: str) -> None:
    assert pricers.text(Decimal(value)) == expected
