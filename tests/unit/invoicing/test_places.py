"""Where a French customer is: each territory by its real postal codes, never by INSEE's."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.invoicing.domain import Hold
from controlplane.invoicing.vat_data import VatCase
from controlplane.invoicing.vat_rules import find_case, find_row, find_unapproved_move
from controlplane.kernel.errors import InvalidInput
from controlplane.tenancy.domain import Address, BillingParty
from controlplane.tenancy.party_rules import TaxZone, check_billing_party, find_tax_zone, zone_at_sign_up

METROPOLE, OVERSEAS = VatCase.FR_BUSINESS, VatCase.FR_OVERSEAS_BUSINESS
UNTAXED, THIRD = VatCase.FR_UNTAXED_OVERSEAS_BUSINESS, VatCase.FR_THIRD_TERRITORY_BUSINESS
REAL: dict[VatCase, tuple[str, ...]] = {
    METROPOLE: ("75001", "91120", "20000", "20200", "01000", "95880", "06000"),
    # Basse-Terre, Pointe-à-Pitre, Les Abymes, Fort-de-France, Le Lamentin, Saint-Denis, Saint-Pierre (La Réunion).
    OVERSEAS: (
        "97100",
        "97110",
        "97139",
        "97134",
        "97190",
        "97200",
        "97232",
        "97290",
        "97400",
        "97410",
        "97490",
    ),
    # Cayenne, Saint-Laurent, Maripasoula, Mamoudzou, Dzaoudzi.
    UNTAXED: ("97300", "97320", "97370", "97600", "97610", "97680"),
    # Saint-Martin, Saint-Barthélemy, Saint-Pierre-et-Miquelon, TAAF, Wallis-et-Futuna, Tahiti, Nouméa.
    THIRD: ("97150", "97133", "97500", "98413", "98600", "98620", "98713", "98714", "98800", "98890"),
}


def french(postal: str, siren: str | None = "732829320", country: str = "FR") -> BillingParty:
    return BillingParty("X", country, siren, None, Address("1 rue", "", postal, "Ville", country))


@pytest.mark.case("M8")
@pytest.mark.parametrize(("case", "postal"), [(case, code) for case, codes in REAL.items() for code in codes])
def test_each_real_postcode_has_the_case_of_its_territory(case: VatCase, postal: str) -> None:
    assert find_case(french(postal)) is case
    assert find_case(french(f"{postal[:2]} {postal[2:]}")) is case
    check_billing_party(french(postal))


@pytest.mark.case("M8")
@pytest.mark.parametrize(
    ("country", "case"),
    [
        ("GP", OVERSEAS), ("MQ", OVERSEAS), ("RE", OVERSEAS), ("GF", UNTAXED), ("YT", UNTAXED), ("PM", THIRD),
        ("BL", THIRD), ("MF", THIRD), ("TF", THIRD), ("WF", THIRD), ("PF", THIRD), ("NC", THIRD),
    ],
)  # fmt: skip
def test_a_territorys_own_code_has_its_case(country: str, case: VatCase) -> None:
    assert find_case(french("97000", country=country)) is case


@pytest.mark.case("M8")
@pytest.mark.parametrize("postal", ["97700", "97800", "97051", "98100", "00100"])
def test_a_code_whose_place_is_not_known_is_decided_by_hand(postal: str) -> None:
    held = find_case(french(postal))
    assert isinstance(held, Hold)
    assert held.code == "place_unclear"


@pytest.mark.case("M36")
def test_a_french_siren_in_monaco_is_decided_by_hand() -> None:
    held = find_case(french("98000"))
    assert isinstance(held, Hold)
    assert held.code == "place_unclear"


@pytest.mark.case("M7")
@given(
    st.one_of(
        st.from_regex(r"\A[0-9]{1,4}\Z"),
        st.from_regex(r"\A9[69][0-9]{3}\Z"),
        st.sampled_from(["ABCDE", "7500A"]),
    )
)
def test_what_is_no_french_postcode_is_refused(postal: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_billing_party(french(postal))
    assert [problem.field for problem in refused.value.fields] == ["address.postal_code"]


WHERE = [
    *(french(code) for codes in REAL.values() for code in codes),
    *(french("97000", country=code) for code in ("GP", "MQ", "RE", "GF", "YT", "PM", "BL", "MF", "NC", "PF")),
    *(french("10118", None, code) for code in ("US", "GB", "CH", "DE", "IT", "MC", "BR", "TN")),
    french("98000"),
]
# Every zone that anything may be approved as, and none.
APPROVED = [None, *TaxZone]


@pytest.mark.case("M7")
@given(st.sampled_from(WHERE), st.sampled_from(APPROVED))
def test_no_place_counts_that_nobody_showed(where: BillingParty, approved: TaxZone | None) -> None:
    """Held, unless the zone is the approved one, needs no proof of its own, or holds for its own reason anyway."""
    held = find_unapproved_move(where, approved)
    zone = find_tax_zone(where)
    is_full_rate = approved is TaxZone.UNCLEAR and zone in {TaxZone.FRANCE, TaxZone.MONACO, TaxZone.UNION}
    assert (held is None) == (approved in {None, zone} or zone is TaxZone.UNCLEAR or is_full_rate)


@pytest.mark.case("M7")
@given(st.sampled_from(WHERE))
def test_a_sign_up_is_trusted_with_no_lower_rate(where: BillingParty) -> None:
    zone = zone_at_sign_up(where)
    assert zone in {TaxZone.UNCLEAR, TaxZone.FRANCE, TaxZone.MONACO, TaxZone.UNION}
    held = find_unapproved_move(where, zone)
    case = find_case(where)
    if held is None and not isinstance(case, Hold):
        row = find_row(case, date(2026, 11, 1))
        assert row is not None
        assert row.rate == 20 or row.category == "AE"
