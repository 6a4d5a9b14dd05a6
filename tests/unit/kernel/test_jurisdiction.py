"""Every ISO country is known, and the Union is one of territories."""

from __future__ import annotations

from datetime import date

import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.country_names import COUNTRY_NAMES
from controlplane.kernel.jurisdiction import EEA, MEMBER_STATES, UNION, UNION_PERIODS, Country

# Codes that CLDR names and ISO 3166-1 does not assign: reserved, grouping and user-assigned ones.
NOT_ISO = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "XK", "ZZ"}
CODES = sorted(COUNTRY_NAMES)
IN_UNION = sorted([*MEMBER_STATES, "AX", "GF", "GP", "MF", "MQ", "RE", "YT"])


def cldr(language: str) -> dict[str, str]:
    names = Locale(language).territories
    return {code: name for code, name in names.items() if len(code) == 2 and code.isalpha()}


@pytest.mark.case("F25")
@pytest.mark.case("M13")
class TestCountries:
    def test_all_249_codes_are_known_and_no_other(self) -> None:
        assert len(CODES) == 249
        assert set(CODES) == set(cldr("en")) - NOT_ISO

    @pytest.mark.parametrize("code", CODES)
    def test_each_code_has_its_names_and_its_union(self, code: str) -> None:
        country = Country(code)
        assert (str(country), country.is_eu) == (code, code in IN_UNION)
        assert country.is_eea == (code in {*IN_UNION, "IS", "LI", "NO"})
        for language in ("en", "fr"):
            name = country.name(language)  # type: ignore[arg-type]
            assert name.strip() == name
            assert name

    @pytest.mark.parametrize("language", ["en", "fr"])
    def test_no_two_countries_share_a_name(self, language: str) -> None:
        names = [Country(code).name(language) for code in CODES]  # type: ignore[arg-type]
        assert len(set(names)) == len(names)

    @pytest.mark.parametrize(
        "code",
        ["AW", "BL", "BQ", "CW", "FO", "GG", "GI", "GL", "IM", "JE", "NC", "PF", "PM", "SX", "TF", "WF", "SJ", "MC"],
    )  # fmt: skip
    def test_a_member_states_territory_may_lie_outside(self, code: str) -> None:
        assert not Country(code).is_eu
        assert code not in UNION | EEA

    @given(code=st.text(max_size=4))
    def test_whatever_is_no_code_is_refused_in_words(self, code: str) -> None:
        if code in COUNTRY_NAMES:
            assert Country(code).code == code
        else:
            with pytest.raises(ValueError, match="not a country code of ISO 3166-1"):
                Country(code)

    @pytest.mark.parametrize("code", sorted({*NOT_ISO, "UK", "EL", "XI", "fr", "Fr", "FRA", "250", ""}))
    def test_a_code_of_another_list_is_none(self, code: str) -> None:
        with pytest.raises(ValueError, match="not a country code"):
            Country(code)


@pytest.mark.case("F25")
class TestMembershipInTime:
    @pytest.mark.parametrize(
        ("code", "last_out", "first_in"),
        [
            ("FR", date(1993, 10, 31), date(1993, 11, 1)), ("SE", date(1994, 12, 31), date(1995, 1, 1)),
            ("AX", date(1994, 12, 31), date(1995, 1, 1)), ("MT", date(2004, 4, 30), date(2004, 5, 1)),
            ("RO", date(2006, 12, 31), date(2007, 1, 1)), ("HR", date(2013, 6, 30), date(2013, 7, 1)),
            ("YT", date(2013, 12, 31), date(2014, 1, 1)),
        ],
    )  # fmt: skip
    def test_it_begins_on_the_day_of_entry(self, code: str, last_out: date, first_in: date) -> None:
        assert not Country(code).was_in_union(last_out)
        assert Country(code).was_in_union(first_in)

    @pytest.mark.parametrize(
        ("code", "last_in", "first_out"),
        [
            ("GB", date(2020, 1, 31), date(2020, 2, 1)), ("GI", date(2020, 1, 31), date(2020, 2, 1)),
            ("BL", date(2011, 12, 31), date(2012, 1, 1)),
        ],
    )  # fmt: skip
    def test_it_ends_on_the_day_of_leaving(self, code: str, last_in: date, first_out: date) -> None:
        assert Country(code).was_in_union(last_in)
        assert not Country(code).was_in_union(first_out)
        assert not Country(code).is_eu

    @pytest.mark.parametrize("code", CODES)
    def test_today_is_the_end_of_the_dated_table(self, code: str) -> None:
        assert Country(code).was_in_union(date(2026, 11, 21)) == Country(code).is_eu
        assert not Country(code).was_in_union(date(1993, 10, 31))

    def test_the_table_speaks_of_known_codes_only(self) -> None:
        assert set(UNION_PERIODS) <= set(CODES)
