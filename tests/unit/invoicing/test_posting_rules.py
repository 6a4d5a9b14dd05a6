"""What an issued document says to the books."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.invoicing.domain import Invoice
from controlplane.invoicing.posting_rules import make_entry
from controlplane.invoicing.seller_data import DEMO_SELLER
from tests.fixtures.invoices import (
    BERLIN,
    PALAISEAU,
    REUNION,
    ZURICH,
    after_deposit,
    credited,
    deposit,
    issued,
    numbered,
    rated_line,
)

LINE = rated_line(quantity="100", price="1.00", base="1")

# who | debit | credits
CASES = """
PALAISEAU 411:12000 706:10000 44574:2000
REUNION   411:10850 7061:10000 44574:850
BERLIN    411:10000 7062:10000
ZURICH    411:10000 7063:10000
"""
PARTIES = {"PALAISEAU": PALAISEAU, "REUNION": REUNION, "BERLIN": BERLIN, "ZURICH": ZURICH}


def written(invoice: Invoice) -> list[str]:
    entry = make_entry(invoice)
    assert entry is not None
    assert sum(line.debit_minor - line.credit_minor for line in entry.lines) == 0
    assert all((line.tenant_id == invoice.tenant_id) == line.account.startswith("41") for line in entry.lines)
    return [f"{line.account}:{line.debit_minor or line.credit_minor}" for line in entry.lines]


@pytest.mark.parametrize("case", CASES.strip().splitlines())
def test_a_sale_is_booked_by_its_vat_regime(case: str) -> None:
    name, *expected = case.split()
    assert written(issued(PARTIES[name], LINE)) == expected


@pytest.mark.parametrize("name", PARTIES)
def test_a_credit_note_is_the_mirror_image(name: str) -> None:
    original = issued(PARTIES[name], LINE)
    sale, back = make_entry(original), make_entry(credited(original))
    assert sale is not None
    assert back is not None
    mirrored = [(line.account, line.credit_minor, line.debit_minor) for line in sale.lines]
    assert [(line.account, line.debit_minor, line.credit_minor) for line in back.lines] == mirrored


def test_a_deposit_is_no_sale_until_an_invoice_deducts_it() -> None:
    paid = deposit(PALAISEAU, 4_000)
    assert written(paid) == ["411:4800", "4191:4000", "44574:800"]
    assert written(numbered(after_deposit(PALAISEAU, paid, 4_000, LINE))) == [
        "411:7200", "4191:4000", "706:10000", "44574:1200",
    ]  # fmt: skip
    whole = numbered(after_deposit(PALAISEAU, deposit(PALAISEAU, 20_000), 10_000, LINE))
    assert written(whole) == ["4191:10000", "706:10000"]


def test_vat_is_due_at_once_under_the_debits_option() -> None:
    invoice = replace(issued(PALAISEAU, LINE), seller=replace(DEMO_SELLER, is_vat_on_debits=True))
    assert written(invoice) == ["411:12000", "706:10000", "44571:2000"]


def test_nothing_owed_is_nothing_booked() -> None:
    assert make_entry(issued(PALAISEAU, rated_line(quantity="1", price="0.001", base="1"))) is None
