"""Company numbers: known good ones, and every single wrong digit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.country_names import COUNTRY_NAMES
from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.jurisdiction import MEMBER_STATES
from controlplane.tenancy.domain import Address, BillingParty
from controlplane.tenancy.party_rules import (
    check_billing_party,
    french_vat_key,
    is_valid_siren,
    is_valid_vat_id,
)

SIREN_TERRITORIES = {"FR", "GP", "MQ", "GF", "RE", "YT"}
VAT_IDS = {
    "AT": "ATU13585627", "BE": "BE0428759497", "BG": "BG175074752", "CY": "CY10259033P", "CZ": "CZ25123891",
    "DE": "DE136695976", "DK": "DK13585628", "EE": "EE100931558", "GR": "EL094259216", "ES": "ESB58378431",
    "FI": "FI20774740", "HR": "HR33392005961", "HU": "HU12892312", "IE": "IE6433435F", "IT": "IT00743110157",
    "LT": "LT119511515", "LU": "LU15027442", "LV": "LV40003521600", "MT": "MT11679112", "NL": "NL004495445B01",
    "PL": "PL8567346215", "PT": "PT501964843", "RO": "RO18547290", "SE": "SE556188840401", "SI": "SI50223054",
    "SK": "SK2022749619", "MC": "FRK7399859412",
}  # fmt: skip
ADDRESS = Address("1 rue du Test", "", "91120", "Palaiseau", "FR")
PARTY = BillingParty("Acme SAS", "FR", "732829320", "FR44732829320", ADDRESS)


def complete_siren(first_eight: str) -> str:
    """Append the one digit that makes the number valid, by search: an oracle apart from the rule's own sum."""
    table = {"0": 0, "1": 2, "2": 4, "3": 6, "4": 8, "5": 1, "6": 3, "7": 5, "8": 7, "9": 9}
    total = sum(table[c] if i % 2 else int(c) for i, c in enumerate(first_eight))
    return first_eight + str(-total % 10)


SIRENS = st.from_regex(r"[0-9]{8}", fullmatch=True).map(complete_siren).filter(lambda s: s != "000000000")


class TestSiren:
    # INSEE's own number, SNCF, EDF and the one of La Poste, whose exception concerns SIRET numbers only.
    @pytest.mark.parametrize("siren", ["732829320", "552049447", "552081317", "356000000", "120027016"])
    def test_numbers_of_real_companies_are_accepted(self, siren: str) -> None:
        assert is_valid_siren(siren)

    @pytest.mark.parametrize(
        "text", ["", "000000000", "73282932", "7328293200", "73282932O", "٧٣٢٨٢٩٣٢٠", "732 829 320"]
    )
    def test_what_has_not_the_form_is_refused(self, text: str) -> None:
        assert not is_valid_siren(text)

    @given(siren=SIRENS, position=st.integers(0, 8), by=st.integers(1, 9))
    def test_one_wrong_digit_is_always_noticed(self, siren: str, position: int, by: int) -> None:
        assert is_valid_siren(siren)
        wrong = siren[:position] + str((int(siren[position]) + by) % 10) + siren[position + 1 :]
        assert not is_valid_siren(wrong)


class TestVatId:
    @given(siren=SIRENS, by=st.integers(1, 96))
    def test_french_number_has_exactly_one_numeric_key(self, siren: str, by: int) -> None:
        key = french_vat_key(siren)
        assert is_valid_vat_id(f"FR{key}{siren}", "FR")
        assert not is_valid_vat_id(f"FR{(int(key) + by) % 97:02d}{siren}", "FR")

    @pytest.mark.parametrize(
        ("text", "country"),
        [
            ("DE136695976", "DE"), ("ATU13585627", "AT"), ("BE0428759497", "BE"), ("EL094259216", "GR"),
            ("IE6433435F", "IE"), ("IE3628739UA", "IE"), ("NL004495445B01", "NL"), ("ESB58378431", "ES"),
            ("SE556188840401", "SE"), ("CY10259033P", "CY"), ("FRK7399859412", "MC"), ("CHE116281271", "CH"),
        ],
    )  # fmt: skip
    def test_each_country_has_its_form(self, text: str, country: str) -> None:
        assert is_valid_vat_id(text, country)

    @pytest.mark.parametrize(
        ("text", "country"),
        [
            ("DE13669597", "DE"), ("136695976", "DE"), ("FR44732829320", "DE"), ("GR094259216", "GR"),
            ("FR45732829320", "FR"), ("FRO1732829320", "FR"), ("FR44732829321", "FR"), ("DE136695976 ", "DE"),
        ],
    )  # fmt: skip
    def test_another_form_or_another_country_is_refused(self, text: str, country: str) -> None:
        assert not is_valid_vat_id(text, country)

    @pytest.mark.parametrize("country", sorted(MEMBER_STATES))
    def test_every_country_of_the_union_has_a_rule(self, country: str) -> None:
        assert not is_valid_vat_id("", country)
        assert not is_valid_vat_id("XX123456789", country)


class TestBillingParty:
    def test_french_company_needs_its_siren_and_may_have_no_vat_number(self) -> None:
        check_billing_party(PARTY)
        check_billing_party(replace(PARTY, vat_id=None))
        assert fields_refused(replace(PARTY, siren=None, vat_id=None)) == ["siren"]

    def test_vat_number_of_another_siren_is_refused(self) -> None:
        other = f"FR{french_vat_key('552081317')}552081317"
        assert fields_refused(replace(PARTY, vat_id=other)) == ["vat_id"]

    def test_company_elsewhere_needs_a_number_and_has_no_siren(self) -> None:
        german = replace(PARTY, country="DE", siren=None, vat_id="DE136695976")
        check_billing_party(german)
        assert fields_refused(replace(german, vat_id=None)) == ["vat_id"]
        assert fields_refused(replace(german, siren="732829320")) == ["siren"]

    @pytest.mark.case("M13")
    @pytest.mark.parametrize("country", sorted(COUNTRY_NAMES))
    def test_a_business_of_every_country_can_be_invoiced(self, country: str) -> None:
        siren = "732829320" if country in SIREN_TERRITORIES else None
        vat_id = None if siren else VAT_IDS.get(country, "1234567001")
        party = BillingParty("Acme", country, siren, vat_id, replace(ADDRESS, country=country))
        check_billing_party(party)
        with_nothing = fields_refused(replace(party, siren=None, vat_id=None))
        assert with_nothing == ["siren" if siren else "vat_id"]

    @pytest.mark.case("M13")
    @pytest.mark.parametrize("country", ["BL", "MF", "PM"])
    def test_an_overseas_collectivity_has_either_number(self, country: str) -> None:
        party = BillingParty("Acme", country, None, "1234567", replace(ADDRESS, country=country))
        check_billing_party(party)
        check_billing_party(replace(party, siren="732829320", vat_id=None))
        assert fields_refused(replace(party, siren="732829321", vat_id=None))[0] == "siren"

    @pytest.mark.case("M13")
    @pytest.mark.parametrize("country", ["GP", "MQ", "RE"])
    def test_vat_number_in_an_overseas_department_is_french(self, country: str) -> None:
        party = replace(PARTY, country=country, address=replace(ADDRESS, country=country))
        check_billing_party(party)
        assert fields_refused(replace(party, vat_id="FR45732829320")) == ["vat_id"]
        assert fields_refused(replace(party, vat_id="1234567")) == ["vat_id"]
        assert fields_refused(replace(party, siren="552081317")) == ["vat_id"]

    def test_all_wrong_fields_are_named_at_once(self) -> None:
        wrong = BillingParty("X", "XX", "1", None, replace(ADDRESS, country="YY"))
        assert fields_refused(wrong) == ["country", "address.country", "siren", "vat_id"]


def fields_refused(party: BillingParty) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        check_billing_party(party)
    return [problem.field for problem in refused.value.fields]
