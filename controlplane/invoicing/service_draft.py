"""Drafts: a month is frozen, rated and drafted once; what cannot be issued is held with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from controlplane.audit import service as audit
from controlplane.invoicing import repository
from controlplane.invoicing.domain import (
    TRANSITIONS,
    Hold,
    Invoice,
    InvoiceId,
    InvoiceKind,
    InvoiceState,
    InvoiceTrigger,
    PeriodClose,
    Preceding,
    Totals,
)
from controlplane.invoicing.draft_rules import (
    BILLING_MODE,
    complete_credit_note,
    complete_draft,
    make_credit_lines,
)
from controlplane.invoicing.events import InvoiceDrafted, VatCheckWanted
from controlplane.invoicing.service_issue import hash_all, issue, rate_all
from controlplane.invoicing.vat_rules import decide_vat, needs_vies, supply_day
from controlplane.kernel.errors import Conflict, InvalidInput, NotFound, RempartError
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS, Period
from controlplane.metering import service as metering
from controlplane.metering.domain import FrozenPeriod
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating.domain import ENGINE_VERSION, RatedPeriod
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import BillingParty

SYSTEM_ACTOR: Final = "system:invoicing"
# Holds that an answer of VIES can lift.
_VIES_HOLDS: Final = frozenset(
    {"vat_id_unchecked", "vies_unreachable", "vat_id_answer_old", "vat_id_unproved"}
)
# Shorter than the periodic retry (10 min), so that each of its turns asks once.
ASK_AGAIN_AFTER: Final = timedelta(minutes=5)
_NOTHING: Final = Totals(0, 0, 0, 0, 0, 0)
REASON_LENGTH_MAX: Final = 300


def freeze_period(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> FrozenPeriod:
    """Draw the line under a month's usage. Ingest waits for this transaction: commit it before drafting.

    Errors: Conflict while the period runs, InvalidInput for a period that is no month. Again gives the same.
    """
    _check_month(uow, tenant_id, period)
    known = metering.find_frozen_period(uow, tenant_id, period)
    return known if known is not None else metering.freeze_period(uow, tenant_id, period)


def close_period(
    uow: UnitOfWork,
    tenant_id: TenantId,
    period: Period,
    *,
    actor: str = SYSTEM_ACTOR,
    is_issuing: bool = True,
) -> PeriodClose:
    """Close a month: frozen usage is rated and drafted, and the invoice issued when nothing holds it.

    A second close changes nothing and returns what the first made. Errors: Conflict while the period runs.
    """
    closed = draft_period(uow, tenant_id, period, actor=actor, is_issue_wanted=is_issuing)
    invoice = closed.invoice
    if closed.is_new and is_issuing and invoice is not None and invoice.state is InvoiceState.READY:
        return replace(closed, invoice=issue(uow, invoice.id, actor=actor))
    return closed


def draft_period(
    uow: UnitOfWork,
    tenant_id: TenantId,
    period: Period,
    *,
    actor: str = SYSTEM_ACTOR,
    is_issue_wanted: bool = False,
) -> PeriodClose:
    """Draft a tenant's month once; the draft is READY, or HELD with its reason.

    `invoice` is None when nothing was used. Errors: Conflict while the period runs or for a period that is no month.
    """
    repository.lock_billing(uow, tenant_id)
    _check_month(uow, tenant_id, period)
    if repository.is_period_closed(uow, tenant_id, period):
        known = repository.find_period_invoice(uow, tenant_id, period)
        return PeriodClose(tenant_id, period, known, is_new=False)
    draft = compute_draft(uow, _new_draft(uow, tenant_id, InvoiceKind.INVOICE, period, is_issue_wanted))
    is_empty = draft.hold is None and not draft.lines
    if not is_empty:
        repository.add_invoice(uow, draft)
    repository.add_period_close(uow, tenant_id, period, None if is_empty else draft.id)
    if is_empty:
        return PeriodClose(tenant_id, period, None, is_new=True)
    _announce(uow, draft, actor, "invoice.drafted")
    return PeriodClose(tenant_id, period, draft, is_new=True)


def _check_month(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> None:
    tenancy.get_tenant(uow, tenant_id)
    if period != Period.month_of(period.start, PARIS):
        raise InvalidInput("Invoices are made for calendar months of Paris.")
    if uow.now < period.end:
        raise Conflict(f"The period runs until {period.end.isoformat()}: it can be closed after that.")


def compute_draft(uow: UnitOfWork, draft: Invoice) -> Invoice:
    """Compute a DRAFT from the facts as they are: READY, HELD, or DRAFT_FAILED when a room below refused."""
    assert draft.state is InvoiceState.DRAFT
    frozen = freeze_period(uow, draft.tenant_id, draft.period)
    try:
        rated = rate_all(uow, draft.tenant_id, draft.period, frozen)
    except RempartError as err:
        return _with_hold(draft, InvoiceTrigger.FAIL, Hold(f"rating_{err.code}", err.message))
    if not any(part.lines or part.problems for part in rated):
        return draft
    party = tenancy.get_tenant(uow, draft.tenant_id).billing_party
    filled = _fill(uow, replace(draft, provenance=_provenance(frozen, rated)), party, rated)
    if filled.hold is not None:
        _ask_vies(uow, filled, party)
        return _with_hold(filled, InvoiceTrigger.HOLD, filled.hold)
    return replace(filled, state=TRANSITIONS.next(filled.state, InvoiceTrigger.APPROVE))


def _fill(uow: UnitOfWork, draft: Invoice, party: BillingParty, rated: Sequence[RatedPeriod]) -> Invoice:
    seller = repository.find_seller(uow)
    if seller is None:
        return replace(draft, hold=Hold("seller_missing", "Nobody said yet who sells: set the seller first."))
    answer = None
    if party.vat_id is not None:
        answer = repository.find_newest_vat_check(uow, draft.tenant_id, party.vat_id)
    vat = decide_vat(party, answer, supply_day(draft.period), uow.now)
    if isinstance(vat, Hold):
        return replace(draft, hold=vat)
    filled = complete_draft(
        draft,
        seller=seller[0],
        party=party,
        vat=vat,
        rated=rated[0],
        corrections=rated[1:],
        originals=_find_originals(uow, draft.tenant_id, rated[1:]),
    )
    if answer is None or not needs_vies(party):
        return filled
    proof = {
        "vies_consultation": answer.consultation_number,
        "vies_checked_at": answer.checked_at.isoformat(),
        "vies_source": answer.source + (" (simulated)" if answer.is_simulated else ""),
    }
    return replace(filled, provenance={**filled.provenance, **proof})


def _find_originals(
    uow: UnitOfWork, tenant_id: TenantId, corrections: Sequence[RatedPeriod]
) -> dict[datetime, Preceding]:
    """The invoices whose periods are corrected, so that each correction names the one that it changes."""
    found: dict[datetime, Preceding] = {}
    for correction in corrections:
        original = repository.find_period_invoice(uow, tenant_id, correction.period)
        if original is not None and original.number is not None and original.issued_on is not None:
            found[correction.period.start] = Preceding(original.id, original.number, original.issued_on)
    return found


def _ask_vies(uow: UnitOfWork, draft: Invoice, party: BillingParty) -> None:
    """Have VIES asked, unless it was just now: an answer that does not help must not start an endless round."""
    if draft.hold is None or draft.hold.code not in _VIES_HOLDS or party.vat_id is None:
        return
    asked_at = repository.find_last_asked_at(uow, draft.tenant_id, party.vat_id)
    if asked_at is None or uow.now - asked_at >= ASK_AGAIN_AFTER:
        uow.emit(VatCheckWanted(draft.tenant_id, party.vat_id, party.country))


def _with_hold(draft: Invoice, trigger: InvoiceTrigger, hold: Hold) -> Invoice:
    return replace(draft, state=TRANSITIONS.next(draft.state, trigger), hold=hold)


def _provenance(frozen: FrozenPeriod, rated: Sequence[RatedPeriod]) -> dict[str, str]:
    """What an inspector needs to compute the lines again (LPF L13 IV): code, tariff, usage cut-off, hashes."""
    return {
        "engine": ENGINE_VERSION,
        "plan": rated[0].plan_code,
        "frozen_period": str(frozen.id),
        "cutoff_batch": str(frozen.cutoff_batch_id),
        "rating_hash": hash_all(rated),
    }


def retry_invoice(uow: UnitOfWork, invoice_id: InvoiceId, *, actor: str = SYSTEM_ACTOR) -> Invoice:
    """Try a held or failed document again with the facts of now; it is issued when it becomes READY and was wanted.

    Errors: NotFound; IllegalTransition when it is neither held nor failed.
    """
    known = _lock(uow, invoice_id)
    if known.kind is InvoiceKind.CREDIT_NOTE and known.state is not InvoiceState.ISSUE_FAILED:
        raise Conflict("A held credit note is made again from its invoice: send the credit note anew.")
    state = TRANSITIONS.next(known.state, InvoiceTrigger.RETRY)
    fresh = replace(known, state=state, hold=None, version=known.version + 1, updated_at=uow.now)
    if state is InvoiceState.DRAFT:
        fresh = compute_draft(uow, fresh)
    repository.save_invoice(uow, fresh)
    _announce(uow, fresh, actor, "invoice.retried")
    if fresh.state is InvoiceState.READY and fresh.is_issue_wanted:
        return issue(uow, fresh.id, actor=actor)
    return fresh


def hold_invoice(uow: UnitOfWork, invoice_id: InvoiceId, reason: str, *, actor: str) -> Invoice:
    """Hold a READY document by hand; IllegalTransition otherwise."""
    known = _lock(uow, invoice_id)
    held = _with_hold(known, InvoiceTrigger.HOLD, Hold("by_hand", reason[:REASON_LENGTH_MAX]))
    # A person decides when it goes on: the periodic retry leaves it alone.
    held = replace(held, is_issue_wanted=False, version=known.version + 1, updated_at=uow.now)
    repository.save_invoice(uow, held)
    _announce(uow, held, actor, "invoice.held")
    return held


def credit_note(
    uow: UnitOfWork,
    invoice_id: InvoiceId,
    lines: Sequence[tuple[int, int]] | None,
    reason: str,
    *,
    actor: str = SYSTEM_ACTOR,
    is_issuing: bool = True,
) -> Invoice:
    """Take back an issued invoice, or parts of its lines: (position, amount HT in cents); None is all of it.

    Errors: Conflict when the original is not an issued invoice or less is left to give back; InvalidInput for lines
    that it has not. The credit note refers to the original's number and date (BR-FR-CO-05).
    """
    original = _lock(uow, invoice_id)
    if not original.is_issued or original.kind is not InvoiceKind.INVOICE:
        raise Conflict("Only an issued invoice can be credited; a draft is computed again instead.")
    draft = _new_draft(uow, original.tenant_id, InvoiceKind.CREDIT_NOTE, original.period, is_issuing)
    taken = make_credit_lines(original, lines)
    filled = complete_credit_note(draft, original, taken, is_whole=lines is None, reason=reason)
    _check_left(uow, original, filled)
    if filled.hold is not None:
        raise InvalidInput(filled.hold.reason)
    ready = replace(
        filled,
        state=TRANSITIONS.next(filled.state, InvoiceTrigger.APPROVE),
        provenance={"corrects": str(original.id), "rating_hash": original.provenance.get("rating_hash", "")},
    )
    repository.add_invoice(uow, ready)
    _announce(uow, ready, actor, "credit_note.drafted")
    return issue(uow, ready.id, actor=actor) if is_issuing else ready


def _check_left(uow: UnitOfWork, original: Invoice, filled: Invoice) -> None:
    """No line and no invoice is given back twice, whatever earlier credit notes took."""
    earlier = repository.list_credit_notes(uow, original)
    given = sum(note.totals.gross_minor for note in earlier)
    if given + filled.totals.gross_minor > original.totals.gross_minor:
        left = original.totals.gross_minor - given
        raise Conflict(
            f"Of invoice {original.number} only {left} cents (VAT included) are left to give back."
        )
    by_line: dict[int, int] = {}
    for note in (*earlier, filled):
        for line in note.lines:
            source = line.credited_position or 0
            by_line[source] = by_line.get(source, 0) + line.net_minor
    for line in original.lines:
        if by_line.get(line.position, 0) > max(line.net_minor, 0):
            raise Conflict(f"Line {line.position} of invoice {original.number} would be given back twice.")


def _lock(uow: UnitOfWork, invoice_id: InvoiceId) -> Invoice:
    """Lock the tenant's billing first, then the invoice: the order that every use case takes."""
    known = repository.find_invoice(uow, invoice_id)
    if known is None:
        raise NotFound(f"There is no invoice {invoice_id}.")
    repository.lock_billing(uow, known.tenant_id)
    locked = repository.find_invoice(uow, invoice_id, is_locked=True)
    assert locked is not None
    return locked


def _new_draft(
    uow: UnitOfWork, tenant_id: TenantId, kind: InvoiceKind, period: Period, is_issue_wanted: bool
) -> Invoice:
    return Invoice(
        id=InvoiceId.new(), tenant_id=tenant_id, kind=kind, state=InvoiceState.DRAFT, period=period,
        currency="EUR", billing_mode=BILLING_MODE, seller=None, buyer=None, vat=None, lines=(), allowances=(),
        breakdown=(), totals=_NOTHING, notes=(), payment_terms="", hold=None, preceding=None, purchase_order="",
        is_issue_wanted=is_issue_wanted, number=None, issued_on=None, due_on=None, issued_at=None, provenance={},
        version=1, created_at=uow.now, updated_at=uow.now,
    )  # fmt: skip


def _announce(uow: UnitOfWork, invoice: Invoice, actor: str, action: str) -> None:
    hold_code = None if invoice.hold is None else invoice.hold.code
    audit.record(
        uow, tenant_id=invoice.tenant_id, actor=actor, action=action, target=str(invoice.id),
        detail={"state": invoice.state, "hold": hold_code, "gross_minor": invoice.totals.gross_minor},
    )  # fmt: skip
    uow.emit(InvoiceDrafted(invoice.tenant_id, invoice.id, invoice.state, hold_code))
