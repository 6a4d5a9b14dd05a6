"""Issued documents whose files were never made: a way out that keeps number, amounts and entry."""

from __future__ import annotations

from dataclasses import replace

from controlplane.audit import service as audit
from controlplane.invoicing import repository
from controlplane.invoicing.document_port import get_keeper
from controlplane.invoicing.domain import TRANSITIONS, Hold, Invoice, InvoiceTrigger
from controlplane.invoicing.draft_rules import make_buyer
from controlplane.invoicing.vat_rules import find_case
from controlplane.kernel.errors import Conflict
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy


def remake_document(uow: UnitOfWork, issued: Invoice, *, actor: str) -> Invoice:
    """Make the files that an issued document never had, with the buyer as it is written now where the old one cannot
    be printed. Nobody has received it, so its buyer may be corrected; number, amounts and VAT stay.

    Errors: IllegalTransition when its files exist; Conflict when they cannot be made, with the reason.
    """
    keeper = get_keeper()
    known = keeper.find_states(uow, [issued.id]).get(issued.id)
    if known is not None and known.is_kept:
        TRANSITIONS.next(issued.state, InvoiceTrigger.RETRY)
    problem = keeper.find_problem(issued)
    made = issued
    if problem is not None:
        made = _with_buyer_of_now(uow, issued)
        problem = keeper.find_problem(made) if made.buyer != issued.buyer else problem
    if problem is not None:
        raise Conflict(f"The files of {issued.number} cannot be made: {problem}")
    if made.buyer != issued.buyer:
        made = replace(made, version=issued.version + 1, updated_at=uow.now)
        repository.correct_buyer(uow, made)
    keeper.keep(uow, made)
    audit.record(
        uow, tenant_id=made.tenant_id, actor=actor, action="invoice.remade", target=str(made.id),
        detail={"number": made.number, "is_buyer_corrected": made.buyer != issued.buyer},
    )  # fmt: skip
    return made


def _with_buyer_of_now(uow: UnitOfWork, issued: Invoice) -> Invoice:
    party = tenancy.get_tenant(uow, issued.tenant_id).billing_party
    assert issued.vat is not None
    case = find_case(party)
    if isinstance(case, Hold) or case != issued.vat.case:
        return issued
    return replace(issued, buyer=make_buyer(party))
