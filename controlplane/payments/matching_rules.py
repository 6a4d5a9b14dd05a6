"""Which invoices a payment settles, and how much VAT falls due with it. Pure.

Order: the invoices that the remittance text names, then the oldest due first (C. civ. art. 1342-10: the debtor's wish,
then the debt that fell due first). VAT follows the money in proportion; the payment that settles an invoice takes the
rest, so that the parts sum to the invoice's VAT.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from controlplane.invoicing.domain import InvoiceId
from controlplane.payments.domain import OpenItem


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a payment for one invoice, with the VAT in it."""

    invoice_id: InvoiceId
    amount_minor: int
    vat_minor: int


def match_payment(
    amount_minor: int, remittance: str, items: Sequence[OpenItem]
) -> tuple[tuple[Share, ...], int]:
    """Spread an amount over open invoices; return the shares and what is left over."""
    assert amount_minor >= 0
    left = amount_minor
    shares = []
    for item in sorted(
        items, key=lambda item: (not is_named(remittance, item.number), item.due_on, item.number)
    ):
        part = min(left, item.open_minor)
        if part > 0:
            shares.append(Share(item.invoice_id, part, vat_share(item, part)))
            left -= part
    assert left >= 0
    assert left + sum(share.amount_minor for share in shares) == amount_minor
    return tuple(shares), left


def is_named(remittance: str, number: str) -> bool:
    """Tell whether a text names an invoice number, whatever its case, as a word of its own."""
    return (
        re.search(rf"(?<![A-Za-z0-9]){re.escape(number)}(?![A-Za-z0-9])", remittance, re.IGNORECASE)
        is not None
    )


def vat_share(item: OpenItem, part_minor: int) -> int:
    """The VAT in a part of an invoice; what settles it takes all that is left of its VAT."""
    left_vat = item.vat_minor - item.credited_vat_minor - item.paid_vat_minor
    if part_minor >= item.open_minor:
        return max(0, left_vat)
    owed = item.gross_minor - item.credited_minor
    vat = item.vat_minor - item.credited_vat_minor
    exact = Decimal(vat) * part_minor / owed
    return max(0, min(left_vat, int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))))
