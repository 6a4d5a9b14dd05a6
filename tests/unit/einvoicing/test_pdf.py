"""The page that people read and the file around the XML."""

from __future__ import annotations

import re
from decimal import Decimal
from io import BytesIO

import pytest
from pypdf import PdfReader

from controlplane.einvoicing.documents import make_documents
from controlplane.einvoicing.page_rules import format_amount, format_decimal
from controlplane.einvoicing.pdf import EmbeddingFailed, extract_xml, make_facturx, render_page
from controlplane.tenancy.domain import BillingParty
from tests.fixtures.invoices import BERLIN, PALAISEAU, ZURICH, credited, issued, rated_line


@pytest.mark.parametrize(
    ("minor", "text"),
    [
        (123456, "1\u202f234,56\u00a0€"), (0, "0,00\u00a0€"), (5, "0,05\u00a0€"), (-123456, "-1\u202f234,56\u00a0€"),
        (100_000_000_00, "100\u202f000\u202f000,00\u00a0€"), (-5, "-0,05\u00a0€"),
    ],
)  # fmt: skip
def test_amounts_are_written_as_in_france(minor: int, text: str) -> None:
    assert format_amount(minor) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("12.5000", "12,5"), ("1000000.0000", "1\u202f000\u202f000"), ("0.000001", "0,000001")],
)
def test_quantities_show_no_zeros_that_say_nothing(value: str, text: str) -> None:
    assert format_decimal(Decimal(value)) == text


def read(pdf: bytes) -> str:
    text = "\n".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)
    return re.sub(r"[\s\u202f\u00a0]+", " ", text)


def test_the_page_is_french_and_says_what_the_invoice_says() -> None:
    invoice = issued(PALAISEAU, rated_line("gpu", quantity="1512.5", price="2.49", base="1", unit="gpu_hour"))
    text = read(render_page(invoice))
    for words in (
        "Facture", "Invoice", "DEMO-2026-000001", "Kernel SAS", "SIREN 732829320", "FR44732829320", "02/11/2026",
        "01/10/2026", "31/10/2026", "3 766,13 €", "753,23 €", "4 519,36 €", "40 €", "RCS Paris 100000009",
        "capital de 100 000,00 €", "Prestation de services", "02/12/2026", "DÉMONSTRATION",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize(
    ("party", "words"),
    [(BERLIN, "Autoliquidation (art. 283-2 du CGI"), (ZURICH, "Prestation non soumise à la TVA française")],
)
def test_the_page_says_why_no_vat_is_charged(party: BillingParty, words: str) -> None:
    assert words in read(render_page(issued(party)))


def test_a_credit_note_names_its_invoice_on_the_page() -> None:
    text = read(render_page(credited(issued())))
    assert "Avoir" in text
    assert "DEMO-2026-000001 du 02/11/2026" in text


def test_the_page_is_reproducible() -> None:
    assert render_page(issued()) == render_page(issued())


@pytest.mark.parametrize(("party", "level"), [(PALAISEAU, "EN 16931"), (ZURICH, "EXTENDED")])
def test_the_file_gives_back_its_xml(party: BillingParty, level: str) -> None:
    documents = make_documents(issued(party))
    assert extract_xml(documents.pdf) == documents.xml
    reader = PdfReader(BytesIO(documents.pdf))
    metadata = reader.trailer["/Root"]["/Metadata"].get_data().decode()  # type: ignore[index]
    assert f"<fx:ConformanceLevel>{level}</fx:ConformanceLevel>" in metadata
    assert "<pdfaid:part>3</pdfaid:part>" in metadata
    assert "factur-x.xml" in reader.attachments


def test_a_file_without_its_xml_is_noticed() -> None:
    with pytest.raises(EmbeddingFailed):
        extract_xml(render_page(issued()))


def test_names_from_outside_are_not_read_as_template_code() -> None:
    from dataclasses import replace

    party = replace(PALAISEAU, legal_name='#panic("x") $a_b$ [c] *d* SAS')
    assert '#panic("x")' in read(render_page(issued(party)))


def test_five_hundred_lines_fill_several_pages() -> None:
    invoice = issued(PALAISEAU, *[rated_line(f"sku-{n}") for n in range(500)])
    documents = make_documents(invoice)
    assert len(PdfReader(BytesIO(documents.pdf)).pages) > 10
    assert make_facturx(invoice, render_page(invoice), documents.xml)
