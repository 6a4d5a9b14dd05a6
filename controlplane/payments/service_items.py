"""What is open of each issued invoice, read from allocations and credit notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from controlplane.invoicing import service as invoicing
from controlplane.invoicing.domain import Invoice, InvoiceKind, InvoiceState
from controlplane.kernel.ids import TenantId
from controlplane.payments import repository
from controlplane.payments.domain import OpenItem
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy

# Open invoices of one tenant: a month each, so a page of 200 reaches back more than sixteen years.
INVOICES_MAX: Final = 2_000
PAGE: Final = 200


def list_open_items(uow: UnitOfWork, tenant_id: TenantId) -> Sequence[OpenItem]:
    """Issued invoices that are not settled, oldest first."""
    return [item for item in items_of(uow, _issued(uow, tenant_id)) if item.open_minor > 0]


def list_items(uow: UnitOfWork, tenant_id: TenantId) -> Sequence[OpenItem]:
    """All issued invoices of a tenant with what was paid and credited, oldest first; NotFound without the tenant."""
    tenancy.get_tenant(uow, tenant_id)
    return items_of(uow, _issued(uow, tenant_id))


def _issued(uow: UnitOfWork, tenant_id: TenantId) -> list[Invoice]:
    found: list[Invoice] = []
    after: UUID | None = None
    for _ in range(INVOICES_MAX // PAGE):
        page = invoicing.list_invoices(
            uow, tenant_id=tenant_id, after=after, limit=PAGE, states=(InvoiceState.ISSUED,)
        )
        found += [invoice for invoice in page.items if invoice.kind is not InvoiceKind.CREDIT_NOTE]
        after = page.next_after
        if after is None:
            break
    return sorted(found, key=lambda invoice: invoice.number or "")


def items_of(uow: UnitOfWork, invoices: Sequence[Invoice]) -> list[OpenItem]:
    """What was paid and credited of each of these issued invoices."""
    items = []
    for invoice in invoices:
        assert invoice.number is not None
        assert invoice.due_on is not None
        paid = repository.list_allocations(uow, invoice.tenant_id, invoice_ids=[invoice.id])
        notes = [note for note in invoicing.list_credit_notes(uow, invoice) if note.is_issued]
        items.append(
            OpenItem(
                invoice_id=invoice.id,
                number=invoice.number,
                due_on=invoice.due_on,
                gross_minor=invoice.totals.gross_minor,
                vat_minor=invoice.totals.tax_minor,
                paid_minor=sum(one.amount_minor for one in paid),
                paid_vat_minor=sum(one.vat_minor for one in paid),
                credited_minor=sum(note.totals.gross_minor for note in notes),
                credited_vat_minor=sum(note.totals.tax_minor for note in notes),
                is_vat_on_payment=invoice.seller is None or not invoice.seller.is_vat_on_debits,
            )
        )
    return items
