"""Paying back what is a customer's."""

from __future__ import annotations

from datetime import date

from controlplane.audit import service as audit
from controlplane.invoicing import service as invoicing
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.ledger import service as ledger
from controlplane.payments import repository
from controlplane.payments.domain import Refund, RefundId
from controlplane.payments.posting_rules import make_refund_entry
from controlplane.payments.service_lettering import letter_groups
from controlplane.payments.service_release import list_left_over, release_overpaid
from controlplane.plumbing.amounts import text_of
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy


def refund(
    uow: UnitOfWork,
    tenant_id: TenantId,
    amount_minor: int,
    paid_on: date,
    *,
    bank_reference: str,
    actor: str,
) -> tuple[Refund, ...]:
    """Record a transfer that paid a customer's money back: out of the payments that left something over, oldest first.

    The same bank reference again returns what was recorded. Errors: NotFound for the tenant; InvalidInput for an
    amount or day that cannot be; Conflict when less is the customer's, or the reference is known with other facts.
    """
    if amount_minor <= 0:
        raise InvalidInput(
            "A refund is an amount above zero.", fields=(FieldProblem("amount", "lies above zero"),)
        )
    if paid_on > uow.now.astimezone(PARIS).date():
        raise InvalidInput("A refund is recorded once it was paid, not before.")
    tenancy.get_tenant(uow, tenant_id)
    invoicing.lock_billing(uow, tenant_id)
    known = repository.list_refunds_by_reference(uow, bank_reference)
    if known:
        told = (known[0].tenant_id, sum(one.amount_minor for one in known), known[0].paid_on)
        if told != (tenant_id, amount_minor, paid_on):
            raise Conflict("This bank reference was recorded before with other facts.")
        return tuple(known)
    touched = release_overpaid(uow, tenant_id)
    made = _take(uow, tenant_id, amount_minor, paid_on, bank_reference)
    ledger.post(uow, make_refund_entry(tenant_id, amount_minor, paid_on, bank_reference))
    letter_groups(uow, tenant_id, touched)
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="payment.refunded", target=bank_reference,
        detail={"amount_minor": amount_minor},
    )  # fmt: skip
    return made


def _take(
    uow: UnitOfWork, tenant_id: TenantId, amount_minor: int, paid_on: date, bank_reference: str
) -> tuple[Refund, ...]:
    sources = list_left_over(uow, tenant_id)
    available = sum(left for _, left in sources)
    if amount_minor > available:
        raise Conflict(f"Only {text_of(available)} EUR are the customer's: no more can be paid back.")
    made, missing = [], amount_minor
    for payment, left in sources:
        part = min(left, missing)
        if part == 0:
            break
        one = Refund(RefundId.new(), tenant_id, payment.id, part, paid_on, bank_reference, uow.now)
        repository.add_refund(uow, one)
        made.append(one)
        missing -= part
    return tuple(made)
