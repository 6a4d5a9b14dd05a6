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
from controlplane.invoicing.domain import InvoiceId, InvoiceKind
from controlplane.kernel.errors import Conflict, InvalidInput
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.ledger import service as ledger
from controlplane.payments import repository
from controlplane.payments.domain import (
    Allocation,
    AllocationId,
    Payment,
    PaymentId,
    PaymentMethod,
    Receipt,
)
from controlplane.payments.events import InvoiceCollected, PaymentReceived
from controlplane.payments.matching_rules import Share, match_payment
from controlplane.payments.posting_rules import make_receipt_entry, make_transfer_entry, make_vat_entry
from controlplane.payments.service_items import items_of, list_items, list_open_items
from controlplane.payments.service_lettering import letter_groups
from controlplane.payments.service_refund import refund
from controlplane.payments.service_release import left_of, list_left_over, release_overpaid
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy

__all__ = [
    "list_items",
    "list_open_items",
    "list_payments",
    "match_credit_note",
    "receive_payment",
    "refund",
    "spend_left_over",
]

ACTOR: Final = "system:payments"


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
    released = release_overpaid(uow, tenant_id)
    shares, left = match_payment(amount_minor, remittance, list_open_items(uow, tenant_id))
    ledger.post(uow, make_receipt_entry(payment, amount_minor - left))
    allocations = tuple(_allocate(uow, payment, share, received_on) for share in shares)
    # A customer that deducts a credit note pays that much less: what was set free fills the rest.
    spend_left_over(uow, tenant_id, actor=actor)
    letter_groups(uow, tenant_id, [*released, *(share.invoice_id for share in shares)])
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
    left = left_of(uow, known.tenant_id, [known])[known.id]
    return Receipt(known, allocations, left, is_new=False)


def spend_left_over(uow: UnitOfWork, tenant_id: TenantId, *, actor: str = ACTOR) -> Sequence[Allocation]:
    """Settle open invoices with what earlier payments left over, oldest payment first.

    What was paid of an invoice that a credit note took back meanwhile counts as left over.
    """
    tenancy.get_tenant(uow, tenant_id)
    invoicing.lock_billing(uow, tenant_id)
    made: list[Allocation] = []
    touched = release_overpaid(uow, tenant_id)
    today = uow.now.astimezone(PARIS).date()
    for payment, left in list_left_over(uow, tenant_id):
        shares, _ = match_payment(left, payment.remittance, list_open_items(uow, tenant_id))
        for share in shares:
            allocation = _allocate(uow, payment, share, today)
            ledger.post(uow, make_transfer_entry(allocation, _number_of(uow, share.invoice_id)))
            made.append(allocation)
    letter_groups(uow, tenant_id, [*touched, *(one.invoice_id for one in made)])
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
    (item,) = [one for one in items_of(uow, [invoice]) if one.invoice_id == invoice.id]
    if invoice.kind is InvoiceKind.DEPOSIT and item.open_minor <= 0:
        invoicing.fund_deposit(uow, invoice)
    uow.emit(
        InvoiceCollected(
            payment.tenant_id, invoice.id, share.amount_minor, vat_minor, is_settled=item.open_minor <= 0
        )
    )
    return allocation


def match_credit_note(uow: UnitOfWork, credit_note_id: InvoiceId) -> None:
    """A credit note may be what an invoice still lacked, or take back what was paid: then that is the customer's again
    and settles other open invoices. Groups in which nothing is open are matched in the books."""
    note = invoicing.get_invoice(uow, credit_note_id, None)
    if note.kind is InvoiceKind.CREDIT_NOTE and note.preceding is not None:
        invoicing.lock_billing(uow, note.tenant_id)
        released = release_overpaid(uow, note.tenant_id)
        letter_groups(uow, note.tenant_id, [note.preceding.invoice_id, *released])
        spend_left_over(uow, note.tenant_id)


def _number_of(uow: UnitOfWork, invoice_id: InvoiceId) -> str:
    return invoicing.get_invoice(uow, invoice_id, None).number or str(invoice_id)


def list_payments(
    uow: UnitOfWork, *, tenant_id: TenantId | None, after: UUID | None, limit: int
) -> Page[Payment]:
    found = repository.list_payments(uow, tenant_id=tenant_id, after=after, limit=limit + 1)
    return Page.of(found, limit, lambda payment: payment.id.value)
