"""Whoever may sign up can be invoiced: each accepted text prints and validates, each other one is refused by field."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from controlplane.einvoicing.documents import TextRefused, make_documents, try_documents
from controlplane.einvoicing.pdf import extract_xml
from controlplane.invoicing.domain import Hold
from controlplane.invoicing.vat_rules import find_case
from controlplane.kernel.country_names import COUNTRY_NAMES
from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.text_rules import find_text_fault, tidy
from controlplane.tenancy.domain import Address, BillingParty
from controlplane.tenancy.party_rules import normalize_number, printed_texts
from controlplane.tenancy.service import check_party
from tests.fixtures.invoices import PALAISEAU, ZURICH, credited, issued

# Samples of how businesses outside the Union write their numbers.
NATIONAL_NUMBERS = [
    ("US", "123456789"), ("US", "12-3456789"), ("US", "US123456789"), ("IN", "27AAPFU0939F1ZV"),
    ("CN", "91110000802100433B"), ("CH", "CHE-123.456.788"), ("CH", "CHE-123.456.788 MWST"), ("NO", "974 760 673"),
    ("NO", "NO974760673MVA"), ("GB", "GB123456789"), ("GB", "SC123456"), ("BR", "12.345.678/0001-95"),
    ("MX", "Ñ&A010101AB1"), ("AR", "30-12345678-9"), ("CL", "76.123.456-K"), ("JP", "T1234567890123"),
    ("KR", "123-45-67890"), ("AU", "51 824 753 556"), ("CA", "123456789RT0001"), ("TN", "1234567/A/M/000"),
    ("SN", "0012345 2G3"), ("MA", "001234567000089"), ("NC", "0123456.001"), ("PF", "A12345"), ("SG", "M90312345A"),
    ("HK", "12345678-000-01-23-4"), ("VE", "J-12345678-9"), ("VN", "0123456789-001"), ("RU", "7707083893"),
    ("UA", "12345678"), ("TR", "1234567890"), ("SA", "300000000000003"), ("CR", "3-101-123456"), ("RS", "100000001"),
    ("AD", "L-123456-A"), ("MC", "FR00123456789"), ("FO", "123456"), ("GI", "12345"),
]  # fmt: skip
SCRIPTS = {
    "Latin": "Société Générale Œuvre Łódź Ñandú Žižkov",
    "Greek": "Ελληνική Εταιρεία",
    "Cyrillic": "Общество с ограниченной",
    "Arabic": "شركة المثال المحدودة",
    "Hebrew": "חברה בעמ",
    "Devanagari": "भारत क्लाउड प्राइवेट",
    "Bengali": "বাংলা কোম্পানি",
    "Tamil": "தமிழ் நிறுவனம்",
    "Thai": "บริษัท จำกัด",
    "Georgian": "შპს კომპანია",
    "Armenian": "Հայկական ընկերություն",
    "Ethiopic": "ኢትዮጵያ ድርጅት",
    "Khmer": "ក្រុមហ៊ុន",
    "Chinese": "京东方科技集团股份有限公司",
    "Japanese": "株式会社テスト ひらがな",
    "Korean": "주식회사 한국",
    "Emoji": "Fusée 🚀 ❤️ 👨‍👩‍👧",
    "Persian joiner": "شرکت می‌خواهم",
}
TEXTS = st.text(
    st.one_of(
        st.characters(categories=["L", "N"]),
        st.characters(),
        st.sampled_from("".join(SCRIPTS.values())),
        st.sampled_from("\u202e\u2066\u200b\u200d\u00ad\ufeff\ufe0f\u3164\u0301\ue000\x00\n\t "),
    ),
    min_size=1,
    max_size=40,
)


def american(number: str = "12-3456789", **changes: str) -> BillingParty:
    address = Address("350 Fifth Avenue", "", "10118", "New York", "US")
    return replace(BillingParty("Kernel Inc", "US", None, number, address), **changes)


def fields_refused(party: BillingParty) -> set[str]:
    try:
        check_party(party)
    except InvalidInput as err:
        return {problem.field for problem in err.fields}
    return set()


@pytest.mark.case("M1")
@pytest.mark.parametrize(("country", "number"), NATIONAL_NUMBERS)
def test_a_business_number_in_its_national_form_gives_a_valid_document(country: str, number: str) -> None:
    address = Address("1 Main Street", "", "1000", "Town", country)
    party = BillingParty("Kernel Ltd", country, None, normalize_number(number, country), address)
    if country != "MC":
        check_party(party)
    invoice = issued(party)
    assert invoice.buyer is not None
    assert invoice.buyer.legal_id == normalize_number(number, country)
    try_documents(invoice)


@pytest.mark.case("M1")
def test_only_a_number_with_its_countrys_prefix_is_a_vat_number() -> None:
    def vat_of(party: BillingParty) -> str | None:
        buyer = issued(party).buyer
        assert buyer is not None
        return buyer.vat_id

    assert vat_of(american()) is None
    assert vat_of(american("27AAPFU0939F1ZV")) is None
    assert vat_of(replace(ZURICH, vat_id="CHE-123.456.788")) == "CHE123456788"


@pytest.mark.case("M13")
@pytest.mark.parametrize("country", sorted(COUNTRY_NAMES))
def test_each_country_has_a_case_or_a_hold_with_its_reason(country: str) -> None:
    party = BillingParty(
        "Kernel Ltd", country, None, "AB123456", Address("1 Main Street", "", "10000", "Town", country)
    )
    case = find_case(party)
    if isinstance(case, Hold):
        assert len(case.reason) > 20
    else:
        assert case.value[0].isdigit()


@pytest.mark.case("M2")
@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_prints_upright_and_bold(script: str) -> None:
    party = american(legal_name=SCRIPTS[script])
    check_party(party)
    made = make_documents(issued(party))
    assert extract_xml(made.pdf) == made.xml


@pytest.mark.case("M2")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=TEXTS, line1=TEXTS, city=TEXTS)
@example(name="Fusée 🚀 SAS", line1="京", city="ᚠ")
@example(name="SAS\u202eevil", line1="1", city="x")
@example(name="W" * 40, line1="\u0301" * 9, city="a\u05b0")
def test_a_party_is_refused_by_its_field_or_its_invoice_is_valid(name: str, line1: str, city: str) -> None:
    address = Address(tidy(line1) or "1", "", "10118", tidy(city) or "x", "US")
    party = american(legal_name=tidy(name) or "x")
    party = replace(party, address=address)
    refused = fields_refused(party)
    assert refused <= set(printed_texts(party))
    if not refused:
        try_documents(issued(party))


@pytest.mark.case("M34")
@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C])
def test_no_character_turns_the_direction_of_a_name(code: int) -> None:
    party = american(legal_name=f"SAS{chr(code)}evil")
    with pytest.raises(InvalidInput) as refused:
        check_party(party)
    assert [problem.field for problem in refused.value.fields] == ["legal_name"]
    # What was stored before the door knew this is refused by the page too.
    with pytest.raises(TextRefused, match=r"buyer\.legal_name"):
        try_documents(issued(replace(PALAISEAU, legal_name=party.legal_name)))


@pytest.mark.case("M34")
@given(st.characters(categories=["Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"]))
def test_no_invisible_character_passes(character: str) -> None:
    assert find_text_fault(f"Acme{character}SAS") is not None


@pytest.mark.case("M34")
@given(st.text(max_size=60))
def test_a_tidy_text_stays_as_it_is(text: str) -> None:
    once = tidy(text)
    assert tidy(once) == once
    assert unicodedata.is_normalized("NFC", once)


@pytest.mark.case("M33")
@pytest.mark.parametrize("word", ["R" * 200, "京" * 200, "m" * 200, "a_" * 100])
def test_a_word_longer_than_its_box_breaks(word: str) -> None:
    """The customer's box is 82 mm wide: some fifty characters of 9 pt, and none of them may leave it."""
    long = replace(american().address, line1=word)
    made = make_documents(issued(replace(american(), address=long)))
    assert extract_xml(made.pdf) == made.xml
    pieces = [run for run in text_runs(made.pdf) if run and set(run) <= set(word)]
    assert "".join(pieces) == word
    assert all(len(piece) <= 60 for piece in pieces)


def text_runs(pdf: bytes) -> list[str]:
    """The page's texts, a line of them each."""
    return [
        line.replace("\u200b", "").strip()
        for page in PdfReader(BytesIO(pdf)).pages
        for line in page.extract_text().splitlines()
    ]


@pytest.mark.case("M2")
def test_a_credit_note_prints_what_its_invoice_prints() -> None:
    try_documents(credited(issued(american(legal_name=SCRIPTS["Chinese"]))))
