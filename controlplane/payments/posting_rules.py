"""What money says to the books.

Source: PCG (docs/french-law.md, table "Entries"). The bank takes the whole amount (512); what settles invoices leaves
411, what is left over is the customer's deposit (4191). VAT that waited for the money (44574) falls due (44571), CGI
269-2-c; an entry of its own, because the bank's journal holds movements of the bank.
"""

from __future__ import annotations

from datetime import date

from controlplane.kernel.ids import TenantId
from controlplane.ledger.domain import Accounts, JournalCode, JournalEntryDraft, LineDraft
from controlplane.payments.domain import Allocation, Payment


def make_receipt_entry(payment: Payment, settled_minor: int) -> JournalEntryDraft:
    """512 at the amount, 411 at what it settles, 4191 at the rest."""
    assert 0 <= settled_minor <= payment.amount_minor
    parts = (
        (Accounts.RECEIVABLE, settled_minor),
        (Accounts.DEPOSIT_RECEIVED, payment.amount_minor - settled_minor),
    )
    return JournalEntryDraft(
        key=f"payment:{payment.id}",
        journal=JournalCode.BQ,
        occurred_on=payment.received_on,
        piece_ref=payment.bank_reference[:60],
        label=f"Règlement {payment.bank_reference}"[:200],
        lines=(
            LineDraft(Accounts.BANK, payment.amount_minor, 0),
            *(LineDraft(account, 0, minor, payment.tenant_id) for account, minor in parts if minor > 0),
        ),
    )


def make_transfer_entry(allocation: Allocation, number: str) -> JournalEntryDraft:
    """What was left over earlier settles an invoice now: out of 4191, into 411."""
    return JournalEntryDraft(
        key=f"allocation:{allocation.id}",
        journal=JournalCode.OD,
        occurred_on=allocation.allocated_on,
        piece_ref=number,
        label=f"Imputation d'avance sur {number}",
        lines=(
            LineDraft(Accounts.DEPOSIT_RECEIVED, allocation.amount_minor, 0, allocation.tenant_id),
            LineDraft(Accounts.RECEIVABLE, 0, allocation.amount_minor, allocation.tenant_id),
        ),
    )


def make_release_entry(allocation: Allocation, number: str) -> JournalEntryDraft:
    """A credit note took back what was paid: out of 411, and the customer's again (4191)."""
    assert allocation.amount_minor < 0
    return JournalEntryDraft(
        key=f"allocation:{allocation.id}",
        journal=JournalCode.OD,
        occurred_on=allocation.allocated_on,
        piece_ref=number,
        label=f"Trop-perçu après avoir sur {number}",
        lines=(
            LineDraft(Accounts.RECEIVABLE, -allocation.amount_minor, 0, allocation.tenant_id),
            LineDraft(Accounts.DEPOSIT_RECEIVED, 0, -allocation.amount_minor, allocation.tenant_id),
        ),
    )


def make_refund_entry(
    tenant_id: TenantId, amount_minor: int, paid_on: date, bank_reference: str
) -> JournalEntryDraft:
    """What was the customer's (4191) leaves the bank (512)."""
    return JournalEntryDraft(
        key=f"refund:{bank_reference}",
        journal=JournalCode.BQ,
        occurred_on=paid_on,
        piece_ref=bank_reference[:60],
        label=f"Remboursement {bank_reference}"[:200],
        lines=(
            LineDraft(Accounts.DEPOSIT_RECEIVED, amount_minor, 0, tenant_id),
            LineDraft(Accounts.BANK, 0, amount_minor),
        ),
    )


def make_vat_entry(allocation: Allocation, number: str) -> JournalEntryDraft | None:
    """VAT that waited falls due; None when there is none in this part."""
    if allocation.vat_minor == 0:
        return None
    return JournalEntryDraft(
        key=f"allocation:{allocation.id}:vat",
        journal=JournalCode.OD,
        occurred_on=allocation.allocated_on,
        piece_ref=number,
        label=f"TVA exigible sur encaissement {number}",
        lines=(
            LineDraft(Accounts.VAT_WAITING, allocation.vat_minor, 0),
            LineDraft(Accounts.VAT_DUE, 0, allocation.vat_minor),
        ),
    )
