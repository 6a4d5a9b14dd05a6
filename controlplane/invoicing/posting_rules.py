"""What an issued document says to the books.

Source: PCG (docs/french-law.md, table "Entries"): 411 at the total, 706 at the net amount by VAT regime, VAT in 44574
until it is collected (CGI 269-2-c: services fall due when paid) or in 44571 under the debits option. A credit note is
the mirror image, but for the VAT that fell due with a payment meanwhile: that leaves 44571 (CGI 272-1). A deposit goes
to 4191 instead of 706 and leaves it when an invoice deducts it; that invoice's VAT is on the remainder.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from controlplane.invoicing.deposit_rules import deducted_minor
from controlplane.invoicing.domain import Invoice, InvoiceKind, VatCategory
from controlplane.ledger.domain import Accounts, JournalCode, JournalEntryDraft, LineDraft

_FULL_RATE: Final = Decimal("20")
_OF_A_TENANT: Final = frozenset({Accounts.RECEIVABLE, Accounts.DEPOSIT_RECEIVED})
_NOUNS: Final = {
    InvoiceKind.INVOICE: "Facture",
    InvoiceKind.CREDIT_NOTE: "Avoir",
    InvoiceKind.DEPOSIT: "Facture d'acompte",
}


def vat_to_reverse(original: Invoice, credited_vat_minor: int, due_vat_minor: int) -> int:
    """Of a credit note's VAT, the part that fell due already (CGI art. 272-1): it leaves 44571, the rest 44574.

    `credited_vat_minor`: the VAT of all credit notes of the original, this one included; `due_vat_minor`: what fell due
    of the original so far, less what earlier notes reversed. What may stay due is the VAT that is still owed.
    """
    return max(0, due_vat_minor - (original.totals.tax_minor - credited_vat_minor))


def make_entry(invoice: Invoice, *, reversed_vat_minor: int = 0) -> JournalEntryDraft | None:
    """The sales entry of an issued document; None when nothing is owed, since no book holds a zero line.

    `reversed_vat_minor`: of a credit note's VAT, what fell due with a payment (`vat_to_reverse`).
    """
    assert invoice.number is not None
    assert invoice.issued_on is not None
    is_credit = invoice.kind is InvoiceKind.CREDIT_NOTE
    totals, deducted = invoice.totals, deducted_minor(invoice.lines)
    is_deposit = invoice.kind is InvoiceKind.DEPOSIT
    sides = [
        (Accounts.RECEIVABLE, totals.gross_minor, True),
        (Accounts.DEPOSIT_RECEIVED, deducted, True),
        (
            Accounts.DEPOSIT_RECEIVED if is_deposit else sales_account(invoice),
            totals.net_minor + deducted,
            False,
        ),
        (vat_account(invoice), totals.tax_minor - reversed_vat_minor, False),
        (Accounts.VAT_DUE, reversed_vat_minor, False),
    ]
    lines = tuple(
        LineDraft(
            account=account,
            debit_minor=amount if is_debit is not is_credit else 0,
            credit_minor=amount if is_debit is is_credit else 0,
            tenant_id=invoice.tenant_id if account in _OF_A_TENANT else None,
        )
        for account, amount, is_debit in sides
        if amount != 0
    )
    if not lines:
        return None
    noun = _NOUNS[invoice.kind]
    return JournalEntryDraft(
        key=f"invoice:{invoice.id}",
        journal=JournalCode.VE,
        occurred_on=invoice.issued_on,
        piece_ref=invoice.number,
        label=f"{noun} {invoice.number}",
        lines=lines,
    )


def sales_account(invoice: Invoice) -> str:
    """706 and its sub-accounts, one a VAT regime, so that the VAT return can be read from the books."""
    assert invoice.vat is not None
    if invoice.vat.category is VatCategory.REVERSE_CHARGE:
        return Accounts.SALES_REVERSE_CHARGE
    if invoice.vat.category is VatCategory.OUTSIDE_SCOPE:
        return Accounts.SALES_OUTSIDE
    return Accounts.SALES if invoice.vat.rate == _FULL_RATE else Accounts.SALES_REDUCED


def vat_account(invoice: Invoice) -> str:
    assert invoice.seller is not None
    return Accounts.VAT_DUE if invoice.seller.is_vat_on_debits else Accounts.VAT_WAITING
