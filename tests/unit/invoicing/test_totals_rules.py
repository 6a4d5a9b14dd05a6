"""Amounts: one rounding a line, VAT once on the sum, no cent lost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.invoicing.domain import Allowance, InvoiceLine, VatCategory, VatTreatment
from controlplane.invoicing.draft_rules import make_lines
from controlplane.invoicing.totals_rules import (
    check_lines,
    check_rounding,
    check_totals,
    compute_breakdown,
    compute_totals,
    line_cents,
    vat_minor,
)
from controlplane.kernel.errors import InvalidInput
from controlplane.rating.rounding_rules import balance_bill
from tests.fixtures.invoices import PALAISEAU, rated_line, treatment

# quantity | price | base | cents
LINE_CASES = """
1            1.00       1         100
1234567      0.35       1000000   43.209845
12.5         2.49       1         3112.5
-0.5         0.01       1         -0.5
1            0.004999   1         0.4999
1            1          3         33.3333333333333333
-2           1          3         -66.6666666666666667
999999999999 0.000001   1         99999999.9999
99999999999  999999.999999  1     9999999999890000000.0001
"""


@pytest.mark.parametrize("case", LINE_CASES.strip().splitlines())
def test_what_a_line_shows_is_kept_to_eighteen_decimals(case: str) -> None:
    quantity, price, base, expected = case.split()
    assert line_cents(Decimal(quantity), Decimal(price), Decimal(base)) == Decimal(expected)


def test_an_invoice_sums_to_the_rounded_sum_of_what_its_lines_show() -> None:
    """Ten lines of 0.004 € are four cents together, though each alone is none; half a cent goes away from zero."""
    quarter = [rated_line(quantity="1", price="0.004", base="1") for _ in range(10)]
    with pytest.raises(InvalidInput, match="sum to 0 cents; what they show comes to 4"):
        check_rounding(make_lines(quarter))
    balanced = balance_bill(quarter)
    check_rounding(make_lines(balanced))
    assert [line.net_minor for line in balanced] == [1] * 4 + [0] * 6
    check_rounding(make_lines([replace(quarter[0], is_correction=True)] * 10))


@pytest.mark.parametrize(
    ("taxable", "rate", "tax"),
    [
        (10_000, "20", 2_000), (3, "20", 1), (2, "20", 0), (-3, "20", -1), (10_000, "8.5", 850), (6, "8.5", 1),
        (5, "8.5", 0), (10_000, None, 0), (10_000, "0", 0), (1_000_000_000_001, "20", 200_000_000_000),
    ],
)  # fmt: skip
def test_vat_is_rounded_half_away_from_zero(taxable: int, rate: str | None, tax: int) -> None:
    assert vat_minor(taxable, None if rate is None else Decimal(rate)) == tax


def _lines(nets: list[int]) -> tuple[InvoiceLine, ...]:
    made = make_lines([rated_line(quantity="1", price="1.00", base="1") for _ in nets])
    return tuple(
        replace(
            line, quantity=Decimal(1 if net >= 0 else -1), price=abs(Decimal(net)).scaleb(-2), net_minor=net
        )
        for line, net in zip(made, nets, strict=True)
    )


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=30), st.sampled_from(["20", "8.5", "0"]))
def test_vat_is_taken_on_the_sum_never_by_line(nets: list[int], rate: str) -> None:
    vat = replace(treatment(PALAISEAU), rate=Decimal(rate))
    lines = _lines(nets)
    breakdown = compute_breakdown(lines, (), vat)
    totals = compute_totals(lines, (), breakdown)
    assert totals.net_minor == sum(nets)
    assert totals.tax_minor == vat_minor(sum(nets), Decimal(rate))
    assert totals.gross_minor == totals.net_minor + totals.tax_minor == totals.due_minor
    check_lines(lines)
    check_totals(lines, (), breakdown, totals)


def test_three_lines_of_two_cents_owe_the_vat_of_six() -> None:
    lines = _lines([2, 2, 2])
    assert sum(vat_minor(2, Decimal(20)) for _ in lines) == 0
    assert compute_breakdown(lines, (), treatment(PALAISEAU))[0].tax_minor == 1


def test_an_allowance_is_taken_off_before_vat() -> None:
    lines, allowances = _lines([10_000]), (Allowance(2_500, "Avoir promotionnel"),)
    totals = compute_totals(lines, allowances, compute_breakdown(lines, allowances, treatment(PALAISEAU)))
    assert (totals.lines_minor, totals.allowance_minor, totals.net_minor) == (10_000, 2_500, 7_500)
    assert (totals.tax_minor, totals.gross_minor) == (1_500, 9_000)


def test_outside_the_scope_of_vat_there_is_no_tax() -> None:
    vat = VatTreatment("14", VatCategory.OUTSIDE_SCOPE, None, "VATEX-EU-O", "art. 259-1°", "10.1", "CGI")
    assert compute_breakdown(_lines([10_000]), (), vat)[0].tax_minor == 0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"net_minor": 42}, "quantity × price"),
        ({"net_minor": 45}, "quantity × price"),
        ({"price": Decimal("-0.35"), "net_minor": -43}, "never negative"),
        ({"price": Decimal("0.3500001")}, "6 decimals"),
        ({"quantity": Decimal("1234567.00001")}, "4 decimals"),
    ],
)
def test_a_line_that_does_not_follow_from_what_it_shows_is_refused(
    changes: dict[str, object], word: str
) -> None:
    (line,) = make_lines([rated_line()])
    check_lines([line])
    with pytest.raises(InvalidInput) as refused:
        check_lines([replace(line, **changes)])  # type: ignore[arg-type]
    assert any(word in problem.message for problem in refused.value.fields)


@pytest.mark.parametrize(
    "field", ["lines_minor", "allowance_minor", "net_minor", "tax_minor", "gross_minor", "due_minor"]
)
def test_one_cent_too_many_in_a_total_is_noticed(field: str) -> None:
    lines = _lines([10_000])
    breakdown = compute_breakdown(lines, (), treatment(PALAISEAU))
    totals = compute_totals(lines, (), breakdown)
    with pytest.raises(AssertionError, match="BR-"):
        check_totals(lines, (), breakdown, replace(totals, **{field: getattr(totals, field) + 1}))
