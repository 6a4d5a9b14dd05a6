"""Background work of payments: what was left over settles new invoices, and credit notes are matched."""

from __future__ import annotations

from controlplane.invoicing.domain import InvoiceId, InvoiceKind
from controlplane.payments import service
from controlplane.plumbing.consumers import Consumer, Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.schedule import Tick

TICKS: tuple[Tick, ...] = ()


def settle(uow: UnitOfWork, event: Event) -> None:
    """An invoice or credit note was issued: once per document, in the transaction that marks the delivery done."""
    assert event.tenant_id is not None
    if event.payload["kind"] == InvoiceKind.CREDIT_NOTE:
        service.match_credit_note(uow, InvoiceId.parse(event.payload["invoice_id"]))
    else:
        service.spend_left_over(uow, event.tenant_id)


def consumers(_: Context) -> tuple[Consumer, ...]:
    return (Consumer("payments.settle", frozenset({"invoice.issued"}), transactional=settle),)
