"""BG-2 and BG-1: what the document is, its profile and its notes; then the trade."""

from __future__ import annotations

from typing import Final

from controlplane.einvoicing.cii.agreement import add_agreement
from controlplane.einvoicing.cii.delivery import add_delivery
from controlplane.einvoicing.cii.elements import NAMESPACES, add, add_date, block, tag
from controlplane.einvoicing.cii.lines import add_line
from controlplane.einvoicing.cii.settlement import add_settlement
from controlplane.einvoicing.xml_door import etree
from controlplane.invoicing.domain import Invoice, VatCategory

PROFILE_EN16931: Final = "urn:cen.eu:en16931:2017"
PROFILE_EXTENDED_CTC_FR: Final = "urn:cen.eu:en16931:2017#conformant#urn.cpro.gouv.fr:1p0:extended-ctc-fr"


def profile_of(invoice: Invoice) -> str:
    """BT-24. Category O with the seller's VAT number is refused by BR-O-02 under EN16931, but the law wants the
    number (CGI ann. II 242 nonies A I-2°): such invoices follow EXTENDED-CTC-FR."""
    assert invoice.vat is not None
    return PROFILE_EXTENDED_CTC_FR if invoice.vat.category is VatCategory.OUTSIDE_SCOPE else PROFILE_EN16931


def write_cii(invoice: Invoice) -> bytes:
    """Write an issued invoice as CII D22B, UTF-8; AssertionError when it is not issued. Same invoice, same bytes."""
    assert invoice.is_issued, "only an issued invoice has a number to write"
    assert invoice.number is not None
    assert invoice.issued_on is not None
    root = etree.Element(tag("rsm:CrossIndustryInvoice"), nsmap=NAMESPACES)
    with block(root, "rsm:ExchangedDocumentContext") as context:
        add(
            add(context, "ram:BusinessProcessSpecifiedDocumentContextParameter"),
            "ram:ID",
            invoice.billing_mode,
        )
        add(add(context, "ram:GuidelineSpecifiedDocumentContextParameter"), "ram:ID", profile_of(invoice))
    with block(root, "rsm:ExchangedDocument") as document:
        add(document, "ram:ID", invoice.number)
        add(document, "ram:TypeCode", invoice.kind)
        add_date(document, "ram:IssueDateTime", invoice.issued_on)
        for note in invoice.notes:
            with block(document, "ram:IncludedNote") as included:
                add(included, "ram:Content", note.text)
                add(included, "ram:SubjectCode", note.subject)
    with block(root, "rsm:SupplyChainTradeTransaction") as trade:
        for line in invoice.lines:
            add_line(trade, invoice, line)
        add_agreement(trade, invoice)
        add_delivery(trade, invoice)
        add_settlement(trade, invoice)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return written
