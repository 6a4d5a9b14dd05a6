"""The VAT decision table: each row, each refusal, each date at which a row changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.invoicing.domain import Hold, VatIdStatus, VatTreatment
from controlplane.invoicing.vat_data import VAT_ROWS, VatCase
from controlplane.invoicing.vat_rules import (
    VAT_ANSWER_AGE_MAX,
    decide_vat,
    find_row,
    list_ending_cases,
    needs_vies,
)
from controlplane.kernel.jurisdiction import MEMBER_STATES
from controlplane.tenancy.domain import Address, BillingParty
from tests.fixtures.invoices import BERLIN, CONSUMER, GUYANE, NOW, PALAISEAU, REUNION, ZURICH, vies_says

TODAY = date(2026, 10, 31)


def party(country: str, postal: str, *, siren: str | None = None, vat_id: str | None = None) -> BillingParty:
    return BillingParty("X", country, siren, vat_id, Address("1 rue", "", postal, "Ville", country))


def french(postal: str) -> BillingParty:
    return party("FR", postal, siren="732829320")


# who | case | category | rate | VATEX | the mention holds | flow
CASES = [
    (french("75001"), VatCase.FR_BUSINESS, "S", "20", None, "", "e-invoice"),
    (french("20000"), VatCase.FR_BUSINESS, "S", "20", None, "", "e-invoice"),
    (french("97100"), VatCase.FR_OVERSEAS_BUSINESS, "S", "8.5", None, "", "e-invoice"),
    (french("97200"), VatCase.FR_OVERSEAS_BUSINESS, "S", "8.5", None, "", "e-invoice"),
    (REUNION, VatCase.FR_OVERSEAS_BUSINESS, "S", "8.5", None, "", "e-invoice"),
    (GUYANE, VatCase.FR_UNTAXED_OVERSEAS_BUSINESS, "O", None, "VATEX-EU-O", "294-1", "10.1"),
    (french("97600"), VatCase.FR_UNTAXED_OVERSEAS_BUSINESS, "O", None, "VATEX-EU-O", "259-1°", "10.1"),
    (french("98800"), VatCase.FR_THIRD_TERRITORY_BUSINESS, "O", None, "VATEX-EU-O", "259-1°", "10.1"),
    (french("97500"), VatCase.FR_THIRD_TERRITORY_BUSINESS, "O", None, "VATEX-EU-O", "259-1°", "10.1"),
    (party("MC", "98000", vat_id="FR44732829320"), VatCase.MONACO_BUSINESS, "S", "20", None, "", "10.1"),
    (BERLIN, VatCase.EU_BUSINESS, "AE", "0", "VATEX-EU-AE", "Autoliquidation (art. 283-2 du CGI", "10.1"),
    (ZURICH, VatCase.NON_EU_BUSINESS, "O", None, "VATEX-EU-O", "art. 259-1° du CGI", "10.1"),
    (party("GB", "EC1", vat_id="GB123456789"), VatCase.NON_EU_BUSINESS, "O", None, "VATEX-EU-O", "259-1°", "10.1"),
    (party("US", "10001", vat_id="123456789"), VatCase.NON_EU_BUSINESS, "O", None, "VATEX-EU-O", "259-1°", "10.1"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "case", "category", "rate", "vatex", "mention", "flow"), CASES)
def test_each_customer_gets_the_row_of_its_place(
    who: BillingParty,
    case: VatCase,
    category: str,
    rate: str | None,
    vatex: str | None,
    mention: str,
    flow: str,
) -> None:
    answer = vies_says(who) if needs_vies(who) else None
    found = decide_vat(who, answer, TODAY, NOW)
    assert isinstance(found, VatTreatment), found
    assert (found.case, found.category, found.vatex, found.flow) == (case, category, vatex, flow)
    assert found.rate == (None if rate is None else Decimal(rate))
    assert mention in (found.exemption_text or "")
    assert found.source


def test_a_consumer_is_refused_with_the_reason() -> None:
    refused = decide_vat(CONSUMER, None, TODAY, NOW)
    assert isinstance(refused, Hold)
    assert refused.code == "consumer_refused"
    assert "Only businesses" in refused.reason


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (None, "vat_id_unchecked"),
        (vies_says(BERLIN, VatIdStatus.INVALID), "vat_id_invalid"),
        (vies_says(BERLIN, VatIdStatus.UNREACHABLE), "vies_unreachable"),
        (replace(vies_says(BERLIN), vat_id="DE999999999"), "vat_id_unchecked"),
        (replace(vies_says(BERLIN), consultation_number=""), "vat_id_unproved"),
        (
            replace(vies_says(BERLIN), checked_at=NOW - VAT_ANSWER_AGE_MAX - timedelta(seconds=1)),
            "vat_id_answer_old",
        ),
    ],
)
def test_reverse_charge_needs_a_fresh_valid_proved_answer(answer: object, code: str) -> None:
    held = decide_vat(BERLIN, answer, TODAY, NOW)  # type: ignore[arg-type]
    assert isinstance(held, Hold)
    assert held.code == code


@given(
    country=st.sampled_from(sorted(MEMBER_STATES - {"FR"})),
    status=st.sampled_from([VatIdStatus.INVALID, VatIdStatus.UNREACHABLE]),
    day=st.dates(date(2024, 1, 1), date(2032, 1, 1)),
)
def test_without_a_valid_answer_nobody_in_the_union_is_charged_zero(
    country: str, status: VatIdStatus, day: date
) -> None:
    who = party(country, "99999", vat_id="X123")
    assert isinstance(decide_vat(who, vies_says(who, status), day, NOW), Hold)


@pytest.mark.parametrize(
    ("country", "postal"),
    [("ES", "35001"), ("ES", "51001"), ("FI", "22100"), ("DE", "78266"), ("IT", "23041")],
)
def test_places_outside_eu_vat_are_decided_by_hand(country: str, postal: str) -> None:
    who = party(country, postal, vat_id="X123")
    held = decide_vat(who, vies_says(who), TODAY, NOW)
    assert isinstance(held, Hold)
    assert held.code == "outside_eu_vat"


def test_a_billing_address_in_another_country_is_decided_by_hand() -> None:
    who = replace(PALAISEAU, address=replace(PALAISEAU.address, country="DE"))
    held = decide_vat(who, None, TODAY, NOW)
    assert isinstance(held, Hold)
    assert held.code == "place_unclear"


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2026, 12, 31), "art. 259-1° du CGI"),
        (date(2027, 1, 1), "art. L211-92 du CIBS"),
        (date(2029, 1, 1), "art. L211-92 du CIBS"),
    ],
)
def test_articles_move_to_the_cibs_on_the_first_day_of_2027(day: date, words: str) -> None:
    found = decide_vat(ZURICH, None, day, NOW)
    assert isinstance(found, VatTreatment)
    assert words in (found.exemption_text or "")


def test_a_date_without_a_row_holds_the_invoice() -> None:
    assert isinstance(decide_vat(BERLIN, vies_says(BERLIN), date(2028, 6, 30), NOW), VatTreatment)
    held = decide_vat(BERLIN, vies_says(BERLIN), date(2028, 7, 1), NOW)
    assert isinstance(held, Hold)
    assert held.code == "no_vat_row"


@given(st.dates(date(2020, 1, 1), date(2040, 1, 1)), st.sampled_from(list(VatCase)))
def test_rows_of_one_case_never_overlap(day: date, case: VatCase) -> None:
    find_row(case, day)


def test_every_row_names_its_legal_source() -> None:
    assert {row.case for row in VAT_ROWS} == set(VatCase)
    for row in VAT_ROWS:
        assert row.source
        assert (row.exemption_text is None) == (row.vatex is None) == (row.category == "S")


@pytest.mark.case("M24")
def test_a_case_that_ends_is_warned_of_a_year_before() -> None:
    last = date(2028, 7, 1)
    assert list_ending_cases(last - timedelta(days=366)) == {}
    for days in (365, 1, 0, -30):
        assert list_ending_cases(last - timedelta(days=days)) == {VatCase.EU_BUSINESS: last}


@pytest.mark.case("M24")
def test_a_row_that_follows_ends_the_warning() -> None:
    [row] = [row for row in VAT_ROWS if row.case is VatCase.EU_BUSINESS]
    follows = replace(row, valid_from=date(2028, 7, 1), valid_to=None)
    assert list_ending_cases(date(2029, 1, 1), (*VAT_ROWS, follows)) == {}
