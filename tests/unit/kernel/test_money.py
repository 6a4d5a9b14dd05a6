"""Money: exact, one rounding, no float."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.money import CurrencyMismatch, Money, Quantity, UnitMismatch

AMOUNTS = st.integers(-(10**12), 10**12)


class TestMoney:
    @given(AMOUNTS, AMOUNTS)
    def test_sums_are_exact_and_reversible(self, a: int, b: int) -> None:
        assert Money(a) + Money(b) - Money(b) == Money(a)

    @given(AMOUNTS)
    def test_rounding_an_exact_amount_changes_nothing(self, minor: int) -> None:
        assert Money.round(Money(minor).as_decimal()) == Money(minor)

    @pytest.mark.parametrize(
        ("amount", "minor"), [("0.005", 1), ("-0.005", -1), ("0.0049", 0), ("1.115", 112)]
    )
    def test_a_half_is_rounded_away_from_zero(self, amount: str, minor: int) -> None:
        assert Money.round(Decimal(amount)) == Money(minor)

    @pytest.mark.parametrize("minor", [1.0, True, Decimal(1)])
    def test_only_integers_count_minor_units(self, minor: Any) -> None:
        with pytest.raises(TypeError):
            Money(minor)

    def test_two_currencies_do_not_add(self) -> None:
        with pytest.raises(CurrencyMismatch):
            Money(1, "EUR") + Money(1, "SEK")


class TestQuantity:
    def test_two_units_do_not_add(self) -> None:
        with pytest.raises(UnitMismatch):
            Quantity(Decimal(1), "token") + Quantity(Decimal(1), "gpu_second")

    @pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity")])
    def test_a_quantity_is_finite(self, value: Decimal) -> None:
        with pytest.raises(TypeError):
            Quantity(value, "token")
