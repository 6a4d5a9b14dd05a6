"""From an issued invoice to its files: write, validate, typeset, embed. Nothing leaves that the rules refuse."""

from __future__ import annotations

from controlplane.einvoicing.cii import profile_of, write_cii
from controlplane.einvoicing.domain import Documents
from controlplane.einvoicing.pdf import make_facturx, render_page
from controlplane.einvoicing.validation import Finding, validate_cii
from controlplane.invoicing.domain import Invoice

# The first failures tell the cause; the others follow from them.
FINDINGS_SHOWN_MAX = 5


class DocumentRefused(RuntimeError):
    """The official rules refuse the document; `findings` says which."""

    def __init__(self, number: str, findings: tuple[Finding, ...]) -> None:
        told = "; ".join(f"{one.rule}: {one.message}" for one in findings[:FINDINGS_SHOWN_MAX])
        super().__init__(f"{number}: {told}")
        self.findings = findings


def make_documents(invoice: Invoice) -> Documents:
    """Make and check the files. Errors: DocumentRefused, CheckNotRun, EmbeddingFailed."""
    xml = write_cii(invoice)
    validation = validate_cii(xml)
    if not validation.is_valid:
        raise DocumentRefused(invoice.number or str(invoice.id), validation.errors)
    return Documents(profile_of(invoice), xml, make_facturx(invoice, render_page(invoice), xml))
