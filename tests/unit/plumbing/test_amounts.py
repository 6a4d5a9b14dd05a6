"""Money at the doors: one notation, exact both ways."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from controlplane.plumbing import amounts


@given(st.integers(min_value=-(10**17), max_value=10**17))
def test_cents_come_back_from_their_text(minor: int) -> None:
    text = amounts.text_of(minor)
    assert re.fullmatch(r"-?\d+\.\d{2}", text)
    assert amounts.minor_of(text) == minor


@given(st.integers(min_value=0, max_value=10**15))
def test_no_digit_of_a_price_is_lost(micro: int) -> None:
    text = amounts.micro_text(micro)
    assert re.fullmatch(r"\d+\.\d{2,8}", text)
    assert Decimal(text) * 10**8 == micro
    assert not re.search(r"\.\d{2,}0$", text), "idle zeros after the cents"


@pytest.mark.parametrize(
    "text", ["1.234", "1e2", "-1.00", "NaN", "", "1,50", " 1", "1.", ".5", "1" * 13, "٣"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(amounts.AmountText).validate_python(text)


@pytest.mark.parametrize("value", [5, 5.0, Decimal(5), None, True])
def test_a_number_is_no_amount(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(amounts.AmountText).validate_python(value)


@pytest.mark.parametrize("text", ["0", "0.00"])
def test_nothing_is_not_a_positive_amount(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(amounts.PositiveAmountText).validate_python(text)
