"""From an invoice to its files: write, validate, typeset, embed. Nothing leaves that the rules refuse."""

from __future__ import annotations

from controlplane.einvoicing.cii import profile_of, write_cii
from controlplane.einvoicing.domain import Documents
from controlplane.einvoicing.pdf import make_facturx, render_page
from controlplane.einvoicing.validation import Finding, validate_cii
from controlplane.invoicing.domain import Invoice
from controlplane.plumbing.typesetting import check_texts

# The first failures tell the cause; the others follow from them.
FINDINGS_SHOWN_MAX = 5


class DocumentRefused(RuntimeError):
    """The official rules refuse the document; `findings` says which."""

    def __init__(self, number: str, findings: tuple[Finding, ...]) -> None:
        told = "; ".join(f"{one.rule}: {one.message}" for one in findings[:FINDINGS_SHOWN_MAX])
        super().__init__(f"{number}: {told}")
        self.findings = findings


class TextRefused(RuntimeError):
    """A text of the document cannot be printed; the message names its field."""


def try_documents(invoice: Invoice) -> None:
    """Make and check everything of a document but the embedding, and keep nothing.

    Errors: TextRefused, DocumentRefused, CheckNotRun, NotTypeset.
    """
    problems = check_texts(_texts(invoice))
    if problems:
        raise TextRefused("; ".join(f"{one.field}: {one.message}" for one in problems))
    write_checked(invoice)
    render_page(invoice)


def write_checked(invoice: Invoice) -> bytes:
    """The CII of an invoice, accepted by the official rules. Errors: DocumentRefused, CheckNotRun."""
    xml = write_cii(invoice)
    validation = validate_cii(xml)
    if not validation.is_valid:
        raise DocumentRefused(invoice.number or str(invoice.id), validation.errors)
    return xml


def make_documents(invoice: Invoice, *, is_checked: bool = False) -> Documents:
    """Make the files of an issued invoice.

    `is_checked`: the rules accepted the same document under a stand-in number of the same form (`try_documents`), so
    they are not run again while the number series waits. Errors: DocumentRefused, CheckNotRun, NotTypeset,
    EmbeddingFailed.
    """
    xml = write_cii(invoice) if is_checked else write_checked(invoice)
    return Documents(profile_of(invoice), xml, make_facturx(invoice, render_page(invoice), xml))


def _texts(invoice: Invoice) -> dict[str, str]:
    """What a document prints that somebody wrote, by field."""
    assert invoice.buyer is not None
    address = invoice.buyer.address
    return {
        "buyer.legal_name": invoice.buyer.legal_name,
        "buyer.number": invoice.buyer.legal_id or "",
        "buyer.address.line1": address.line1,
        "buyer.address.line2": address.line2,
        "buyer.address.postal_code": address.postal_code,
        "buyer.address.city": address.city,
        "purchase_order": invoice.purchase_order,
        **{f"lines.{line.position}.name": line.name for line in invoice.lines},
        **{f"notes.{note.subject}": note.text for note in invoice.notes},
        **{f"allowances.{i}.reason": one.reason for i, one in enumerate(invoice.allowances, start=1)},
    }
