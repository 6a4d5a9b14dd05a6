"""Deposits: sold by an invoice of their own (type 386), credit once they are paid."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from controlplane.invoicing import repository
from controlplane.invoicing.deposit_rules import make_deposit_line
from controlplane.invoicing.domain import Hold, Invoice, InvoiceKind, InvoiceLine, InvoiceState
from controlplane.invoicing.draft_rules import complete_deposit
from controlplane.invoicing.service_common import (
    SELLER_MISSING,
    SYSTEM_ACTOR,
    announce,
    decide_treatment,
    finish_draft,
    new_draft,
)
from controlplane.invoicing.service_issue import issue
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS, Period
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating import service as rating
from controlplane.rating.domain import CreditKind
from controlplane.tenancy import service as tenancy

# What was paid for is spent before what was given: it is the customer's money.
PREPAID_PRIORITY = 50


def sell_deposit(
    uow: UnitOfWork, tenant_id: TenantId, net_minor: int, label: str, *, actor: str = SYSTEM_ACTOR
) -> Invoice:
    """Invoice a deposit of `net_minor` cents before VAT; ISSUED, or HELD with its reason and tried again.

    Errors: NotFound for the tenant, Conflict for one that nobody has approved, InvalidInput for an amount that is none.
    """
    tenancy.require_approved(uow, tenant_id)
    repository.lock_billing(uow, tenant_id)
    line = make_deposit_line(net_minor, label, _today(uow))
    draft = new_draft(uow, tenant_id, InvoiceKind.DEPOSIT, line.period, is_issue_wanted=True)
    made = _compute(uow, draft, line)
    repository.add_invoice(uow, made)
    announce(uow, made, actor, "deposit.drafted")
    return issue(uow, made.id, actor=actor) if made.state is InvoiceState.READY else made


def compute_deposit(uow: UnitOfWork, draft: Invoice) -> Invoice:
    """Compute a deposit's DRAFT again from the facts of now; what is sold stays."""
    [line] = draft.lines
    return _compute(uow, draft, line)


def _compute(uow: UnitOfWork, draft: Invoice, line: InvoiceLine) -> Invoice:
    # The line is kept also where the draft is held: it is all that says what was sold.
    bare = replace(draft, lines=(line,), provenance={"sold": line.name})
    seller = repository.find_seller(uow)
    if seller is None:
        return finish_draft(replace(bare, hold=SELLER_MISSING))
    party = tenancy.get_tenant(uow, draft.tenant_id).billing_party
    treatment = decide_treatment(uow, bare, party)
    if isinstance(treatment, Hold):
        return finish_draft(replace(bare, hold=treatment))
    vat, proof = treatment
    filled = complete_deposit(bare, seller=seller[0], party=party, vat=vat, line=line)
    return finish_draft(replace(filled, provenance={**filled.provenance, **proof}))


def fund_deposit(uow: UnitOfWork, deposit: Invoice, *, actor: str = SYSTEM_ACTOR) -> None:
    """A deposit was paid in full: it becomes credit of its amount before VAT, once."""
    assert deposit.kind is InvoiceKind.DEPOSIT
    assert deposit.is_issued
    rating.grant_credit(
        uow,
        deposit.tenant_id,
        kind=CreditKind.PREPAID,
        label=f"Acompte {deposit.number}",
        amount_minor=deposit.totals.net_minor,
        priority=PREPAID_PRIORITY,
        effective_from=None,
        expires_at=None,
        actor=actor,
        deposit_id=deposit.id.value,
    )


def _today(uow: UnitOfWork) -> Period:
    start = uow.now.astimezone(PARIS).replace(hour=0, minute=0, second=0, microsecond=0)
    end = (start + timedelta(hours=36)).replace(hour=0)
    return Period(_utc(start), _utc(end))


def _utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)
