"""Amounts of an invoice: lines that sum to the rounded sum, then VAT once per category on it.

Source: EN 16931 BR-CO-10 (sum of lines), -11 (allowances), -13 (HT), -15 (TTC), -16 (due), -17 (VAT of a category);
BR-FR-DEC-01…04 (digits). VAT is never computed by line and added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Final

from controlplane.invoicing.deposit_rules import is_deduction
from controlplane.invoicing.domain import Allowance, InvoiceLine, Totals, VatBreakdown, VatTreatment
from controlplane.kernel.errors import FieldProblem, InvalidInput
from controlplane.kernel.money import Money

# BR-FR-DEC-02 and -03: what the French platform accepts after the comma.
QUANTITY_DECIMALS_MAX = 4
PRICE_DECIMALS_MAX = 6
# BR-FR-DEC-01: 19 digits with two decimals; far below, an amount is a typing mistake already.
LINE_NET_MINOR_MAX = 10**15
LINES_MAX = 5_000
# 23-digit quantities and prices multiply exactly below this.
_PRECISION: Final = 60
_EURO_PLACES: Final = Decimal(1).scaleb(-18)


def line_cents(quantity: Decimal, price: Decimal, base_quantity: Decimal) -> Decimal:
    """BT-129 × BT-146 ÷ BT-149 in cents, unrounded: kept to 18 decimals of a euro, as rating keeps it."""
    if base_quantity <= 0:
        raise InvalidInput("A price's base quantity is more than zero.")
    with localcontext(Context(prec=_PRECISION)):
        return (quantity * price / base_quantity).quantize(_EURO_PLACES, rounding=ROUND_HALF_UP).scaleb(2)


def check_lines(lines: Sequence[InvoiceLine]) -> None:
    """Refuse lines whose amounts do not follow from what they show; InvalidInput names each line.

    BT-131 is one of the two cents beside quantity × price ÷ base quantity; which one, `check_rounding` decides.
    """
    problems: list[FieldProblem] = []
    if len(lines) > LINES_MAX:
        raise InvalidInput(f"An invoice holds at most {LINES_MAX} lines.")
    for line in lines:
        where = f"lines.{line.position}"
        if line.price < 0:
            problems.append(FieldProblem(where, "A price is never negative (BR-FR-DEC-03)."))
        if _decimals(line.price) > PRICE_DECIMALS_MAX:
            problems.append(FieldProblem(where, "A price has at most 6 decimals (BR-FR-DEC-03)."))
        if _decimals(line.quantity) > QUANTITY_DECIMALS_MAX:
            problems.append(FieldProblem(where, "A quantity has at most 4 decimals (BR-FR-DEC-02)."))
        if abs(line.net_minor) > LINE_NET_MINOR_MAX:
            problems.append(FieldProblem(where, "The amount is out of bounds."))
        if abs(line.net_minor - line_cents(line.quantity, line.price, line.base_quantity)) >= 1:
            problems.append(FieldProblem(where, "The net amount is not quantity × price ÷ base quantity."))
    if problems:
        raise InvalidInput("The invoice's lines do not add up.", fields=tuple(problems))


def check_rounding(lines: Sequence[InvoiceLine]) -> None:
    """Refuse an invoice whose own lines do not sum to the rounded sum of what they show (docs/adr/0009).

    Corrections are left out: they balance with the invoices that billed their period before. Deducted deposits are
    left out too: whole cents, taken off what was rounded.
    """
    own = [line for line in lines if not line.is_correction and not is_deduction(line)]
    with localcontext(Context(prec=_PRECISION)):
        exact = sum((line_cents(line.quantity, line.price, line.base_quantity) for line in own), Decimal(0))
        wanted = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    found = sum(line.net_minor for line in own)
    if found != wanted:
        raise InvalidInput(f"The lines sum to {found} cents; what they show comes to {wanted}.")


def vat_minor(taxable_minor: int, rate: Decimal | None, currency: str = "EUR") -> int:
    """BT-117 = BT-116 × BT-119 ÷ 100, rounded half away from zero (BR-CO-17); no rate, no tax."""
    if rate is None:
        return 0
    return Money.round(Money(taxable_minor, currency).as_decimal() * rate / 100, currency).minor


def compute_breakdown(
    lines: Iterable[InvoiceLine], allowances: Iterable[Allowance], vat: VatTreatment, currency: str = "EUR"
) -> tuple[VatBreakdown, ...]:
    """BG-23: one row, because one buyer in one place gets one treatment for all its services."""
    taxable = sum(line.net_minor for line in lines) - sum(one.amount_minor for one in allowances)
    return (VatBreakdown(vat.category, vat.rate, taxable, vat_minor(taxable, vat.rate, currency)),)


def compute_totals(
    lines: Iterable[InvoiceLine], allowances: Iterable[Allowance], breakdown: Iterable[VatBreakdown]
) -> Totals:
    """BG-22 from lines, allowances and VAT rows; nothing is prepaid, so what is due is the total."""
    lines_sum = sum(line.net_minor for line in lines)
    allowance = sum(one.amount_minor for one in allowances)
    net, tax = lines_sum - allowance, sum(row.tax_minor for row in breakdown)
    return Totals(
        lines_minor=lines_sum,
        allowance_minor=allowance,
        net_minor=net,
        tax_minor=tax,
        gross_minor=net + tax,
        due_minor=net + tax,
    )


def check_totals(
    lines: Sequence[InvoiceLine],
    allowances: Sequence[Allowance],
    breakdown: Sequence[VatBreakdown],
    totals: Totals,
) -> None:
    """Check what was stored against the rules once more before a number is taken; AssertionError if it moved."""
    assert totals.lines_minor == sum(line.net_minor for line in lines), "BR-CO-10"
    assert totals.allowance_minor == sum(one.amount_minor for one in allowances), "BR-CO-11"
    assert totals.net_minor == totals.lines_minor - totals.allowance_minor, "BR-CO-13"
    assert sum(row.taxable_minor for row in breakdown) == totals.net_minor, "BR-S-08"
    assert all(row.tax_minor == vat_minor(row.taxable_minor, row.rate) for row in breakdown), "BR-CO-17"
    assert totals.tax_minor == sum(row.tax_minor for row in breakdown), "BR-CO-14"
    assert totals.gross_minor == totals.net_minor + totals.tax_minor, "BR-CO-15"
    assert totals.due_minor == totals.gross_minor, "BR-CO-16"


def round_quantity(quantity: Decimal) -> Decimal:
    """Write a quantity with the decimals that an invoice may show, half away from zero."""
    return quantity.quantize(Decimal(1).scaleb(-QUANTITY_DECIMALS_MAX), rounding=ROUND_HALF_UP)


def _decimals(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)
