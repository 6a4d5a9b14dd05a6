"""Issue: the one transaction in which a document gets its number, its entry in the books, and its finality."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from controlplane.audit import service as audit
from controlplane.invoicing import repository
from controlplane.invoicing.document_port import get_keeper
from controlplane.invoicing.domain import (
    TRANSITIONS,
    Hold,
    Invoice,
    InvoiceId,
    InvoiceKind,
    InvoiceState,
    InvoiceTrigger,
    VatTreatment,
)
from controlplane.invoicing.draft_rules import check_amounts, make_buyer
from controlplane.invoicing.events import InvoiceIssued
from controlplane.invoicing.mentions_rules import missing_mentions
from controlplane.invoicing.numbering_rules import NUMBER_MAX, format_number, next_in_series
from controlplane.invoicing.posting_rules import make_entry, vat_account, vat_to_reverse
from controlplane.invoicing.service_common import find_customer_hold
from controlplane.invoicing.service_rating import (
    find_correction,
    hash_all,
    is_reduction,
    is_supplement,
    rate_all,
)
from controlplane.invoicing.terms_rules import due_on
from controlplane.invoicing.totals_rules import check_totals
from controlplane.invoicing.vat_rules import decide_vat, supply_day
from controlplane.kernel.errors import Conflict, InvalidInput, NotFound
from controlplane.kernel.period import PARIS
from controlplane.ledger import service as ledger
from controlplane.ledger.domain import Accounts
from controlplane.metering import service as metering
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating import service as rating
from controlplane.tenancy import service as tenancy

_REASON_LENGTH_MAX: Final = 500
# The hold of a document that the rules or the typesetter refuse.
DOCUMENT_INVALID: Final = "document_invalid"


def issue(uow: UnitOfWork, invoice_id: InvoiceId, *, actor: str = "system:invoicing") -> Invoice:
    """Issue a READY document: number, dates, state, books, files, audit, event, all or nothing.

    Issuing again returns the same invoice. When the VAT proof no longer holds, or the document cannot be made, it
    becomes HELD instead. Errors: IllegalTransition when it is not READY, InvalidInput when a mandatory mention is
    missing, Unavailable when its files cannot be made now; then no number is used.
    """
    known = repository.find_invoice(uow, invoice_id)
    if known is None:
        raise NotFound(f"There is no invoice {invoice_id}.")
    repository.lock_billing(uow, known.tenant_id)
    invoice = repository.find_invoice(uow, invoice_id, is_locked=True)
    assert invoice is not None
    if invoice.state is InvoiceState.ISSUED:
        return invoice
    next_state = TRANSITIONS.next(invoice.state, InvoiceTrigger.ISSUE)
    invoice, hold = _prepare(uow, invoice)
    if hold is not None:
        return _hold(uow, invoice, hold)
    issued = _number(uow, replace(invoice, state=next_state, version=invoice.version + 1, updated_at=uow.now))
    entry = make_entry(issued, reversed_vat_minor=_find_reversed_vat(uow, issued))
    if entry is not None:
        ledger.post(uow, entry)
    get_keeper().keep(uow, issued)
    _announce(uow, issued, actor)
    return issued


def _find_reversed_vat(uow: UnitOfWork, note: Invoice) -> int:
    """How much of a credit note's VAT the State is owed already, by what the books say of its original."""
    if note.kind is not InvoiceKind.CREDIT_NOTE or vat_account(note) == Accounts.VAT_DUE:
        return 0
    assert note.preceding is not None
    original = repository.find_invoice(uow, note.preceding.invoice_id)
    assert original is not None
    notes = [
        one for one in repository.list_credit_notes(uow, original) if one.is_issued and one.id != note.id
    ]
    pieces = [one.number for one in (original, *notes) if one.number is not None]
    due = -ledger.get_piece_balance(uow, Accounts.VAT_DUE, pieces)
    credited = sum(one.totals.tax_minor for one in (*notes, note))
    return vat_to_reverse(original, credited, due)


def _book(uow: UnitOfWork, invoice: Invoice) -> Hold | None:
    """Tell rating what is billed now; a Hold when the bill would be another one than the draft's."""
    frozen = metering.find_frozen_period(uow, invoice.tenant_id, invoice.period)
    if frozen is None:
        return Hold("not_frozen", "The period is not frozen: close it first.")
    rated = rate_all(uow, invoice.tenant_id, invoice.period, frozen).billed
    if hash_all(rated) != invoice.provenance.get("rating_hash"):
        return Hold("rating_changed", "Prices, credits or usage changed since the draft: draft it again.")
    for part in rated:
        if part.lines:
            rating.book_period(uow, part)
    return None


def _prepare(uow: UnitOfWork, invoice: Invoice) -> tuple[Invoice, Hold | None]:
    """Look again at all that could stop the issue, the cheap before the dear; rating is booked last, because nothing
    that holds the document may come after it."""
    hold = _find_changed_fact(uow, invoice)
    if hold is None:
        invoice, hold = _try_document(uow, invoice)
    return invoice, _book_what_is_billed(uow, invoice) if hold is None else hold


def _find_changed_fact(uow: UnitOfWork, invoice: Invoice) -> Hold | None:
    """What may have changed since the draft: seller, customer, VAT proof. A credit note keeps its original's; a
    supplement keeps its customer and VAT."""
    if invoice.kind is InvoiceKind.CREDIT_NOTE:
        return None
    seller = repository.find_seller(uow)
    if seller is None or seller[0] != invoice.seller:
        return Hold("seller_changed", "The seller's facts changed since the draft: draft it again.")
    if is_supplement(invoice) and invoice.preceding is not None:
        return None
    tenant = tenancy.get_tenant(uow, invoice.tenant_id)
    party = tenant.billing_party
    hold = find_customer_hold(tenant)
    if hold is not None:
        return hold
    answer = None
    if party.vat_id is not None:
        answer = repository.find_newest_vat_check(uow, invoice.tenant_id, party.vat_id)
    assert invoice.vat is not None
    found = decide_vat(party, answer, supply_day(invoice.period), uow.now)
    if isinstance(found, Hold):
        return found
    if not _is_same_treatment(found, invoice.vat):
        return Hold("customer_changed", "The customer's facts changed since the draft: draft it again.")
    return None


def _try_document(uow: UnitOfWork, invoice: Invoice) -> tuple[Invoice, Hold | None]:
    """Make and check the document under a stand-in number, before a number is taken and outside the series' lock.

    What corrects a document names its buyer; where that cannot be printed, which may be the very fault that is
    corrected, it names the buyer as it is written now.
    """
    stand_in = stand_in_for(uow, invoice)
    check_issuable(stand_in)
    problem = get_keeper().find_problem(stand_in)
    if problem is None:
        return invoice, None
    if invoice.preceding is not None:
        buyer = make_buyer(tenancy.get_tenant(uow, invoice.tenant_id).billing_party)
        if buyer != invoice.buyer and get_keeper().find_problem(replace(stand_in, buyer=buyer)) is None:
            return replace(invoice, buyer=buyer), None
    return invoice, document_hold(problem)


def document_hold(problem: str) -> Hold:
    return Hold(DOCUMENT_INVALID, f"{DOCUMENT_INVALID}: {problem}"[:_REASON_LENGTH_MAX])


def stand_in_for(uow: UnitOfWork, invoice: Invoice) -> Invoice:
    """The document as if it were issued today, under the last number of its series: as long as any, and never given."""
    assert invoice.seller is not None
    today = uow.now.astimezone(PARIS).date()
    return replace(
        invoice,
        state=InvoiceState.ISSUED,
        number=format_number(invoice.seller.number_prefix, today.year, NUMBER_MAX),
        issued_on=today,
        issued_at=uow.now,
        due_on=due_on(today, invoice.seller.payment_days),
        hold=None,
    )


def _book_what_is_billed(uow: UnitOfWork, invoice: Invoice) -> Hold | None:
    if is_reduction(invoice) or is_supplement(invoice):
        return _book_correction(uow, invoice)
    return _book(uow, invoice) if invoice.kind is InvoiceKind.INVOICE else None


def _book_correction(uow: UnitOfWork, document: Invoice) -> Hold | None:
    found = find_correction(uow, document)
    if found is None or found[0].rating_hash != document.provenance["rating_hash"]:
        return Hold("rating_changed", "The corrected period changed since the draft: draft it again.")
    rating.book_period(uow, found[0])
    return None


def _is_same_treatment(found: VatTreatment, drafted: VatTreatment) -> bool:
    return (found.case, found.category, found.rate) == (drafted.case, drafted.category, drafted.rate)


def _hold(uow: UnitOfWork, invoice: Invoice, hold: Hold) -> Invoice:
    held = replace(
        invoice,
        state=TRANSITIONS.next(invoice.state, InvoiceTrigger.HOLD),
        hold=hold,
        version=invoice.version + 1,
        updated_at=uow.now,
    )
    repository.save_invoice(uow, held)
    return held


def _number(uow: UnitOfWork, invoice: Invoice) -> Invoice:
    """Take the next number and write the issue; the checks run on what is written, before it is."""
    assert invoice.seller is not None
    today = uow.now.astimezone(PARIS).date()
    # The number is taken inside this transaction, from a locked row: a rollback leaves no gap (242 nonies A I-7°).
    series = repository.lock_series(uow, invoice.seller.number_prefix, today.year)
    taken, number = next_in_series(series, today)
    issued = replace(
        invoice,
        number=number,
        issued_on=today,
        issued_at=uow.now,
        due_on=due_on(today, invoice.seller.payment_days),
        hold=None,
    )
    check_issuable(issued)
    repository.save_series(uow, taken)
    repository.save_invoice(uow, issued, series=taken)
    return issued


def check_issuable(invoice: Invoice) -> None:
    """Refuse what would be unlawful; InvalidInput names the missing mentions."""
    check_amounts(invoice)
    check_totals(invoice.lines, invoice.allowances, invoice.breakdown, invoice.totals)
    missing = missing_mentions(invoice, is_numbered=True)
    if missing:
        named = "; ".join(f"{mention.id} ({mention.source})" for mention in missing)
        raise InvalidInput(f"The invoice cannot be issued, these mentions are missing: {named}.")


def _announce(uow: UnitOfWork, issued: Invoice, actor: str) -> None:
    assert issued.number is not None
    noun = {InvoiceKind.CREDIT_NOTE: "credit_note", InvoiceKind.DEPOSIT: "deposit"}.get(
        issued.kind, "invoice"
    )
    audit.record(
        uow, tenant_id=issued.tenant_id, actor=actor, action=f"{noun}.issued", target=str(issued.id),
        detail={"number": issued.number, "gross_minor": issued.totals.gross_minor},
    )  # fmt: skip
    uow.emit(
        InvoiceIssued(
            tenant_id=issued.tenant_id,
            invoice_id=issued.id,
            number=issued.number,
            kind=issued.kind,
            gross_minor=issued.totals.gross_minor,
            currency=issued.currency,
        )
    )


def fail_issue(uow: UnitOfWork, invoice_id: InvoiceId, reason: str) -> Invoice:
    """Record that issuing was refused, in a transaction of its own after the refused one; can be tried again."""
    invoice = repository.find_invoice(uow, invoice_id, is_locked=True)
    if invoice is None:
        raise NotFound(f"There is no invoice {invoice_id}.")
    if invoice.state is not InvoiceState.READY:
        raise Conflict("Only a ready invoice can fail to be issued.")
    failed = replace(
        invoice,
        state=TRANSITIONS.next(invoice.state, InvoiceTrigger.FAIL),
        hold=Hold("issue_failed", reason[:_REASON_LENGTH_MAX]),
        version=invoice.version + 1,
        updated_at=uow.now,
    )
    repository.save_invoice(uow, failed)
    return failed
