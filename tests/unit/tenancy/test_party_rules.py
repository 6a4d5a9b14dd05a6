"""Company numbers: known good ones, and every single wrong digit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.jurisdiction import EU
from controlplane.tenancy.domain import Address, BillingParty
from controlplane.tenancy.party_rules import (
    check_billing_party,
    french_vat_key,
    is_valid_siren,
    is_valid_vat_id,
)

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

    @pytest.mark.parametrize("country", sorted(EU))
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

    def test_all_wrong_fields_are_named_at_once(self) -> None:
        wrong = BillingParty("X", "XX", "1", None, replace(ADDRESS, country="YY"))
        assert fields_refused(wrong) == ["country", "address.country", "siren", "vat_id"]


def fields_refused(party: BillingParty) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        check_billing_party(party)
    return [problem.field for problem in refused.value.fields]
