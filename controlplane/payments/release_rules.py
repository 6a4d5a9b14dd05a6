"""What of an invoice's payments a credit note sets free. Pure.

A credit note takes from what is open first; what was paid beyond what is still owed is the customer's again, with the
VAT that fell due with it (CGI art. 272-1: the note reversed it). The newest payments are set free first.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from controlplane.payments.domain import Allocation, OpenItem, PaymentId


def decide_release(item: OpenItem, allocations: Sequence[Allocation]) -> list[tuple[PaymentId, int, int]]:
    """(payment, amount, VAT in it) to set free; amounts sum to what was paid too much, VAT to what was reversed.

    An amount of zero takes a cent of VAT back that the credit note reversed where the parts were rounded.
    """
    over = max(0, -item.open_minor)
    vat = max(0, item.paid_vat_minor - (item.vat_minor - item.credited_vat_minor))
    if over == 0 and vat == 0:
        return []
    paid: dict[PaymentId, int] = {}
    for one in allocations:
        paid[one.payment_id] = paid.get(one.payment_id, 0) + one.amount_minor
    newest = sorted((key for key, amount in paid.items() if amount > 0), reverse=True)
    assert sum(paid[key] for key in newest) >= over, "no more is set free than was paid"
    parts: list[tuple[PaymentId, int, int]] = []
    left, vat_left = over, vat
    for key in newest:
        amount = min(left, paid[key])
        share = vat_left if amount == left else _share(vat_left, amount, left)
        parts.append((key, amount, share))
        left, vat_left = left - amount, vat_left - share
        if left == 0:
            break
    return parts


def _share(vat_minor: int, part_minor: int, whole_minor: int) -> int:
    exact = Decimal(vat_minor) * part_minor / whole_minor
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
