"""Deposits: the line that sells one, and the lines by which a later invoice deducts it. Pure.

A prepaid credit is a deposit for identified services: an invoice of its own (type 386), VAT when it is paid, and the
invoices that use it deduct it before VAT, refer to it (BG-3) and say so (BT-23 = S4). So VAT is asked for once: on the
deposit, and on what remains.

Source: CGI art. 289 I-1-c and 269-2-c; BOI-TVA-DECLA-30-20-20-10; BR-FR-08, BR-FR-CO-08 (docs/french-law.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

from controlplane.invoicing.domain import Hold, Invoice, InvoiceKind, InvoiceLine, Preceding, VatTreatment
from controlplane.kernel.errors import FieldProblem, InvalidInput
from controlplane.kernel.period import Period
from controlplane.rating.domain import CreditKind, CreditUse

DEPOSIT_SKU: Final = "deposit"
# BT-23: a plain service; a service after a deposit.
PLAIN_MODE: Final = "S1"
AFTER_DEPOSIT_MODE: Final = "S4"
DEPOSIT_MINOR_MAX: Final = 100_000_000_000
LABEL_LENGTH_MAX: Final = 150


def make_deposit_line(net_minor: int, label: str, day: Period) -> InvoiceLine:
    """What a deposit invoice asks for. Errors: InvalidInput for an amount that is none."""
    if not 0 < net_minor <= DEPOSIT_MINOR_MAX:
        problem = FieldProblem("net", f"lies between 0.01 and {DEPOSIT_MINOR_MAX // 100}")
        raise InvalidInput("The deposit is not possible.", fields=(problem,))
    name = f"Acompte sur prestations à venir : {label[:LABEL_LENGTH_MAX]}"
    return _make_line(1, name, "Deposit on services to come", 1, net_minor, day)


def deduct_deposits(
    uses: Sequence[CreditUse],
    deposits: Mapping[UUID, Invoice],
    vat: VatTreatment,
    *,
    period: Period,
    after: int,
) -> tuple[InvoiceLine, ...] | Hold:
    """Lines that take paid deposits off an invoice, numbered on from `after`; a Hold where that cannot be lawful."""
    lines = []
    for position, use in enumerate(list_prepaid(uses), start=after + 1):
        deposit = None if use.deposit_id is None else deposits.get(use.deposit_id)
        if deposit is None or deposit.issued_on is None or deposit.vat is None:
            return Hold(
                "deposit_invoice_missing",
                "Prepaid credit was used that no deposit invoice (type 386) was made for.",
            )
        if not _is_same_vat(deposit.vat, vat):
            return Hold(
                "deposit_vat_changed",
                f"Deposit {deposit.number} bears VAT by {deposit.vat.case}, these services by {vat.case}: "
                "decide by hand how the deposit is given back.",
            )
        name = f"Acompte déduit : facture {deposit.number} du {deposit.issued_on:%d/%m/%Y}"
        lines.append(_make_line(position, name, "Deposit deducted", -1, use.amount_minor, period))
    return tuple(lines)


def list_prepaid(uses: Iterable[CreditUse]) -> list[CreditUse]:
    return [use for use in uses if use.kind is CreditKind.PREPAID and use.amount_minor > 0]


def refer_to(deposits: Iterable[Invoice]) -> tuple[Preceding, ...]:
    """BG-3: number and date of each deposit that is deducted, in the order of their numbers."""
    found = [
        Preceding(one.id, one.number, one.issued_on)
        for one in deposits
        if one.number is not None and one.issued_on is not None
    ]
    return tuple(sorted(found, key=lambda one: (one.issued_on, one.number)))


def deducted_minor(lines: Iterable[InvoiceLine]) -> int:
    """What the lines take off for deposits, before VAT, as a positive amount."""
    return -sum(line.net_minor for line in lines if is_deduction(line))


def is_deduction(line: InvoiceLine) -> bool:
    return line.sku == DEPOSIT_SKU and line.quantity < 0


def refusal_of_credit(original: Invoice, *, is_whole: bool) -> str | None:
    """Why a document cannot be credited as asked, or None."""
    if not original.is_issued or original.kind is InvoiceKind.CREDIT_NOTE:
        return "Only an issued invoice can be credited; a draft is computed again instead."
    if original.kind is InvoiceKind.DEPOSIT:
        return "A deposit is deducted from later invoices; giving it back is decided by hand."
    if is_whole and original.deposits:
        return "The invoice deducts a deposit: name the lines to give back."
    return None


def _make_line(
    position: int, name: str, description: str, quantity: int, net_minor: int, period: Period
) -> InvoiceLine:
    price = Decimal(net_minor).scaleb(-2)
    return InvoiceLine(
        position=position, sku=DEPOSIT_SKU, name=name, description=description, quantity=Decimal(quantity),
        unit_code="C62", price=price, base_quantity=Decimal(1), net_minor=quantity * net_minor, period=period,
        calculation=(f"DEPOSIT(quantity={quantity}, unit_price={price}) = {quantity * net_minor}",),
        price_version=None, is_correction=False, project_id=None, service_id=None,
    )  # fmt: skip


def _is_same_vat(one: VatTreatment, other: VatTreatment) -> bool:
    return (one.case, one.category, one.rate) == (other.case, other.category, other.rate)
