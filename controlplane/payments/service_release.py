"""Money in a customer's favour: what was paid of invoices that credit notes took back, and what is left of payments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.ledger import service as ledger
from controlplane.payments import repository
from controlplane.payments.domain import Allocation, AllocationId, OpenItem, Payment, PaymentId
from controlplane.payments.posting_rules import make_release_entry, make_vat_entry
from controlplane.payments.release_rules import decide_release
from controlplane.payments.service_items import INVOICES_MAX, list_items
from controlplane.plumbing.database import UnitOfWork


def release_overpaid(uow: UnitOfWork, tenant_id: TenantId) -> list[InvoiceId]:
    """Give what was paid of credited invoices back to its payments (411 to 4191); return the invoices touched.

    The VAT that fell due with that money was reversed by the credit note itself.
    """
    touched = []
    today = uow.now.astimezone(PARIS).date()
    for item in list_items(uow, tenant_id):
        if item.credited_minor == 0:
            continue
        allocations = repository.list_allocations(uow, tenant_id, invoice_ids=[item.invoice_id])
        parts = decide_release(item, allocations)
        for payment_id, amount_minor, vat_minor in parts:
            _add(uow, item, payment_id, -amount_minor, -vat_minor, today)
        if parts:
            touched.append(item.invoice_id)
        _take_rest_of_vat(uow, item, allocations, today)
    return touched


def _add(
    uow: UnitOfWork, item: OpenItem, payment_id: PaymentId, amount_minor: int, vat_minor: int, day: date
) -> Allocation:
    payment = repository.find_payment(uow, payment_id)
    assert payment is not None
    allocation = Allocation(
        AllocationId.new(),
        payment.tenant_id,
        payment_id,
        item.invoice_id,
        amount_minor,
        vat_minor,
        day,
        uow.now,
    )
    repository.add_allocation(uow, allocation)
    if amount_minor < 0:
        ledger.post(uow, make_release_entry(allocation, item.number))
    return allocation


def _take_rest_of_vat(uow: UnitOfWork, item: OpenItem, allocations: Sequence[Allocation], day: date) -> None:
    """A credit note that settles an invoice to the cent may leave a cent of VAT waiting: it falls due now."""
    if item.open_minor > 0 or not allocations or not item.is_vat_on_payment:
        return
    rest = item.vat_minor - item.credited_vat_minor - item.paid_vat_minor
    if rest > 0:
        made = _add(uow, item, allocations[-1].payment_id, 0, rest, day)
        entry = make_vat_entry(made, item.number)
        assert entry is not None
        ledger.post(uow, entry)


def list_left_over(uow: UnitOfWork, tenant_id: TenantId) -> list[tuple[Payment, int]]:
    """Payments of which something is the customer's still, oldest first, with how much."""
    payments = repository.list_payments(uow, tenant_id=tenant_id, after=None, limit=INVOICES_MAX)
    left = left_of(uow, tenant_id, payments)
    return [(one, left[one.id]) for one in sorted(payments, key=lambda one: one.id) if left[one.id] > 0]


def left_of(uow: UnitOfWork, tenant_id: TenantId, payments: Sequence[Payment]) -> dict[PaymentId, int]:
    """What neither settles an invoice nor was paid back of each payment."""
    left = {one.id: one.amount_minor for one in payments}
    for spent in repository.list_allocations(uow, tenant_id, payment_ids=sorted(left)):
        left[spent.payment_id] -= spent.amount_minor
    for paid_back in repository.list_refunds(uow, tenant_id, sorted(left)):
        left[paid_back.payment_id] -= paid_back.amount_minor
    return left
