"""The invoice as a Factur-X file: a PDF/A-3b page made by typst, with the validated CII inside.

typst's page is reproducible byte for byte; the embedding is not (it writes its own time), so the file is stored once
and never rebuilt (docs/french-law.md).
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Final

import facturx  # type: ignore[import-untyped]

from controlplane.einvoicing.cii import PROFILE_EN16931, profile_of
from controlplane.einvoicing.page_rules import make_page
from controlplane.invoicing.domain import Invoice
from controlplane.plumbing.typesetting import make_pdf

_TEMPLATE: Final = Path(__file__).with_name("template.typ")
_FILENAME: Final = "factur-x.xml"


class EmbeddingFailed(RuntimeError):
    """What was taken out of the file is not what was put in."""


def render_page(invoice: Invoice) -> bytes:
    """Typeset the page as PDF/A-3b. Errors: NotTypeset."""
    return make_pdf(_TEMPLATE, make_page(invoice))


def make_facturx(invoice: Invoice, page: bytes, xml: bytes) -> bytes:
    """Put the CII into the page with the Factur-X metadata; checked by taking it out again.

    Errors: EmbeddingFailed. The XML's own checks are `validation.validate_cii`'s: none is run here.
    """
    level = "en16931" if profile_of(invoice) == PROFILE_EN16931 else "extended"
    assert invoice.seller is not None
    made = facturx.generate_from_binary(
        page,
        xml,
        flavor="factur-x",
        level=level,
        check_xsd=False,
        check_schematron=False,
        lang="fr-FR",
        afrelationship="alternative",
        pdf_metadata={
            "author": invoice.seller.legal_name,
            "keywords": "Factur-X, facture",
            "title": f"{invoice.seller.legal_name} {invoice.number}",
            "subject": f"Factur-X {invoice.number}",
        },
    )
    assert isinstance(made, bytes)
    if extract_xml(made) != xml:
        raise EmbeddingFailed(f"The file of {invoice.number} does not give back its XML.")
    return made


def extract_xml(pdf: bytes) -> bytes:
    """Read the CII out of a Factur-X file."""
    filename, xml = facturx.get_xml_from_pdf(BytesIO(pdf), check_xsd=False)
    if filename != _FILENAME:
        raise EmbeddingFailed(f"The file holds {filename!r} where {_FILENAME} was expected.")
    return bytes(xml)
