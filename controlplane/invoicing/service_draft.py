"""Drafts: a month is frozen, rated and drafted once; what cannot be issued is held with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from controlplane.invoicing import repository
from controlplane.invoicing.deposit_rules import list_prepaid
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
)
from controlplane.invoicing.draft_rules import complete_draft
from controlplane.invoicing.month_rules import check_order
from controlplane.invoicing.service_common import (
    SELLER_MISSING,
    SYSTEM_ACTOR,
    announce,
    decide_treatment,
    finish_draft,
    lock_invoice,
    new_draft,
)
from controlplane.invoicing.service_credit import draft_reductions, retry_reduction
from controlplane.invoicing.service_deposit import compute_deposit
from controlplane.invoicing.service_issue import issue
from controlplane.invoicing.service_months import read_months
from controlplane.invoicing.service_rating import (
    MonthRating,
    hash_all,
    is_reduction,
    is_supplement,
    rate_all,
)
from controlplane.invoicing.service_remake import remake_document
from controlplane.invoicing.service_supplement import draft_supplements, retry_supplement
from controlplane.kernel.errors import Conflict, InvalidInput, RempartError
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS, Period
from controlplane.metering import service as metering
from controlplane.metering.domain import FrozenPeriod
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating.domain import ENGINE_VERSION, CreditUse, RatedPeriod
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import BillingParty

REASON_LENGTH_MAX: Final = 300


def freeze_period(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> FrozenPeriod:
    """Draw the line under a month's usage. Ingest waits for this transaction: commit it before drafting.

    Errors: Conflict while the period runs, or when another month must be closed first; InvalidInput for a period that
    is no month. Again gives the same.
    """
    _check_month(uow, tenant_id, period)
    known = metering.find_frozen_period(uow, tenant_id, period)
    if known is not None:
        return known
    check_order(read_months(uow, tenant_id), period)
    return metering.freeze_period(uow, tenant_id, period)


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
    if not (closed.is_new and is_issuing):
        return closed
    invoice = closed.invoice
    return replace(
        closed,
        invoice=None if invoice is None else _issue_ready(uow, invoice, actor),
        credit_notes=tuple(_issue_ready(uow, note, actor) for note in closed.credit_notes),
        supplements=tuple(_issue_ready(uow, one, actor) for one in closed.supplements),
    )


def _issue_ready(uow: UnitOfWork, draft: Invoice, actor: str) -> Invoice:
    return issue(uow, draft.id, actor=actor) if draft.state is InvoiceState.READY else draft


def draft_period(
    uow: UnitOfWork,
    tenant_id: TenantId,
    period: Period,
    *,
    actor: str = SYSTEM_ACTOR,
    is_issue_wanted: bool = False,
) -> PeriodClose:
    """Draft a tenant's month once; each draft is READY, or HELD with its reason.

    `invoice` is None when nothing was used; earlier months that cost less now get a credit note each, those that cost
    more by another VAT a supplementary invoice. Errors: Conflict while the period runs or for one that is no month.
    """
    repository.lock_billing(uow, tenant_id)
    _check_month(uow, tenant_id, period)
    if repository.is_period_closed(uow, tenant_id, period):
        known = repository.find_period_invoice(uow, tenant_id, period)
        others = repository.list_corrections(uow, tenant_id, period.start)
        return PeriodClose(
            tenant_id, period, known, is_new=False,
            credit_notes=tuple(one for one in others if is_reduction(one)),
            supplements=tuple(one for one in others if is_supplement(one)),
        )  # fmt: skip
    check_order(read_months(uow, tenant_id), period)
    frozen = freeze_period(uow, tenant_id, period)
    draft, rated = compute_draft(
        uow, new_draft(uow, tenant_id, InvoiceKind.INVOICE, period, is_issue_wanted), frozen
    )
    invoice = None if draft.hold is None and not draft.lines else draft
    if invoice is not None:
        repository.add_invoice(uow, invoice)
        announce(uow, invoice, actor, "invoice.drafted")
    repository.add_period_close(uow, tenant_id, period, None if invoice is None else invoice.id)
    notes, supplements = _draft_others(uow, tenant_id, frozen, rated, actor, is_issue_wanted)
    return PeriodClose(tenant_id, period, invoice, is_new=True, credit_notes=notes, supplements=supplements)


def _draft_others(
    uow: UnitOfWork,
    tenant_id: TenantId,
    frozen: FrozenPeriod,
    rated: MonthRating | None,
    actor: str,
    is_issue_wanted: bool,
) -> tuple[tuple[Invoice, ...], tuple[Invoice, ...]]:
    """Credit notes and supplementary invoices for the earlier months that cannot stand on the month's invoice."""
    if rated is None:
        return (), ()
    notes = draft_reductions(
        uow, tenant_id, frozen, rated.reductions, actor=actor, is_issue_wanted=is_issue_wanted
    )
    return notes, draft_supplements(
        uow, tenant_id, frozen, rated.supplements, actor=actor, is_issue_wanted=is_issue_wanted
    )


def _check_month(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> None:
    tenancy.get_tenant(uow, tenant_id)
    if period != Period.month_of(period.start, PARIS):
        raise InvalidInput("Invoices are made for calendar months of Paris.")
    if uow.now < period.end:
        raise Conflict(f"The period runs until {period.end.isoformat()}: it can be closed after that.")


def compute_draft(
    uow: UnitOfWork, draft: Invoice, frozen: FrozenPeriod
) -> tuple[Invoice, MonthRating | None]:
    """Compute a month's DRAFT from the facts as they are: READY, HELD, or DRAFT_FAILED when a room below refused.

    The rating comes with it (None when it was refused): its reductions are for credit notes. A draft without lines
    and without a hold stays DRAFT: nothing was used.
    """
    assert draft.state is InvoiceState.DRAFT
    try:
        rated = rate_all(uow, draft.tenant_id, draft.period, frozen)
    except RempartError as err:
        hold = Hold(f"rating_{err.code}", err.message)
        return replace(draft, state=TRANSITIONS.next(draft.state, InvoiceTrigger.FAIL), hold=hold), None
    if not any(part.lines or part.problems for part in rated.billed):
        return draft, rated
    party = tenancy.get_tenant(uow, draft.tenant_id).billing_party
    return finish_draft(
        _fill(uow, replace(draft, provenance=_provenance(frozen, rated.billed)), party, rated.billed)
    ), rated


def _fill(uow: UnitOfWork, draft: Invoice, party: BillingParty, rated: Sequence[RatedPeriod]) -> Invoice:
    seller = repository.find_seller(uow)
    if seller is None:
        return replace(draft, hold=SELLER_MISSING)
    treatment = decide_treatment(uow, draft, party)
    if isinstance(treatment, Hold):
        return replace(draft, hold=treatment)
    vat, proof = treatment
    filled = complete_draft(
        draft,
        seller=seller[0],
        party=party,
        vat=vat,
        rated=rated[0],
        corrections=rated[1:],
        originals=_find_originals(uow, draft.tenant_id, rated[1:]),
        deposits=_find_deposits(uow, draft.tenant_id, rated[0].credits),
    )
    return replace(filled, provenance={**filled.provenance, **proof})


def _find_originals(
    uow: UnitOfWork, tenant_id: TenantId, corrections: Sequence[RatedPeriod]
) -> dict[datetime, Preceding]:
    """The invoices whose periods are corrected, so that each correction names the one that it changes."""
    found: dict[datetime, Preceding] = {}
    for correction in corrections:
        original = repository.find_biller(uow, tenant_id, correction.period)
        if original is not None and original.number is not None and original.issued_on is not None:
            found[correction.period.start] = Preceding(original.id, original.number, original.issued_on)
    return found


def _find_deposits(uow: UnitOfWork, tenant_id: TenantId, uses: Sequence[CreditUse]) -> dict[UUID, Invoice]:
    """The issued deposit invoices that prepaid credit came from."""
    found = {}
    for use in list_prepaid(uses):
        deposit = None
        if use.deposit_id is not None:
            deposit = repository.find_invoice(uow, InvoiceId(use.deposit_id), tenant_id)
        if deposit is not None and deposit.is_issued:
            found[deposit.id.value] = deposit
    return found


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

    An issued document whose files were never made gets them (`remake_document`). Errors: NotFound; IllegalTransition
    when it is neither held nor failed; Conflict when its files still cannot be made.
    """
    known = lock_invoice(uow, invoice_id)
    if known.state is InvoiceState.ISSUED:
        return remake_document(uow, known, actor=actor)
    state = TRANSITIONS.next(known.state, InvoiceTrigger.RETRY)
    fresh = replace(known, state=state, hold=None, version=known.version + 1, updated_at=uow.now)
    if state is InvoiceState.DRAFT:
        fresh = _compute_again(uow, fresh, actor)
    repository.save_invoice(uow, fresh)
    announce(uow, fresh, actor, "invoice.retried")
    if fresh.state is InvoiceState.READY and fresh.is_issue_wanted:
        return issue(uow, fresh.id, actor=actor)
    return fresh


def _compute_again(uow: UnitOfWork, draft: Invoice, actor: str) -> Invoice:
    if draft.kind is InvoiceKind.DEPOSIT:
        return compute_deposit(uow, draft)
    if draft.kind is InvoiceKind.CREDIT_NOTE:
        # What a person gave back stands in the note already: only a reduction has facts that can change.
        return retry_reduction(uow, draft) if is_reduction(draft) else finish_draft(draft)
    if is_supplement(draft):
        return retry_supplement(uow, draft)
    frozen = freeze_period(uow, draft.tenant_id, draft.period)
    fresh, rated = compute_draft(uow, draft, frozen)
    _draft_others(uow, draft.tenant_id, frozen, rated, actor, draft.is_issue_wanted)
    return fresh


def hold_invoice(uow: UnitOfWork, invoice_id: InvoiceId, reason: str, *, actor: str) -> Invoice:
    """Hold a READY document by hand; IllegalTransition otherwise."""
    known = lock_invoice(uow, invoice_id)
    state = TRANSITIONS.next(known.state, InvoiceTrigger.HOLD)
    # A person decides when it goes on: the periodic retry leaves it alone.
    held = replace(
        known,
        state=state,
        hold=Hold("by_hand", reason[:REASON_LENGTH_MAX]),
        is_issue_wanted=False,
        version=known.version + 1,
        updated_at=uow.now,
    )
    repository.save_invoice(uow, held)
    announce(uow, held, actor, "invoice.held")
    return held
