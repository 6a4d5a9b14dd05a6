"""Supplementary invoices: earlier months that cost more now, by the VAT and to the buyer of their own supply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from controlplane.invoicing import repository
from controlplane.invoicing.domain import Buyer, Hold, Invoice, InvoiceKind, Preceding, VatTreatment
from controlplane.invoicing.draft_rules import complete_supplement, make_buyer
from controlplane.invoicing.service_common import (
    SELLER_MISSING,
    announce,
    decide_treatment,
    finish_draft,
    made_with,
    new_draft,
    reopen,
)
from controlplane.invoicing.service_rating import find_correction
from controlplane.kernel.ids import TenantId
from controlplane.metering.domain import FrozenPeriod
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating.domain import RatedPeriod
from controlplane.tenancy import service as tenancy


def draft_supplements(
    uow: UnitOfWork,
    tenant_id: TenantId,
    frozen: FrozenPeriod,
    parts: Sequence[RatedPeriod],
    *,
    actor: str,
    is_issue_wanted: bool,
) -> tuple[Invoice, ...]:
    """One invoice for each earlier month that costs more now and cannot be a line of this month's; one that waits is
    computed again."""
    made = []
    for part in parts:
        known = repository.find_waiting_supplement(uow, tenant_id, part.period)
        draft = (
            new_draft(uow, tenant_id, InvoiceKind.INVOICE, part.period, is_issue_wanted)
            if known is None
            else reopen(uow, known)
        )
        supplement = _compute(uow, draft, part, frozen)
        if known is None:
            repository.add_invoice(uow, supplement)
        else:
            repository.save_invoice(uow, supplement)
        announce(uow, supplement, actor, "supplement.drafted")
        made.append(supplement)
    return tuple(made)


def retry_supplement(uow: UnitOfWork, supplement: Invoice) -> Invoice:
    """Compute a waiting supplement again (DRAFT); it is held when the month costs no more any longer."""
    found = find_correction(uow, supplement)
    if found is None:
        hold = Hold("nothing_to_bill", "The period costs no more any longer than was billed for it.")
        return finish_draft(replace(supplement, hold=hold))
    part, frozen = found
    return _compute(uow, supplement, part, frozen)


def _compute(uow: UnitOfWork, draft: Invoice, part: RatedPeriod, frozen: FrozenPeriod) -> Invoice:
    original = repository.find_biller(uow, draft.tenant_id, part.period)
    corrects = {} if original is None else {"corrects": str(original.id)}
    provenance = {"supplement_of": part.period.start.isoformat(), **corrects, **made_with(frozen, part)}
    bare = replace(draft, provenance=provenance)
    seller = repository.find_seller(uow)
    facts = _find_facts(uow, bare, original)
    if seller is None or isinstance(facts, Hold):
        hold = facts if isinstance(facts, Hold) else SELLER_MISSING
        return finish_draft(replace(bare, hold=hold))
    vat, buyer, proof = facts
    filled = complete_supplement(
        bare, seller=seller[0], buyer=buyer, vat=vat, part=part, original=_refer_to(original)
    )
    return finish_draft(replace(filled, provenance={**provenance, **proof}))


def _find_facts(
    uow: UnitOfWork, draft: Invoice, original: Invoice | None
) -> tuple[VatTreatment, Buyer, dict[str, str]] | Hold:
    """VAT, buyer and proof: those of the invoice that billed the month; without one, of now by the month's own row."""
    if original is not None:
        assert original.vat is not None
        assert original.buyer is not None
        return original.vat, original.buyer, {}
    party = tenancy.get_tenant(uow, draft.tenant_id).billing_party
    decided = decide_treatment(uow, draft, party)
    return decided if isinstance(decided, Hold) else (decided[0], make_buyer(party), decided[1])


def _refer_to(original: Invoice | None) -> Preceding | None:
    if original is None:
        return None
    assert original.number is not None
    assert original.issued_on is not None
    return Preceding(original.id, original.number, original.issued_on)
