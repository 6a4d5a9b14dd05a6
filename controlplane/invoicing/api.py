"""REST of invoices: a tenant reads its own; the platform closes months, issues, holds and credits.

Files (PDF, XML) are the einvoicing room's: `GET /v1/invoices/{id}/pdf` and `/xml`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require, require_platform
from controlplane.invoicing import schemas as wire
from controlplane.invoicing import service
from controlplane.invoicing.domain import Invoice, InvoiceId, InvoiceState, PeriodClose, VatIdAnswer
from controlplane.kernel.access import tenant_of
from controlplane.kernel.ids import TenantId
from controlplane.kernel.principal import Principal
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import Edge, EdgeDep, PagingDep

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])
admin_router = APIRouter(prefix="/v1/admin", tags=["admin: invoices"])
_MINE = "invoices"
_ALL = "admin/invoices"
OrganizationRef = Annotated[str, Path(max_length=64, description="Id of an organization, `org_…`.")]


@router.get("", operation_id="list_invoices", summary="List my invoices and credit notes")
def list_invoices(edge: EdgeDep, page: PagingDep) -> wire.InvoiceList:
    require(edge.principal, Resource.INVOICE, Action.READ)
    tenant_id, after = tenant_of(edge.principal), edge.page_after(page, _MINE)
    return _read_list(
        edge,
        lambda uow: service.list_invoices(uow, tenant_id=tenant_id, after=after, limit=page.limit),
        page.limit,
        _MINE,
    )


@router.get(
    "/{invoice_id}",
    operation_id="get_invoice",
    summary="Get one of my invoices",
    response_model=wire.InvoiceAnswer,
)
def get_invoice(invoice_id: str, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.INVOICE, Action.READ)
    tenant_id, wanted = tenant_of(edge.principal), InvoiceId.parse(invoice_id)
    answer = edge.read(lambda uow: wire.InvoiceAnswer.of(uow, service.get_invoice(uow, wanted, tenant_id)))
    return edge.answer(answer, answer.invoice.version)


@admin_router.get(
    "/invoices", operation_id="admin_list_invoices", summary="List invoices of all organizations"
)
def admin_list(
    edge: EdgeDep,
    page: PagingDep,
    state: Annotated[InvoiceState | None, Query(description="Only these, such as HELD.")] = None,
    organization_id: Annotated[str | None, Query(max_length=40, description="Only of this one.")] = None,
) -> wire.InvoiceList:
    _platform(edge.principal, Action.READ)
    after = edge.page_after(page, _ALL)
    tenant_id = None if organization_id is None else TenantId.parse(organization_id)
    states = () if state is None else (state,)
    return _read_list(
        edge,
        lambda uow: service.list_invoices(
            uow, tenant_id=tenant_id, after=after, limit=page.limit, states=states
        ),
        page.limit,
        _ALL,
    )


@admin_router.get(
    "/invoices/{invoice_id}", operation_id="admin_get_invoice", summary="Get any invoice",
    response_model=wire.InvoiceAnswer,
)  # fmt: skip
def admin_get(invoice_id: str, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.READ)
    wanted = InvoiceId.parse(invoice_id)
    answer = edge.read(lambda uow: wire.InvoiceAnswer.of(uow, service.get_invoice(uow, wanted, None)))
    return edge.answer(answer, answer.invoice.version)


@admin_router.post(
    "/billing/close", operation_id="admin_close_period", summary="Close an organization's month",
    response_model=wire.CloseAnswer,
)  # fmt: skip
def close_period(body: wire.CloseRequest, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.CREATE)
    tenant_id, period = TenantId.parse(body.organization_id), wire.parse_month(body.period)
    # The line is drawn in a short transaction of its own: usage waits to be taken in while it is open.
    with edge.database.system(tenant_id) as uow:
        service.freeze_period(uow, tenant_id, period)
    return edge.write(
        lambda uow: _to_close(
            uow,
            service.close_period(uow, tenant_id, period, actor=edge.principal.actor, is_issuing=body.issue),
        )
    )


@admin_router.post(
    "/invoices/{invoice_id}/issue", operation_id="admin_issue_invoice", summary="Issue a ready invoice",
    response_model=wire.InvoiceAnswer,
)  # fmt: skip
def issue(invoice_id: str, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.OPERATE)
    wanted, actor = InvoiceId.parse(invoice_id), edge.principal.actor
    return edge.write(
        lambda uow: wire.InvoiceAnswer.of(uow, service.issue(uow, wanted, actor=actor)),
        etag=lambda out: out.invoice.version,
    )


@admin_router.post(
    "/invoices/{invoice_id}/retry", operation_id="admin_retry_invoice",
    summary="Draft a held invoice again from the facts of now", response_model=wire.InvoiceAnswer,
)  # fmt: skip
def retry(invoice_id: str, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.OPERATE)
    wanted, actor = InvoiceId.parse(invoice_id), edge.principal.actor
    return edge.write(
        lambda uow: wire.InvoiceAnswer.of(uow, service.retry_invoice(uow, wanted, actor=actor)),
        etag=lambda out: out.invoice.version,
    )


@admin_router.post(
    "/invoices/{invoice_id}/hold", operation_id="admin_hold_invoice", summary="Hold a ready invoice",
    response_model=wire.InvoiceAnswer,
)  # fmt: skip
def hold(invoice_id: str, body: wire.HoldRequest, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.OPERATE)
    wanted, actor = InvoiceId.parse(invoice_id), edge.principal.actor
    return edge.write(
        lambda uow: wire.InvoiceAnswer.of(uow, service.hold_invoice(uow, wanted, body.reason, actor=actor)),
        etag=lambda out: out.invoice.version,
    )


@admin_router.post(
    "/invoices/{invoice_id}/credit_notes", operation_id="admin_create_credit_note",
    summary="Issue a credit note for an invoice or parts of it", status_code=201, response_model=wire.InvoiceAnswer,
)  # fmt: skip
def create_credit_note(invoice_id: str, body: wire.CreditNoteRequest, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.CREATE)
    wanted, actor = InvoiceId.parse(invoice_id), edge.principal.actor
    lines = None if body.lines is None else [line.to_domain() for line in body.lines]
    return edge.write(
        lambda uow: wire.InvoiceAnswer.of(
            uow, service.credit_note(uow, wanted, lines, body.reason, actor=actor)
        ),
        status=201,
        etag=lambda out: out.invoice.version,
    )


@admin_router.post(
    "/organizations/{organization_id}/deposits", operation_id="admin_sell_deposit",
    summary="Invoice a deposit; once paid it is prepaid credit", status_code=201,
    response_model=wire.InvoiceAnswer,
)  # fmt: skip
def sell_deposit(organization_id: OrganizationRef, body: wire.DepositRequest, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.CREATE)
    tenant_id, actor = TenantId.parse(organization_id), edge.principal.actor
    return edge.write(
        lambda uow: wire.InvoiceAnswer.of(
            uow, service.sell_deposit(uow, tenant_id, body.minor(), body.label, actor=actor)
        ),
        status=201,
        etag=lambda out: out.invoice.version,
    )


@admin_router.post(
    "/vat_checks", operation_id="admin_record_vat_check", summary="Record what VIES said about a VAT number",
    status_code=201, response_model=wire.VatAnswerReply,
)  # fmt: skip
def record_vat_check(body: wire.VatAnswerRequest, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.CREATE)
    tenant_id, actor = TenantId.parse(body.organization_id), edge.principal.actor

    def record(uow: UnitOfWork) -> wire.VatAnswerReply:
        answer = VatIdAnswer(
            body.vat_id,
            body.status,
            uow.now,
            body.consultation_number,
            f"recorded by {actor}",
            body.is_simulated,
        )
        kept = service.record_vat_answer(uow, tenant_id, answer, actor=actor)
        return wire.VatAnswerReply(vat_id=kept.vat_id, status=kept.status, checked_at=kept.checked_at)

    return edge.write(record, status=201)


@admin_router.get(
    "/seller", operation_id="admin_get_seller", summary="Show who sells", response_model=wire.SellerAnswer
)
def get_seller(edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.READ)
    seller, version = edge.read(service.get_seller)
    return edge.answer(wire.SellerAnswer.of(seller, version), version)


@admin_router.put(
    "/seller", operation_id="admin_set_seller", summary="Set who sells (needs If-Match once set)",
    response_model=wire.SellerAnswer,
)  # fmt: skip
def set_seller(body: wire.SellerShape, edge: EdgeDep) -> Response:
    _platform(edge.principal, Action.UPDATE)
    actor = edge.principal.actor
    expected = edge.expected_version() if edge.request.headers.get("If-Match") else None
    return edge.write(
        lambda uow: wire.SellerAnswer.of(
            body.to_domain(),
            service.set_seller(uow, body.to_domain(), expected_version=expected, actor=actor),
        ),
        etag=lambda out: out.version,
    )


def _platform(principal: Principal, action: Action) -> None:
    """Billing acts belong to the platform, whatever a tenant's role may do with its own invoices."""
    require_platform(principal)
    require(principal, Resource.INVOICE, action)


def _to_close(uow: UnitOfWork, closed: PeriodClose) -> wire.CloseAnswer:
    invoice = None if closed.invoice is None else wire.to_shapes(uow, [closed.invoice])[0]
    notes, supplements = (wire.to_shapes(uow, some) for some in (closed.credit_notes, closed.supplements))
    return wire.CloseAnswer(
        invoice=invoice, credit_notes=notes, supplements=supplements, is_new=closed.is_new
    )


def _read_list(
    edge: Edge, query: Callable[[UnitOfWork], Page[Invoice]], limit: int, scope: str
) -> wire.InvoiceList:
    def read(uow: UnitOfWork) -> tuple[Page[Invoice], list[wire.InvoiceShape]]:
        page = query(uow)
        return page, wire.to_shapes(uow, page.items)

    page, shapes = edge.read(read)
    cursor = edge.next_cursor(page, scope)
    return wire.InvoiceList(invoices=shapes, limit=limit, has_next=cursor is not None, next_cursor=cursor)
