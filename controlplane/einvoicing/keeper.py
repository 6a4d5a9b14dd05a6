"""How issuing makes documents: tried with a stand-in number first, then made with the real one and archived at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from controlplane.einvoicing import repository, service
from controlplane.einvoicing.documents import make_documents, try_documents
from controlplane.einvoicing.domain import FINISHED, EInvoice, EInvoiceState
from controlplane.invoicing.document_port import FileState, use_keeper
from controlplane.invoicing.domain import Invoice, InvoiceId
from controlplane.kernel.errors import Unavailable
from controlplane.plumbing.database import UnitOfWork

log = structlog.get_logger()


class ArchivingKeeper:
    """The keeper of every program: files go into the archive in the issuing transaction."""

    def find_problem(self, invoice: Invoice) -> str | None:
        try:
            try_documents(invoice)
        except Exception as err:  # noqa: BLE001 - the document's own fault, whatever it does to a library
            # Whatever a document does to a library, it is this document's fault and nobody else's.
            log.warning(
                "document_invalid", invoice_id=str(invoice.id), kind=type(err).__name__, error=str(err)
            )
            return str(err) or type(err).__name__
        return None

    def keep(self, uow: UnitOfWork, invoice: Invoice) -> None:
        try:
            documents = make_documents(invoice, is_checked=True)
        except Exception as err:
            log.error(
                "document_not_made", invoice_id=str(invoice.id), kind=type(err).__name__, error=str(err)
            )
            raise Unavailable("The document could not be made now; nothing was issued. Try again.") from err
        service.ensure_pending(uow, invoice.tenant_id, invoice.id)
        service.archive(uow, invoice, documents)

    def find_states(self, uow: UnitOfWork, invoice_ids: Sequence[InvoiceId]) -> Mapping[InvoiceId, FileState]:
        return {one.invoice_id: _file_state(one) for one in repository.list_einvoices(uow, invoice_ids)}


def _file_state(one: EInvoice) -> FileState:
    """What a platform says later is no fact of the file: once kept, it stays ARCHIVED."""
    if one.state in FINISHED:
        return FileState(EInvoiceState.ARCHIVED, "", is_kept=True)
    return FileState(one.state, one.message, is_kept=False)


def register_keeper() -> None:
    use_keeper(ArchivingKeeper())
