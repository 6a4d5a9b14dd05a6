"""Amounts, dates and spaces as each language writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.portal import format_rules as formats

NB, NNB = "\u00a0", "\u202f"


@pytest.mark.parametrize(("language", "shown"), [("en", "€1,234.56"), ("fr", f"1{NNB}234,56{NB}€")])
def test_an_amount_is_written_as_the_language_writes_it(language: str, shown: str) -> None:
    assert formats.amount("1234.56", language) == shown


@pytest.mark.parametrize(
    ("text", "language", "shown"),
    [
        ("0.35", "en", "€0.35"),
        ("0.000125", "en", "€0.000125"),
        ("0.000125", "fr", f"0,000125{NB}€"),
        ("-12.5", "fr", f"-12,50{NB}€"),
        ("2000", "en", "€2,000.00"),
    ],
)
def test_no_digit_of_a_price_is_lost(text: str, language: str, shown: str) -> None:
    assert formats.amount(text, language) == shown


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_an_amount_keeps_every_cent_in_both_languages(minor: int) -> None:
    for language in ("en", "fr"):
        digits = re.sub(r"\D", "", formats.amount(f"{Decimal(minor).scaleb(-2):.2f}", language))
        assert int(digits) == abs(minor)


@pytest.mark.parametrize(
    ("value", "language", "shown"),
    [
        (1_234_567, "fr", f"1{NNB}234{NNB}567"),
        ("1234.50", "en", "1,234.50"),
        ("0.000001", "fr", "0,000001"),
        ("n/a", "fr", "n/a"),
        ("NaN", "en", "NaN"),
    ],
)
def test_numbers_keep_their_digits(value: int | str, language: str, shown: str) -> None:
    assert formats.number(value, language) == shown


@pytest.mark.parametrize(
    ("plain", "set_right"),
    [
        ("Vraiment ? Oui !", f"Vraiment{NNB}? Oui{NNB}!"),
        ("Pays : FR ; SE", f"Pays{NB}: FR{NNB}; SE"),
        ("« ici »", f"«{NB}ici{NB}»"),
        ("20 % et 5 €", f"20{NB}% et 5{NB}€"),
        ("12:30", "12:30"),
    ],
)
def test_french_punctuation_gets_its_spaces(plain: str, set_right: str) -> None:
    assert formats.typeset(plain, "fr") == set_right
    assert formats.typeset(set_right, "fr") == set_right
    assert formats.typeset(plain, "en") == plain


def test_instants_are_shown_in_paris() -> None:
    assert formats.instant("2026-10-31T23:30:00Z", "en") == "01/11/2026, 00:30"
    assert formats.instant("2026-07-01T10:00:00+00:00", "fr", precision="second").endswith("12:00:00")
    assert formats.instant(None, "en") == formats.MISSING


def test_months_are_those_of_paris() -> None:
    assert formats.month("2026-10-31T23:00:00Z", "fr") == "novembre 2026"
    assert formats.month("2026-10", "en") == "October 2026"
    assert formats.day("2026-10-31T23:00:00Z", "en") == "1 November 2026"
    assert formats.day("2026-11-02", "fr") == "2 novembre 2026"


def test_thousandths_and_basis_points() -> None:
    assert formats.milli(1200, "fr") == "1,2"
    assert formats.milli(None, "en") == formats.MISSING
    assert formats.percent(2400, "en") == "24%"
    assert formats.percent(3333, "fr") == f"33,33{NB}%"


def test_countries_have_names_and_unknown_codes_stay() -> None:
    assert formats.country("FR", "en") == "France"
    assert formats.country("SE", "fr") == "Suède"
    assert formats.country("XQ", "fr") == "XQ"
    assert formats.country(None, "fr") == formats.MISSING


def test_time_past_is_told_in_words() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert formats.ago("2026-11-21T11:00:00Z", now, "fr") == "il y a 1 heure"
