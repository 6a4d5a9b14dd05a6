"""Background work of e-invoicing: make and archive files, hand them to the platform, note collections."""

from __future__ import annotations

import hashlib
from typing import Final

import structlog

from controlplane.einvoicing import service
from controlplane.einvoicing.cii import PROFILE_EN16931
from controlplane.einvoicing.documents import make_documents
from controlplane.einvoicing.domain import EInvoiceState, FileKind
from controlplane.einvoicing.platform import Flow, NullPlatform, Platform
from controlplane.invoicing import service as invoicing
from controlplane.invoicing.domain import InvoiceId
from controlplane.invoicing.metrics import DOCUMENTS_FAILED
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.consumers import Consumer, Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import Database, UnitOfWork
from controlplane.plumbing.schedule import Tick

log = structlog.get_logger()

RETRY_SECONDS: Final = 600
TICKS = (Tick("einvoicing.retry", RETRY_SECONDS),)
BATCH: Final = 100


def consumers(context: Context) -> tuple[Consumer, ...]:
    database = context.database
    platform: Platform = NullPlatform()

    def render(event: Event) -> None:
        assert event.tenant_id is not None
        render_invoice(database, event.tenant_id, InvoiceId.parse(event.payload["invoice_id"]))

    def submit(event: Event) -> None:
        assert event.tenant_id is not None
        submit_invoice(database, platform, event.tenant_id, InvoiceId.parse(event.payload["invoice_id"]))

    def collect(uow: UnitOfWork, event: Event) -> None:
        assert event.tenant_id is not None
        invoice_id = InvoiceId.parse(event.payload["invoice_id"])
        service.record_collection(uow, event.tenant_id, invoice_id, event.payload["amount_minor"])

    def retry(_: Event) -> None:
        retry_unfinished(database, platform)

    return (
        Consumer("einvoicing.render", frozenset({"invoice.issued"}), effect=render),
        Consumer("einvoicing.submit", frozenset({"einvoice.archived"}), effect=submit),
        Consumer("einvoicing.collect", frozenset({"invoice.collected"}), transactional=collect),
        Consumer("einvoicing.retry", frozenset({TICKS[0].topic}), effect=retry),
    )


def render_invoice(database: Database, tenant_id: TenantId, invoice_id: InvoiceId) -> None:
    """Make, check and archive an invoice's files once: claim (short), act (no session), apply (guarded by state)."""
    with database.system(tenant_id) as uow:
        if service.ensure_pending(uow, tenant_id, invoice_id).state is not EInvoiceState.PENDING:
            return
        invoice = invoicing.get_invoice(uow, invoice_id, tenant_id)
    try:
        documents = make_documents(invoice)
    except Exception as err:  # noqa: BLE001 - noted, and no other document is stopped
        # Whatever kind of error a document causes, it is noted as this document's and stops no other.
        log.error("einvoice_refused", invoice_id=str(invoice_id), kind=type(err).__name__, error=str(err))
        with database.system(tenant_id) as uow:
            service.fail_render(uow, tenant_id, invoice_id, str(err) or type(err).__name__)
        return
    with database.system(tenant_id) as uow:
        service.archive(uow, invoice, documents)


def submit_invoice(
    database: Database, platform: Platform, tenant_id: TenantId, invoice_id: InvoiceId
) -> None:
    """Hand the archived original to the platform, outside every transaction."""
    with database.system(tenant_id, is_read_only=True) as uow:
        known = service.find_einvoice(uow, tenant_id, invoice_id)
        if known is None or known.state is not EInvoiceState.ARCHIVED:
            return
        file = service.get_file(uow, tenant_id, invoice_id, FileKind.PDF)
        invoice = invoicing.get_invoice(uow, invoice_id, tenant_id)
    flow = Flow(
        name=f"{invoice.number}.pdf",
        content=file.content,
        sha256=hashlib.sha256(file.content).hexdigest(),
        flow_syntax="Factur-X",
        flow_profile="CIUS" if known.profile == PROFILE_EN16931 else "Extended-CTC-FR",
        processing_rule=next((note.text for note in invoice.notes if note.subject == "BAR"), "B2B"),
        flow_type="CustomerInvoice",
    )
    answer = platform.submit(flow)
    with database.system(tenant_id) as uow:
        service.record_submission(uow, tenant_id, invoice_id, answer)


def retry_unfinished(database: Database, platform: Platform) -> int:
    """Go on with what stopped on the way; return how many were looked at."""
    with database.system(is_read_only=True) as uow:
        unfinished = service.list_unfinished(uow, BATCH)
    for one in unfinished:
        try:
            if one.state is EInvoiceState.ARCHIVED:
                submit_invoice(database, platform, one.tenant_id, one.invoice_id)
            else:
                render_invoice(database, one.tenant_id, one.invoice_id)
        except Exception as err:
            # The next one has its own chance; this one stays on the list.
            log.exception("einvoice_not_finished", invoice_id=str(one.invoice_id), error=str(err))
    _report_failed(database)
    return len(unfinished)


def _report_failed(database: Database) -> None:
    """Say how many issued documents have no files: an alarm until an operator has retried each of them."""
    with database.system(is_read_only=True) as uow:
        failed = service.count_failed(uow)
    DOCUMENTS_FAILED.set(failed)
    if failed:
        log.error("documents_failed", count=failed)
