"""Amounts, numbers, dates and texts as each language writes them. Pure.

Sources: CLDR through Babel; Lexique des règles typographiques en usage à l'Imprimerie nationale (narrow no-break space
before `;`, `!` and `?`, no-break space before `:` and inside « »).
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton, format_timedelta
from babel.numbers import format_currency, format_decimal

from controlplane.kernel.period import PARIS

NARROW = "\u202f"
NO_BREAK = "\u00a0"
MISSING = "–"
_DOUBLE = re.compile(r"[ \u00a0\u202f]+(?=[;!?])")
_COLON = re.compile(r"[ \u00a0\u202f]+(?=:)")
_OPEN = re.compile(r"«[ \u00a0\u202f]*")
_CLOSE = re.compile(r"[ \u00a0\u202f]*»")
_PERCENT = re.compile(r"(?<=\d) (?=[%€])")


def typeset(text: str, language: str) -> str:
    """Put French punctuation's spaces right; other languages as they are."""
    if language != "fr":
        return text
    text = _DOUBLE.sub(NARROW, text)
    text = _COLON.sub(NO_BREAK, text)
    text = _OPEN.sub("«" + NO_BREAK, text)
    text = _CLOSE.sub(NO_BREAK + "»", text)
    return _PERCENT.sub(NO_BREAK, text)


def amount(text: str, language: str, currency: str = "EUR") -> str:
    """An amount that the API gave as decimal digits, with every digit that it has, two at least."""
    exact = Decimal(text)
    digits = max(2, -int(exact.as_tuple().exponent))
    pattern = Locale.parse(language).currency_formats["standard"].pattern
    wide = re.sub(r"0\.00", "0." + "0" * digits, pattern)
    return format_currency(exact, currency, wide, locale=language, currency_digits=False)


def number(value: int | str | Decimal, language: str) -> str:
    """A count or a quantity, with every digit it has; what is none is shown as it is."""
    try:
        exact = Decimal(value)
    except InvalidOperation:
        return str(value)
    if not exact.is_finite():
        return str(value)
    digits = max(0, -int(exact.as_tuple().exponent))
    return format_decimal(exact, "#,##0" + ("." + "0" * digits if digits else ""), locale=language)


def milli(value: int | None, language: str) -> str:
    """Thousandths as a decimal: a PUE of 1200 is 1.2."""
    return MISSING if value is None else number((Decimal(value) / 1000).normalize(), language)


def percent(basis_points: int | None, language: str) -> str:
    """Hundredths of a percent as a percentage."""
    if basis_points is None:
        return MISSING
    return number((Decimal(basis_points) / 100).normalize(), language) + (
        f"{NO_BREAK}%" if language == "fr" else "%"
    )


def instant(value: str | None, language: str, precision: str = "minute") -> str:
    """An RFC 3339 instant in Paris's time, where the months of the invoices begin; `precision` minute or second."""
    if not value:
        return MISSING
    at = parse(value).astimezone(PARIS)
    return format_datetime(at, "medium" if precision == "second" else "short", locale=_region(language))


def day(value: str | None, language: str) -> str:
    """A date, or the Paris day of an instant."""
    if not value:
        return MISSING
    on = date.fromisoformat(value) if len(value) == 10 else parse(value).astimezone(PARIS).date()
    return format_date(on, "long", locale=_region(language))


def month(value: str, language: str) -> str:
    """`2026-10`, or an instant, as October 2026."""
    on = date.fromisoformat(value + "-01") if len(value) == 7 else parse(value).astimezone(PARIS).date()
    return format_skeleton("yMMMM", on, locale=_region(language))


def ago(value: str | None, now: datetime, language: str) -> str:
    """How long ago an instant was, in words."""
    if not value:
        return MISSING
    return format_timedelta(parse(value) - now, add_direction=True, locale=_region(language))


def duration(seconds: int, language: str) -> str:
    """A length of time in words, rounded up: who waits that long does not come too early."""
    shown = timedelta(seconds=seconds if seconds < 60 else -(-seconds // 60) * 60)
    return format_timedelta(shown, threshold=1.5, locale=_region(language))


def country(code: str | None, language: str) -> str:
    """A country's name; the code itself when nobody knows it."""
    if not code:
        return MISSING
    return str(Locale.parse(language).territories.get(code.upper(), code))


def parse(value: str) -> datetime:
    return datetime.fromisoformat(value.replace("Z", "+00:00"))


def _region(language: str) -> str:
    # Plain `en` writes dates the American way round; this is a European installation.
    return "en_GB" if language == "en" else language
