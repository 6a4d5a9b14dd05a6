"""Deposits: sold once, deducted before VAT, named by what deducts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.invoicing.deposit_rules import (
    DEPOSIT_MINOR_MAX,
    make_deposit_line,
    refusal_of_credit,
)
from controlplane.invoicing.domain import InvoiceKind
from controlplane.invoicing.totals_rules import check_totals, vat_minor
from controlplane.kernel.errors import InvalidInput
from tests.fixtures.invoices import (
    BERLIN,
    OCTOBER,
    PALAISEAU,
    REUNION,
    after_deposit,
    credited,
    deposit,
    drafted,
    issued,
    numbered,
    rated_line,
)
from tests.unit.rating.values import unhurried

HUNDRED = rated_line(quantity="100", price="1.00", base="1")


def test_a_deposit_bears_vat_and_is_its_own_kind() -> None:
    sold = deposit(PALAISEAU, 4_000)
    assert (sold.kind, sold.billing_mode) == (InvoiceKind.DEPOSIT, "S1")
    assert (sold.totals.net_minor, sold.totals.tax_minor, sold.totals.gross_minor) == (4_000, 800, 4_800)


def test_vat_is_on_what_remains_and_the_invoice_names_the_deposit() -> None:
    paid = deposit(PALAISEAU, 4_000)
    final = after_deposit(PALAISEAU, paid, 4_000, HUNDRED)
    assert final.hold is None
    assert [(line.quantity, line.net_minor) for line in final.lines] == [(100, 10_000), (-1, -4_000)]
    assert (final.totals.net_minor, final.totals.tax_minor) == (6_000, 1_200)
    assert final.billing_mode == "S4"
    assert [(one.number, one.issued_on) for one in final.deposits] == [(paid.number, paid.issued_on)]
    assert paid.number is not None
    assert paid.number in final.lines[1].name


@unhurried
@given(usage=st.integers(1, 10**7), paid=st.integers(1, 10**7), parts=st.integers(1, 4))
def test_deposit_and_remainders_come_to_the_usage(usage: int, paid: int, parts: int) -> None:
    """However often a deposit is used, what is paid before VAT is the usage or the deposit, whichever is more, and
    each document's VAT is that of its own net amount."""
    sold, left, net = deposit(PALAISEAU, paid), paid, paid
    for _ in range(parts):
        used = min(left, usage)
        left -= used
        line = rated_line(quantity="1", price=f"{usage / 100:.2f}", base="1", net_minor=usage)
        final = after_deposit(PALAISEAU, sold, used, line) if used else drafted(PALAISEAU, line)
        assert final.hold is None
        check_totals(final.lines, final.allowances, final.breakdown, final.totals)
        assert final.totals.net_minor >= 0
        assert final.vat is not None
        assert final.totals.tax_minor == vat_minor(final.totals.net_minor, final.vat.rate)
        net += final.totals.net_minor
    assert net == max(usage * parts, paid)


def test_a_deposit_of_another_vat_row_is_held() -> None:
    moved = after_deposit(REUNION, deposit(PALAISEAU), 1_000, HUNDRED)
    assert moved.hold is not None
    assert moved.hold.code == "deposit_vat_changed"
    assert after_deposit(BERLIN, deposit(BERLIN), 1_000, HUNDRED).hold is None


@pytest.mark.parametrize("net_minor", [0, -1, DEPOSIT_MINOR_MAX + 1])
def test_an_amount_that_is_none_is_refused(net_minor: int) -> None:
    with pytest.raises(InvalidInput):
        make_deposit_line(net_minor, "x", OCTOBER)


def test_what_cannot_be_credited_says_why() -> None:
    paid = deposit()
    final = numbered(after_deposit(PALAISEAU, paid, 1_000, HUNDRED))
    assert refusal_of_credit(issued(), is_whole=True) is None
    assert refusal_of_credit(final, is_whole=False) is None
    for document, is_whole, word in (
        (drafted(), False, "issued invoice"),
        (credited(issued()), False, "issued invoice"),
        (paid, False, "by hand"),
        (final, True, "name the lines"),
    ):
        assert word in (refusal_of_credit(document, is_whole=is_whole) or "")


def test_a_credit_note_of_an_invoice_after_a_deposit_touches_no_deposit() -> None:
    final = numbered(after_deposit(PALAISEAU, deposit(), 1_000, HUNDRED))
    note = credited(final, [(1, 500)])
    assert (note.totals.net_minor, note.deposits) == (500, ())
