"""Credit notes: by hand, and for earlier months that cost less now than was billed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from controlplane.invoicing import repository
from controlplane.invoicing.deposit_rules import refusal_of_credit
from controlplane.invoicing.domain import (
    Hold,
    Invoice,
    InvoiceId,
    InvoiceKind,
    Preceding,
)
from controlplane.invoicing.draft_rules import (
    complete_credit_note,
    find_problem,
    make_credit_lines,
    make_reduction_lines,
)
from controlplane.invoicing.service_common import (
    SYSTEM_ACTOR,
    announce,
    finish_draft,
    lock_invoice,
    made_with,
    new_draft,
    reopen,
)
from controlplane.invoicing.service_issue import issue
from controlplane.invoicing.service_rating import find_correction
from controlplane.kernel.errors import Conflict, InvalidInput
from controlplane.kernel.ids import TenantId
from controlplane.metering.domain import FrozenPeriod
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating.domain import RatedPeriod

REDUCTION_REASON = "régularisation de l'usage de la période"


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
    original = lock_invoice(uow, invoice_id)
    refusal = refusal_of_credit(original, is_whole=lines is None)
    if refusal is not None:
        raise Conflict(refusal)
    draft = new_draft(uow, original.tenant_id, InvoiceKind.CREDIT_NOTE, original.period, is_issuing)
    taken = make_credit_lines(original, lines)
    filled = complete_credit_note(draft, original, taken, is_whole=lines is None, reason=reason)
    _check_left(uow, original, filled)
    if filled.hold is not None:
        raise InvalidInput(filled.hold.reason)
    provenance = {"corrects": str(original.id), "rating_hash": original.provenance.get("rating_hash", "")}
    ready = finish_draft(replace(filled, provenance=provenance))
    repository.add_invoice(uow, ready)
    announce(uow, ready, actor, "credit_note.drafted")
    return issue(uow, ready.id, actor=actor) if is_issuing else ready


def _check_left(uow: UnitOfWork, original: Invoice, filled: Invoice) -> None:
    """No line and no invoice is given back twice, whatever earlier credit notes took; Conflict otherwise."""
    earlier = [note for note in repository.list_credit_notes(uow, original) if note.id != filled.id]
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


def draft_reductions(
    uow: UnitOfWork,
    tenant_id: TenantId,
    frozen: FrozenPeriod,
    reductions: Sequence[RatedPeriod],
    *,
    actor: str,
    is_issue_wanted: bool,
) -> tuple[Invoice, ...]:
    """One credit note for each earlier month that costs less now than was billed; one that waits is computed again.

    An invoice is never below zero, and a reduction of what was invoiced names the invoice that it reduces.
    """
    made = []
    for part in reductions:
        original = repository.find_biller(uow, tenant_id, part.period)
        assert original is not None, "what was booked was issued"
        known = repository.find_waiting_reduction(uow, original, part.period)
        draft = (
            new_draft(uow, tenant_id, InvoiceKind.CREDIT_NOTE, part.period, is_issue_wanted)
            if known is None
            else reopen(uow, known)
        )
        note = _compute_reduction(uow, draft, original, part, frozen)
        if known is None:
            repository.add_invoice(uow, note)
        else:
            repository.save_invoice(uow, note)
        announce(uow, note, actor, "credit_note.drafted")
        made.append(note)
    return tuple(made)


def retry_reduction(uow: UnitOfWork, note: Invoice) -> Invoice:
    """Compute a waiting reduction again (DRAFT); it is held when the month costs no less any more."""
    assert note.preceding is not None
    original = repository.find_invoice(uow, note.preceding.invoice_id)
    assert original is not None
    found = find_correction(uow, note)
    if found is None:
        hold = Hold("nothing_to_reduce", "The period costs no less any more than was billed for it.")
        return finish_draft(replace(note, hold=hold))
    part, frozen = found
    return _compute_reduction(uow, note, original, part, frozen)


def _compute_reduction(
    uow: UnitOfWork, draft: Invoice, original: Invoice, part: RatedPeriod, frozen: FrozenPeriod
) -> Invoice:
    assert original.number is not None
    assert original.issued_on is not None
    named = Preceding(original.id, original.number, original.issued_on)
    filled = complete_credit_note(
        draft,
        original,
        make_reduction_lines(part.lines, named),
        is_whole=False,
        reason=REDUCTION_REASON,
    )
    hold = find_problem((part,)) or filled.hold
    if hold is None:
        try:
            _check_left(uow, original, filled)
        except Conflict as err:
            hold = Hold("credit_exceeds_invoice", f"{err.message} Decide by hand which invoice is reduced.")
    provenance = {"corrects": str(original.id), "reduction_of": part.period.start.isoformat()}
    return finish_draft(replace(filled, hold=hold, provenance={**provenance, **made_with(frozen, part)}))
