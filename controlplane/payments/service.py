"""Use cases of payments: record money that arrived, settle invoices with it, spend what was left over.

All run in platform transactions and never commit. Locks: billing of the tenant first, then the books, then audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final
from uuid import UUID

from controlplane.audit import service as audit
from controlplane.invoicing import service as invoicing
from controlplane.invoicing.domain import Invoice, InvoiceId, InvoiceKind, InvoiceState
from controlplane.kernel.errors import Conflict, InvalidInput
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.ledger import service as ledger
from controlplane.ledger.domain import Accounts, JournalEntryId
from controlplane.payments import repository
from controlplane.payments.domain import (
    Allocation,
    AllocationId,
    OpenItem,
    Payment,
    PaymentId,
    PaymentMethod,
    Receipt,
)
from controlplane.payments.events import InvoiceCollected, PaymentReceived
from controlplane.payments.matching_rules import Share, match_payment
from controlplane.payments.posting_rules import make_receipt_entry, make_transfer_entry, make_vat_entry
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy

__all__ = [
    "list_items",
    "list_open_items",
    "list_payments",
    "match_credit_note",
    "receive_payment",
    "spend_left_over",
]

ACTOR: Final = "system:payments"
# Open invoices of one tenant: a month each, so a page of 200 reaches back more than sixteen years.
INVOICES_MAX: Final = 2_000
PAGE: Final = 200


def receive_payment(
    uow: UnitOfWork,
    tenant_id: TenantId,
    amount_minor: int,
    received_on: date,
    *,
    bank_reference: str,
    remittance: str = "",
    method: PaymentMethod = PaymentMethod.TRANSFER,
    currency: str = "EUR",
    actor: str = ACTOR,
) -> Receipt:
    """Record a line of the bank statement once and settle what it can: named invoices first, then the oldest due.

    What is left over stays the customer's (4191). The same reference again returns what was recorded. Errors:
    NotFound for the tenant; InvalidInput for an amount or day that cannot be; Conflict when the reference is known
    with other facts.
    """
    if amount_minor <= 0 or currency != "EUR":
        raise InvalidInput("A payment is an amount in EUR above zero.")
    if received_on > uow.now.astimezone(PARIS).date():
        raise InvalidInput("A payment is recorded once it has arrived, not before.")
    tenancy.get_tenant(uow, tenant_id)
    invoicing.lock_billing(uow, tenant_id)
    known = repository.find_by_reference(uow, bank_reference)
    if known is not None:
        return _known_receipt(uow, known, (tenant_id, amount_minor, received_on))
    payment = Payment(
        id=PaymentId.new(),
        tenant_id=tenant_id,
        amount_minor=amount_minor,
        currency=currency,
        received_on=received_on,
        method=method,
        bank_reference=bank_reference,
        remittance=remittance,
        recorded_at=uow.now,
    )
    repository.add_payment(uow, payment)
    shares, left = match_payment(amount_minor, remittance, list_open_items(uow, tenant_id))
    ledger.post(uow, make_receipt_entry(payment, amount_minor - left))
    allocations = tuple(_allocate(uow, payment, share, received_on) for share in shares)
    _letter(uow, tenant_id, [share.invoice_id for share in shares])
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="payment.received", target=str(payment.id),
        detail={"amount_minor": amount_minor, "left_minor": left, "settles": len(shares)},
    )  # fmt: skip
    uow.emit(PaymentReceived(tenant_id, payment.id, amount_minor, left))
    return Receipt(payment, allocations, left, is_new=True)


def _known_receipt(uow: UnitOfWork, known: Payment, told: tuple[TenantId, int, date]) -> Receipt:
    if (known.tenant_id, known.amount_minor, known.received_on) != told:
        raise Conflict("This bank reference was recorded before with other facts.")
    allocations = tuple(repository.list_allocations(uow, known.tenant_id, payment_ids=[known.id]))
    left = known.amount_minor - sum(one.amount_minor for one in allocations)
    return Receipt(known, allocations, left, is_new=False)


def spend_left_over(uow: UnitOfWork, tenant_id: TenantId, *, actor: str = ACTOR) -> Sequence[Allocation]:
    """Settle open invoices with what earlier payments left over, oldest payment first."""
    tenancy.get_tenant(uow, tenant_id)
    invoicing.lock_billing(uow, tenant_id)
    made: list[Allocation] = []
    payments = repository.list_payments(uow, tenant_id=tenant_id, after=None, limit=INVOICES_MAX)
    today = uow.now.astimezone(PARIS).date()
    for payment in sorted(payments, key=lambda one: one.id):
        spent = repository.list_allocations(uow, tenant_id, payment_ids=[payment.id])
        left = payment.amount_minor - sum(one.amount_minor for one in spent)
        if left <= 0:
            continue
        shares, _ = match_payment(left, payment.remittance, list_open_items(uow, tenant_id))
        for share in shares:
            allocation = _allocate(uow, payment, share, today)
            ledger.post(uow, make_transfer_entry(allocation, _number_of(uow, share.invoice_id)))
            made.append(allocation)
    _letter(uow, tenant_id, [one.invoice_id for one in made])
    if made:
        audit.record(
            uow, tenant_id=tenant_id, actor=actor, action="payment.allocated", target=str(tenant_id),
            detail={"amount_minor": sum(one.amount_minor for one in made)},
        )  # fmt: skip
    return made


def _allocate(uow: UnitOfWork, payment: Payment, share: Share, day: date) -> Allocation:
    invoice = invoicing.get_invoice(uow, share.invoice_id, payment.tenant_id)
    assert invoice.seller is not None
    # Under the debits option VAT fell due with the invoice; nothing waits for the money.
    vat_minor = 0 if invoice.seller.is_vat_on_debits else share.vat_minor
    allocation = Allocation(
        id=AllocationId.new(),
        tenant_id=payment.tenant_id,
        payment_id=payment.id,
        invoice_id=share.invoice_id,
        amount_minor=share.amount_minor,
        vat_minor=vat_minor,
        allocated_on=day,
        allocated_at=uow.now,
    )
    repository.add_allocation(uow, allocation)
    entry = make_vat_entry(allocation, invoice.number or "")
    if entry is not None:
        ledger.post(uow, entry)
    (item,) = [one for one in _items(uow, [invoice]) if one.invoice_id == invoice.id]
    if invoice.kind is InvoiceKind.DEPOSIT and item.open_minor <= 0:
        invoicing.fund_deposit(uow, invoice)
    uow.emit(
        InvoiceCollected(
            payment.tenant_id, invoice.id, share.amount_minor, vat_minor, is_settled=item.open_minor <= 0
        )
    )
    return allocation


def list_open_items(uow: UnitOfWork, tenant_id: TenantId) -> Sequence[OpenItem]:
    """Issued invoices that are not settled, oldest first."""
    return [item for item in _items(uow, _issued(uow, tenant_id)) if item.open_minor > 0]


def list_items(uow: UnitOfWork, tenant_id: TenantId) -> Sequence[OpenItem]:
    """All issued invoices of a tenant with what was paid and credited, oldest first; NotFound without the tenant."""
    tenancy.get_tenant(uow, tenant_id)
    return _items(uow, _issued(uow, tenant_id))


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


def _items(uow: UnitOfWork, invoices: Sequence[Invoice]) -> list[OpenItem]:
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
            )
        )
    return items


def _letter(uow: UnitOfWork, tenant_id: TenantId, invoice_ids: Sequence[InvoiceId]) -> None:
    """Match in the books (lettrage) each group of invoices, credit notes and payments that cancels out.

    A payment can settle several invoices and an invoice take several payments, so the group is all that hangs
    together; it gets its letter once nothing in it is open.
    """
    done: set[InvoiceId] = set()
    for start in invoice_ids:
        if start in done:
            continue
        group, payments, allocations = _group_of(uow, tenant_id, start)
        done |= group
        items = _items(uow, [invoicing.get_invoice(uow, one, tenant_id) for one in sorted(group)])
        if any(item.open_minor != 0 for item in items):
            continue
        keys = [f"invoice:{one}" for one in sorted(group)]
        for one in sorted(group):
            original = invoicing.get_invoice(uow, one, tenant_id)
            keys += [
                f"invoice:{note.id}" for note in invoicing.list_credit_notes(uow, original) if note.is_issued
            ]
        keys += [f"payment:{one}" for one in sorted(payments)]
        keys += [f"allocation:{one}" for one in sorted(allocations)]
        entries = _entries(uow, tenant_id, keys)
        if entries:
            ledger.letter(uow, Accounts.RECEIVABLE, tenant_id, entries)


def match_credit_note(uow: UnitOfWork, credit_note_id: InvoiceId) -> None:
    """A credit note may be what an invoice still lacked: match its group in the books when nothing is open."""
    note = invoicing.get_invoice(uow, credit_note_id, None)
    if note.preceding is not None:
        invoicing.lock_billing(uow, note.tenant_id)
        _letter(uow, note.tenant_id, [note.preceding.invoice_id])


def _group_of(
    uow: UnitOfWork, tenant_id: TenantId, start: InvoiceId
) -> tuple[set[InvoiceId], set[PaymentId], set[AllocationId]]:
    invoices, payments, allocations = {start}, set[PaymentId](), set[AllocationId]()
    for _ in range(INVOICES_MAX):
        before = (len(invoices), len(payments))
        for one in repository.list_allocations(uow, tenant_id, invoice_ids=sorted(invoices)):
            payments.add(one.payment_id)
        for one in repository.list_allocations(uow, tenant_id, payment_ids=sorted(payments)):
            invoices.add(one.invoice_id)
            allocations.add(one.id)
        if (len(invoices), len(payments)) == before:
            break
    return invoices, payments, allocations


def _entries(uow: UnitOfWork, tenant_id: TenantId, keys: Sequence[str]) -> list[JournalEntryId]:
    """The entries among these keys with a line in the tenant's 411 that has no letter yet.

    What was matched earlier cancels out in itself, so the rest of a group that is not open cancels out too.
    """
    found = []
    for key in keys:
        entry = ledger.find_by_key(uow, key)
        if entry is not None and any(
            (line.account, line.tenant_id, line.letter) == (Accounts.RECEIVABLE, tenant_id, None)
            for line in entry.lines
        ):
            found.append(entry.id)
    return found


def _number_of(uow: UnitOfWork, invoice_id: InvoiceId) -> str:
    return invoicing.get_invoice(uow, invoice_id, None).number or str(invoice_id)


def list_payments(
    uow: UnitOfWork, *, tenant_id: TenantId | None, after: UUID | None, limit: int
) -> Page[Payment]:
    found = repository.list_payments(uow, tenant_id=tenant_id, after=after, limit=limit + 1)
    return Page.of(found, limit, lambda payment: payment.id.value)
