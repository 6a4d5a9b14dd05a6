"""Money in integer minor units, and quantities with their unit: no float comes near either."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

# ISO 4217 minor-unit exponents of the currencies that Rempart bills in.
_EXPONENTS = {"EUR": 2, "SEK": 2, "CHF": 2}


class CurrencyMismatch(ValueError):
    """Two currencies met in one sum."""


class UnitMismatch(ValueError):
    """Two units met in one sum."""


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount: `Money(1299, "EUR")` is 12.99 €."""

    minor: int
    currency: str = "EUR"

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError("money counts integer minor units")
        if self.currency not in _EXPONENTS:
            raise ValueError(f"currency {self.currency!r} is not one that is billed")

    @classmethod
    def round(cls, amount: Decimal, currency: str = "EUR") -> Money:
        """Round a decimal amount of major units once, half away from zero: never a sum of rounded parts."""
        if not amount.is_finite():
            raise ValueError("an amount must be finite")
        scaled = amount.scaleb(_EXPONENTS[currency]).quantize(Decimal(1), rounding=ROUND_HALF_UP)
        return cls(int(scaled), currency)

    def as_decimal(self) -> Decimal:
        return Decimal(self.minor).scaleb(-_EXPONENTS[self.currency])

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __str__(self) -> str:
        return f"{self.as_decimal():.{_EXPONENTS[self.currency]}f} {self.currency}"

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be added")


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact amount of something counted or measured, such as `Quantity(Decimal(3600), "gpu_second")`."""

    value: Decimal
    unit: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, Decimal) or not self.value.is_finite():
            raise TypeError("a quantity is a finite Decimal")

    def __add__(self, other: Quantity) -> Quantity:
        if self.unit != other.unit:
            raise UnitMismatch(f"{self.unit} and {other.unit} cannot be added")
        return Quantity(self.value + other.value, self.unit)
