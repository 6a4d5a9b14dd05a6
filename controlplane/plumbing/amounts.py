"""Money at the doors: a decimal text in major units, such as "12.50", with its ISO 4217 currency beside it.

Inside, amounts are integer minor units (`kernel.money`). A JSON number would be read as a binary fraction by many
clients (RFC 8259 §6), and an integer of cents does not say that it is one.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

CURRENCY = "EUR"
MINOR_DIGITS = 2
# Prices of an hour are kept in millionths of a cent.
MICRO_DIGITS = 8
MAJOR_DIGITS_MAX = 12


def text_of(minor: int) -> str:
    """Cents as an amount: 1250 is "12.50"."""
    return f"{Decimal(minor).scaleb(-MINOR_DIGITS):.{MINOR_DIGITS}f}"


def exact_text(amount: Decimal) -> str:
    """A price or an unrounded amount in major units: two decimals at least, and no idle zero after them."""
    written = f"{amount:f}"
    whole, _, fraction = written.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(MINOR_DIGITS, '0')}"


def micro_text(micro: int) -> str:
    """Millionths of a cent as an amount: 500000000 is "5.00"."""
    return exact_text(Decimal(micro).scaleb(-MICRO_DIGITS))


def minor_of(text: str) -> int:
    """Read an amount as cents. Errors: ValueError for what is no decimal text, or has parts of a cent."""
    try:
        scaled = Decimal(text).scaleb(MINOR_DIGITS)
    except InvalidOperation as err:
        raise ValueError("is not an amount") from err
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError("is not an amount of whole cents")
    return int(scaled)


def _above_zero(text: str) -> str:
    if not minor_of(text):
        raise ValueError("must be above zero")
    return text


# What a caller sends: no sign, no exponent, no thousands separator, at most two decimals.
AmountText = Annotated[
    str, StringConstraints(pattern=rf"^[0-9]{{1,{MAJOR_DIGITS_MAX}}}(\.[0-9]{{1,{MINOR_DIGITS}}})?$")
]
PositiveAmountText = Annotated[AmountText, AfterValidator(_above_zero)]
