"""REST of invoices' files: the archived Factur-X PDF, the CII inside it, and the document's life cycle."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from controlplane.einvoicing import service
from controlplane.einvoicing.domain import EInvoice, EInvoiceState, FileKind
from controlplane.einvoicing.schemas import EInvoiceAnswer, EInvoiceList, EInvoiceRowShape
from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require, require_platform
from controlplane.invoicing import service as invoicing
from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.access import tenant_of
from controlplane.kernel.errors import NotFound
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import Edge, EdgeDep, PagingDep

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])
admin_router = APIRouter(prefix="/v1/admin/invoices", tags=["admin: invoices"])
list_router = APIRouter(prefix="/v1/admin/e_invoices", tags=["admin: invoices"])
_ALL = "admin/e_invoices"
_MEDIA = {FileKind.PDF: "application/pdf", FileKind.XML: "application/xml"}
InvoicePath = Annotated[str, Path(max_length=40, description="Id of the invoice.")]
# Read by the handler, after it has asked who is calling.
KindPath = Annotated[str, Path(max_length=8, description="`pdf` or `xml`.", examples=["pdf"])]
_FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/pdf": {}, "application/xml": {}}, "description": "The file."}
}


@router.get(
    "/{invoice_id}/{kind}", operation_id="download_invoice", response_class=Response, responses=_FILES,
    summary="Download an invoice: pdf is the Factur-X original, xml the CII inside it",
)  # fmt: skip
def download(invoice_id: InvoicePath, kind: KindPath, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.INVOICE, Action.READ)
    return _send(edge, tenant_of(edge.principal), invoice_id, kind)


@router.get(
    "/{invoice_id}/e_invoice/status", operation_id="get_e_invoice", summary="Show where the document stands",
    response_model=EInvoiceAnswer,
)  # fmt: skip
def get_e_invoice(invoice_id: InvoicePath, edge: EdgeDep) -> EInvoiceAnswer:
    require(edge.principal, Resource.INVOICE, Action.READ)
    tenant_id, wanted = tenant_of(edge.principal), InvoiceId.parse(invoice_id)

    def query(uow: UnitOfWork) -> EInvoiceAnswer:
        invoicing.get_invoice(uow, wanted, tenant_id)
        return EInvoiceAnswer.of(
            service.find_einvoice(uow, tenant_id, wanted), list(service.list_statuses(uow, tenant_id, wanted))
        )

    return edge.read(query)


@list_router.get(
    "", operation_id="admin_list_e_invoices", summary="List issued documents by where their files stand"
)
def admin_list_e_invoices(
    edge: EdgeDep,
    page: PagingDep,
    state: Annotated[
        EInvoiceState | None, Query(description="Only these; RENDER_FAILED: their files could not be made.")
    ] = None,
) -> EInvoiceList:
    require_platform(edge.principal)
    require(edge.principal, Resource.INVOICE, Action.READ)
    after = edge.page_after(page, _ALL)
    found, shapes = edge.read(lambda uow: _list(uow, state, after, page.limit))
    cursor = edge.next_cursor(found, _ALL)
    return EInvoiceList(e_invoices=shapes, limit=page.limit, has_next=cursor is not None, next_cursor=cursor)


def _list(
    uow: UnitOfWork, state: EInvoiceState | None, after: UUID | None, limit: int
) -> tuple[Page[EInvoice], list[EInvoiceRowShape]]:
    found = service.list_einvoices(uow, state=state, after=after, limit=limit)
    return found, [
        EInvoiceRowShape.of(one, invoicing.get_invoice(uow, one.invoice_id, one.tenant_id).number)
        for one in found.items
    ]


@admin_router.get(
    "/{invoice_id}/{kind}", operation_id="admin_download_invoice", response_class=Response, responses=_FILES,
    summary="Download any invoice",
)  # fmt: skip
def admin_download(invoice_id: InvoicePath, kind: KindPath, edge: EdgeDep) -> Response:
    require_platform(edge.principal)
    require(edge.principal, Resource.INVOICE, Action.READ)
    wanted = InvoiceId.parse(invoice_id)
    invoice = edge.read(lambda uow: invoicing.get_invoice(uow, wanted, None))
    return _send(edge, invoice.tenant_id, invoice_id, kind)


def _send(edge: Edge, tenant_id: TenantId, invoice_id: str, wanted_kind: str) -> Response:
    wanted = InvoiceId.parse(invoice_id)
    if wanted_kind not in set(FileKind):
        raise NotFound("An invoice has the files pdf and xml.")
    kind = FileKind(wanted_kind)

    def query(uow: UnitOfWork) -> tuple[str, bytes, str]:
        number = invoicing.get_invoice(uow, wanted, tenant_id).number
        file = service.get_file(uow, tenant_id, wanted, kind)
        return f"{number}.{kind}", file.content, file.sha256

    name, content, digest = edge.read(query)
    return Response(
        content,
        media_type=_MEDIA[kind],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "ETag": f'"{digest}"',
            "X-Content-SHA256": digest,
        },
    )
