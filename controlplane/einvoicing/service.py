"""Use cases of e-invoicing: archive files once, read them back checked, note what the platform and the bank say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from controlplane.audit import service as audit
from controlplane.einvoicing import repository
from controlplane.einvoicing.domain import (
    REASON_NEEDED,
    TRANSITIONS,
    ArchivedFile,
    Documents,
    EInvoice,
    EInvoiceState,
    EInvoiceTrigger,
    FileKind,
    LifeCycle,
    Status,
    StatusId,
)
from controlplane.einvoicing.events import EInvoiceArchived
from controlplane.einvoicing.platform import Acknowledgement
from controlplane.invoicing import service as invoicing
from controlplane.invoicing.domain import Invoice, InvoiceId
from controlplane.invoicing.vat_data import Flow
from controlplane.kernel.errors import Conflict, InvalidInput, NotFound
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork

ACTOR: Final = "system:einvoicing"
MESSAGE_LENGTH_MAX: Final = 4_000


class ArchiveDamaged(RuntimeError):
    """A stored file is not the one that was written."""


def ensure_pending(uow: UnitOfWork, tenant_id: TenantId, invoice_id: InvoiceId) -> EInvoice:
    """Begin an invoice's way, or return where it stands; a failed one is PENDING again."""
    known = repository.find_einvoice(uow, tenant_id, invoice_id, is_locked=True)
    if known is None:
        known = EInvoice(tenant_id, invoice_id, EInvoiceState.PENDING, "", "", None, uow.now, uow.now)
        repository.save_einvoice(uow, known)
    if known.state is EInvoiceState.RENDER_FAILED:
        known = _move(uow, known, EInvoiceTrigger.RETRY, "")
    return known


def archive(uow: UnitOfWork, invoice: Invoice, documents: Documents) -> EInvoice:
    """Keep the files of an invoice, once: made again, what was kept first stays and is returned."""
    known = repository.find_einvoice(uow, invoice.tenant_id, invoice.id, is_locked=True)
    if known is None:
        raise NotFound(f"The e-invoice of {invoice.id} was not begun.")
    if known.state is not EInvoiceState.PENDING:
        return known
    files = {FileKind.XML: documents.xml, FileKind.PDF: documents.pdf}
    digests = {kind: hashlib.sha256(content).hexdigest() for kind, content in files.items()}
    for kind, content in files.items():
        repository.add_file(
            uow, ArchivedFile(invoice.tenant_id, invoice.id, kind, content, digests[kind], uow.now)
        )
    moved = _move(uow, replace(known, profile=documents.profile), EInvoiceTrigger.ARCHIVE, "")
    # The hash stands in the chained audit log too: whoever changed the file would have to change the chain.
    audit.record(
        uow, tenant_id=invoice.tenant_id, actor=ACTOR, action="einvoice.archived", target=str(invoice.id),
        detail={"pdf_sha256": digests[FileKind.PDF], "xml_sha256": digests[FileKind.XML]},
    )  # fmt: skip
    uow.emit(EInvoiceArchived(invoice.tenant_id, invoice.id, digests[FileKind.PDF]))
    return moved


def fail_render(uow: UnitOfWork, tenant_id: TenantId, invoice_id: InvoiceId, message: str) -> EInvoice:
    """Note that the files could not be made or were refused; tried again later."""
    known = repository.find_einvoice(uow, tenant_id, invoice_id, is_locked=True)
    if known is None:
        raise NotFound(f"The e-invoice of {invoice_id} was not begun.")
    return _move(uow, known, EInvoiceTrigger.FAIL, message) if known.state is EInvoiceState.PENDING else known


def get_file(uow: UnitOfWork, tenant_id: TenantId, invoice_id: InvoiceId, kind: FileKind) -> ArchivedFile:
    """Read an archived file and check it. Errors: NotFound for an unknown invoice, Conflict while it is not made."""
    file = repository.find_file(uow, tenant_id, invoice_id, kind)
    if file is None:
        invoice = invoicing.get_invoice(uow, invoice_id, tenant_id)
        if not invoice.is_issued:
            raise Conflict("The invoice is not issued: it has no file yet.")
        known = repository.find_einvoice(uow, tenant_id, invoice_id)
        if known is not None and known.state is EInvoiceState.RENDER_FAILED:
            raise Conflict(
                f"The invoice's file could not be made: {known.message} Correct the billing party or ask the operator "
                "to retry the invoice."
            )
        raise Conflict("The invoice's file is being made; ask again in a moment.")
    check_file(file)
    return file


def check_file(file: ArchivedFile) -> None:
    """Compare a file with the hash that was stored with it; ArchiveDamaged when one byte differs."""
    if hashlib.sha256(file.content).hexdigest() != file.sha256:
        raise ArchiveDamaged(
            f"The archived {file.kind} of {file.invoice_id} is not the one that was written."
        )


def record_submission(
    uow: UnitOfWork, tenant_id: TenantId, invoice_id: InvoiceId, answer: Acknowledgement
) -> EInvoice:
    """Note what the platform answered: SUBMITTED with status 200, or NOT_TRANSMITTED when nothing was sent."""
    known = repository.find_einvoice(uow, tenant_id, invoice_id, is_locked=True)
    if known is None:
        raise NotFound(f"There is no e-invoice of {invoice_id}.")
    if known.state is not EInvoiceState.ARCHIVED:
        return known
    if not answer.is_transmitted:
        return _move(uow, known, EInvoiceTrigger.KEEP, answer.message)
    moved = _move(uow, replace(known, flow_id=answer.flow_id), EInvoiceTrigger.SUBMIT, answer.message)
    add_status(
        uow, tenant_id, invoice_id, LifeCycle.DEPOSITED, source="platform", is_simulated=answer.is_simulated
    )
    return moved


def record_collection(uow: UnitOfWork, tenant_id: TenantId, invoice_id: InvoiceId, amount_minor: int) -> None:
    """Status 212 (Encaissée): the seller's, only where VAT falls due on payment and the sale is an e-invoice."""
    invoice = invoicing.get_invoice(uow, invoice_id, tenant_id)
    assert invoice.seller is not None
    assert invoice.vat is not None
    if invoice.seller.is_vat_on_debits or invoice.vat.flow != Flow.E_INVOICE:
        return
    add_status(uow, tenant_id, invoice_id, LifeCycle.COLLECTED, source="seller", amount_minor=amount_minor)


def add_status(
    uow: UnitOfWork,
    tenant_id: TenantId,
    invoice_id: InvoiceId,
    code: LifeCycle,
    *,
    source: str,
    reason: str = "",
    amount_minor: int | None = None,
    is_simulated: bool = False,
) -> Status:
    """Append a step of the life cycle. Errors: InvalidInput for a refusal without its reason (BR-FR-CDV-15)."""
    if code in REASON_NEEDED and not reason.strip():
        raise InvalidInput(f"Status {int(code)} needs a reason.")
    if code is LifeCycle.COLLECTED and amount_minor is None:
        raise InvalidInput("Status 212 says what was collected (BR-FR-CDV-14).")
    status = Status(
        StatusId.new(), tenant_id, invoice_id, code, reason, source, amount_minor, is_simulated, uow.now
    )
    repository.add_status(uow, status)
    return status


def find_einvoice(uow: UnitOfWork, tenant_id: TenantId, invoice_id: InvoiceId) -> EInvoice | None:
    return repository.find_einvoice(uow, tenant_id, invoice_id)


def list_statuses(uow: UnitOfWork, tenant_id: TenantId, invoice_id: InvoiceId) -> Sequence[Status]:
    return repository.list_statuses(uow, tenant_id, invoice_id)


def list_unfinished(uow: UnitOfWork, limit: int) -> Sequence[EInvoice]:
    """What failed to be made or handed over, longest untouched first."""
    return repository.list_by_state(
        uow, (EInvoiceState.PENDING, EInvoiceState.RENDER_FAILED, EInvoiceState.ARCHIVED), limit
    )


def list_einvoices(
    uow: UnitOfWork, *, state: EInvoiceState | None, after: UUID | None, limit: int
) -> Page[EInvoice]:
    """Documents of all tenants by where their files stand, newest first (platform transaction)."""
    found = repository.page_einvoices(uow, state=state, after=after, limit=limit + 1)
    return Page.of(found, limit, lambda one: one.invoice_id.value)


def count_failed(uow: UnitOfWork) -> int:
    """How many issued documents have no files because these could not be made; zero is the only good answer."""
    return repository.count_state(uow, EInvoiceState.RENDER_FAILED)


def _move(uow: UnitOfWork, known: EInvoice, trigger: EInvoiceTrigger, message: str) -> EInvoice:
    moved = replace(
        known,
        state=TRANSITIONS.next(known.state, trigger),
        message=message[:MESSAGE_LENGTH_MAX],
        updated_at=uow.now,
    )
    repository.save_einvoice(uow, moved)
    return moved
