"""What the use cases of invoicing share: empty drafts, locks, VAT treatment, telling that something was drafted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from controlplane.audit import service as audit
from controlplane.invoicing import repository
from controlplane.invoicing.deposit_rules import PLAIN_MODE
from controlplane.invoicing.domain import (
    TRANSITIONS,
    Hold,
    Invoice,
    InvoiceId,
    InvoiceKind,
    InvoiceState,
    InvoiceTrigger,
    Totals,
    VatTreatment,
)
from controlplane.invoicing.events import InvoiceDrafted, VatCheckWanted
from controlplane.invoicing.vat_rules import decide_vat, find_unapproved_move, needs_vies, supply_day
from controlplane.kernel.errors import NotFound
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.metering.domain import FrozenPeriod
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating.domain import ENGINE_VERSION, RatedPeriod
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import BillingParty, Tenant

SYSTEM_ACTOR: Final = "system:invoicing"
# Holds that an answer of VIES can lift.
_VIES_HOLDS: Final = frozenset(
    {"vat_id_unchecked", "vies_unreachable", "vat_id_answer_old", "vat_id_unproved"}
)
# Shorter than the periodic retry (10 min), so that each of its turns asks once.
ASK_AGAIN_AFTER: Final = timedelta(minutes=5)
SELLER_MISSING: Final = Hold("seller_missing", "Nobody said yet who sells: set the seller first.")
_NOTHING: Final = Totals(0, 0, 0, 0, 0, 0)
# From a state that a document of a close may wait in back to DRAFT.
_REOPEN: Final = {
    InvoiceState.ISSUE_FAILED: (InvoiceTrigger.RETRY, InvoiceTrigger.HOLD, InvoiceTrigger.RETRY),
    InvoiceState.READY: (InvoiceTrigger.HOLD, InvoiceTrigger.RETRY),
    InvoiceState.HELD: (InvoiceTrigger.RETRY,),
}


def new_draft(
    uow: UnitOfWork, tenant_id: TenantId, kind: InvoiceKind, period: Period, is_issue_wanted: bool
) -> Invoice:
    return Invoice(
        id=InvoiceId.new(), tenant_id=tenant_id, kind=kind, state=InvoiceState.DRAFT, period=period,
        currency="EUR", billing_mode=PLAIN_MODE, seller=None, buyer=None, vat=None, lines=(), allowances=(),
        breakdown=(), totals=_NOTHING, notes=(), payment_terms="", hold=None, preceding=None, deposits=(),
        purchase_order="", is_issue_wanted=is_issue_wanted, number=None, issued_on=None, due_on=None, issued_at=None,
        provenance={}, version=1, created_at=uow.now, updated_at=uow.now,
    )  # fmt: skip


def lock_invoice(uow: UnitOfWork, invoice_id: InvoiceId) -> Invoice:
    """Lock the tenant's billing first, then the invoice: the order that every use case takes."""
    known = repository.find_invoice(uow, invoice_id)
    if known is None:
        raise NotFound(f"There is no invoice {invoice_id}.")
    repository.lock_billing(uow, known.tenant_id)
    locked = repository.find_invoice(uow, invoice_id, is_locked=True)
    assert locked is not None
    return locked


def finish_draft(draft: Invoice) -> Invoice:
    """A computed DRAFT becomes READY, or HELD when it has a hold."""
    trigger = InvoiceTrigger.APPROVE if draft.hold is None else InvoiceTrigger.HOLD
    return replace(draft, state=TRANSITIONS.next(draft.state, trigger))


def reopen(uow: UnitOfWork, known: Invoice) -> Invoice:
    """A waiting document as a DRAFT again."""
    state = known.state
    for trigger in _REOPEN[state]:
        state = TRANSITIONS.next(state, trigger)
    return replace(known, state=state, hold=None, version=known.version + 1, updated_at=uow.now)


def made_with(frozen: FrozenPeriod, part: RatedPeriod) -> dict[str, str]:
    """What an inspector needs to compute a correction's lines again, and what tells it apart from a month's bill."""
    return {
        "engine": ENGINE_VERSION,
        "closed_with": frozen.period.start.isoformat(),
        "frozen_period": str(frozen.id),
        "cutoff_batch": str(frozen.cutoff_batch_id),
        "rating_hash": part.rating_hash,
    }


def find_customer_hold(tenant: Tenant) -> Hold | None:
    """What about the customer itself stops a document: nobody has confirmed who it is, or it moved by itself."""
    if not tenant.is_approved:
        return Hold(
            "organization_not_approved",
            "Nobody has checked who this customer is: its documents wait until an operator approves the organization.",
        )
    return find_unapproved_move(tenant.billing_party, tenant.tax_zone)


def decide_treatment(
    uow: UnitOfWork, draft: Invoice, party: BillingParty
) -> tuple[VatTreatment, dict[str, str]] | Hold:
    """The VAT row of a draft's services with the proof it rests on; VIES is asked where an answer is missing."""
    hold = find_customer_hold(tenancy.get_tenant(uow, draft.tenant_id))
    if hold is not None:
        return hold
    answer = None
    if party.vat_id is not None:
        answer = repository.find_newest_vat_check(uow, draft.tenant_id, party.vat_id)
    vat = decide_vat(party, answer, supply_day(draft.period), uow.now)
    if isinstance(vat, Hold):
        _ask_vies(uow, draft, party, vat)
        return vat
    if answer is None or not needs_vies(party):
        return vat, {}
    return vat, {
        "vies_consultation": answer.consultation_number,
        "vies_checked_at": answer.checked_at.isoformat(),
        "vies_source": answer.source + (" (simulated)" if answer.is_simulated else ""),
    }


def _ask_vies(uow: UnitOfWork, draft: Invoice, party: BillingParty, hold: Hold) -> None:
    """Have VIES asked, unless it was just now: an answer that does not help must not start an endless round."""
    if hold.code not in _VIES_HOLDS or party.vat_id is None:
        return
    asked_at = repository.find_last_asked_at(uow, draft.tenant_id, party.vat_id)
    if asked_at is None or uow.now - asked_at >= ASK_AGAIN_AFTER:
        uow.emit(VatCheckWanted(draft.tenant_id, party.vat_id, party.country))


def announce(uow: UnitOfWork, invoice: Invoice, actor: str, action: str) -> None:
    hold_code = None if invoice.hold is None else invoice.hold.code
    audit.record(
        uow, tenant_id=invoice.tenant_id, actor=actor, action=action, target=str(invoice.id),
        detail={"state": invoice.state, "hold": hold_code, "gross_minor": invoice.totals.gross_minor},
    )  # fmt: skip
    uow.emit(InvoiceDrafted(invoice.tenant_id, invoice.id, invoice.state, hold_code))
