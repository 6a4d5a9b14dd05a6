"""Use cases of invoicing: close a month, retry what is held, issue, credit, record a VIES answer, set the seller.

All run in platform transactions and never commit. Locks are taken in one order: the tenant's billing, the invoice, the
number series, the books, the audit chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from controlplane.audit import service as audit
from controlplane.invoicing import repository
from controlplane.invoicing.domain import Invoice, InvoiceId, InvoiceState, Seller, VatIdAnswer, VatIdStatus
from controlplane.invoicing.events import VatChecked
from controlplane.invoicing.numbering_rules import PREFIX
from controlplane.invoicing.seller_data import DEMO_SELLER
from controlplane.invoicing.service_credit import credit_note
from controlplane.invoicing.service_deposit import fund_deposit, sell_deposit
from controlplane.invoicing.service_draft import (
    close_period,
    draft_period,
    freeze_period,
    hold_invoice,
    retry_invoice,
)
from controlplane.invoicing.service_issue import fail_issue, issue
from controlplane.invoicing.service_months import find_next_month, list_unreachable_usage
from controlplane.invoicing.terms_rules import PERIODIC_PAYMENT_DAYS_MAX
from controlplane.kernel.errors import FieldProblem, InvalidInput, NotFound
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.ledger import service as ledger
from controlplane.plumbing.cursors import PAGE_MAX, Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.versions import check_version
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.party_rules import french_vat_key, is_valid_siren

# 200 tenants a page: a million tenants are more than one installation has.
_TENANT_PAGES_MAX = 5_000

__all__ = [
    "close_period",
    "credit_note",
    "draft_period",
    "ensure_seller",
    "fail_issue",
    "find_gap",
    "find_next_month",
    "freeze_period",
    "fund_deposit",
    "get_invoice",
    "get_seller",
    "hold_invoice",
    "issue",
    "list_credit_notes",
    "list_invoices",
    "list_unclosed_tenants",
    "list_unreachable_usage",
    "list_waiting",
    "lock_billing",
    "record_vat_answer",
    "retry_invoice",
    "sell_deposit",
    "set_seller",
]


def lock_billing(uow: UnitOfWork, tenant_id: TenantId) -> None:
    """Let one transaction at a time bill a tenant or take its money: the first lock of each such use case."""
    repository.lock_billing(uow, tenant_id)


def get_invoice(uow: UnitOfWork, invoice_id: InvoiceId, tenant_id: TenantId | None) -> Invoice:
    """Return an invoice of a tenant (of any tenant for the platform); NotFound otherwise."""
    invoice = repository.find_invoice(uow, invoice_id, tenant_id)
    if invoice is None:
        raise NotFound(f"There is no invoice {invoice_id}.")
    return invoice


def list_invoices(
    uow: UnitOfWork,
    *,
    tenant_id: TenantId | None,
    after: UUID | None,
    limit: int,
    states: Sequence[InvoiceState] = (),
) -> Page[Invoice]:
    found = repository.list_invoices(uow, tenant_id=tenant_id, after=after, limit=limit + 1, states=states)
    return Page.of(found, limit, lambda invoice: invoice.id.value)


def list_credit_notes(uow: UnitOfWork, original: Invoice) -> Sequence[Invoice]:
    """The credit notes that refer to an invoice, oldest first; drafts among them."""
    return repository.list_credit_notes(uow, original)


def list_waiting(uow: UnitOfWork, limit: int) -> Sequence[InvoiceId]:
    """Invoices that should be issued and are held or failed."""
    return repository.list_waiting(uow, limit)


def list_unclosed_tenants(uow: UnitOfWork, period: Period) -> Sequence[TenantId]:
    """Tenants that existed in a month and have not had it closed; oldest first."""
    closed = repository.list_closed_tenants(uow, period)
    found: list[TenantId] = []
    after: UUID | None = None
    for _ in range(_TENANT_PAGES_MAX):
        page = tenancy.list_tenants(uow, after=after, limit=PAGE_MAX)
        found += [t.id for t in page.items if t.created_at < period.end and t.id not in closed]
        after = page.next_after
        if after is None:
            break
    return sorted(found)


def find_gap(uow: UnitOfWork, prefix: str, year: int) -> int:
    """How many numbers of a series are missing below its highest; zero is the only lawful answer."""
    count, highest = repository.count_issued(uow, prefix, year)
    return highest - count


def get_seller(uow: UnitOfWork) -> tuple[Seller, int]:
    found = repository.find_seller(uow)
    if found is None:
        raise NotFound("Nobody said yet who sells: set the seller first.")
    return found


def ensure_seller(uow: UnitOfWork) -> None:
    """Put the made-up company in place where nobody is; its documents say that they are a demonstration."""
    if repository.find_seller(uow) is None:
        set_seller(uow, DEMO_SELLER, expected_version=None, actor="seed")


def set_seller(uow: UnitOfWork, seller: Seller, *, expected_version: int | None, actor: str) -> int:
    """Replace the seller's facts and the books' owner with them; return the version.

    Invoices issued before keep what they say. Errors: InvalidInput names the facts that are wrong.
    """
    check_seller(seller)
    found = repository.find_seller(uow)
    if found is not None:
        check_version(found[1], -1 if expected_version is None else expected_version)
    version = repository.save_seller(uow, seller)
    _sync_books(uow, seller, actor)
    audit.record(
        uow, tenant_id=None, actor=actor, action="seller.changed", target=seller.siren,
        detail={"version": version, "is_demo": seller.is_demo},
    )  # fmt: skip
    return version


def _sync_books(uow: UnitOfWork, seller: Seller, actor: str) -> None:
    """The books belong to who sells: the FEC's file name carries the same SIREN."""
    try:
        entity = ledger.get_entity(uow)
    except NotFound:
        ledger.set_entity(uow, seller.siren, seller.legal_name, expected_version=None, actor=actor)
        return
    if (entity.siren, entity.legal_name) != (seller.siren, seller.legal_name):
        ledger.set_entity(uow, seller.siren, seller.legal_name, expected_version=entity.version, actor=actor)


def check_seller(seller: Seller) -> None:
    """Refuse a seller whose facts would make unlawful invoices."""
    problems = []
    if not is_valid_siren(seller.siren):
        problems.append(FieldProblem("siren", "This is not a SIREN."))
    elif seller.vat_id != f"FR{french_vat_key(seller.siren)}{seller.siren}":
        problems.append(FieldProblem("vat_id", "This is not the VAT number of this SIREN."))
    if len(seller.siret) != 14 or not seller.siret.isdigit() or not seller.siret.startswith(seller.siren):
        problems.append(FieldProblem("siret", "A SIRET is the SIREN and five more digits (BR-FR-09)."))
    if PREFIX.fullmatch(seller.number_prefix) is None:
        problems.append(FieldProblem("number_prefix", "One to six capital letters."))
    if seller.capital_minor <= 0:
        problems.append(FieldProblem("capital", "The share capital is a mandatory mention."))
    if not seller.electronic_address.startswith(seller.siren):
        problems.append(FieldProblem("electronic_address", "It starts with the SIREN (scheme 0225)."))
    if not 0 <= seller.payment_days <= PERIODIC_PAYMENT_DAYS_MAX:
        problems.append(
            FieldProblem("payment_days", "At most 45 days for periodic invoices (C. com. L441-10).")
        )
    if problems:
        raise InvalidInput("The seller is not complete or not right.", fields=tuple(problems))


def record_vat_answer(
    uow: UnitOfWork, tenant_id: TenantId, answer: VatIdAnswer, *, actor: str
) -> VatIdAnswer:
    """Keep one answer about a VAT number, with its proof; drafts that wait for it are tried again.

    Errors: NotFound without the tenant.
    """
    tenancy.get_tenant(uow, tenant_id)
    repository.add_vat_check(uow, tenant_id, answer)
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="vat_check.recorded", target=answer.vat_id,
        detail={"status": answer.status, "source": answer.source, "is_simulated": answer.is_simulated},
    )  # fmt: skip
    if answer.status is not VatIdStatus.UNREACHABLE:
        uow.emit(VatChecked(tenant_id, answer.vat_id, answer.status))
    return answer
