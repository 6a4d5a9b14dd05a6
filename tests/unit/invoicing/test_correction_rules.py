"""Corrections of earlier months keep the VAT and the buyer of the supply that they correct."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.invoicing.correction_rules import Footing, footing_of, foresee_footing, split_corrections
from controlplane.invoicing.deposit_rules import refer_to
from controlplane.invoicing.domain import Invoice, InvoiceKind
from controlplane.invoicing.draft_rules import (
    complete_credit_note,
    complete_supplement,
    make_reduction_lines,
)
from controlplane.invoicing.seller_data import DEMO_SELLER
from controlplane.invoicing.totals_rules import vat_minor
from controlplane.invoicing.vat_data import VAT_ROWS, VatCase, VatRow
from controlplane.kernel.period import Period
from controlplane.rating.domain import RatedPeriod
from controlplane.tenancy.domain import BillingParty
from tests.fixtures.invoices import (
    BERLIN,
    GUYANE,
    PALAISEAU,
    REUNION,
    ZURICH,
    drafted,
    empty_draft,
    rated_line,
    rated_period,
    treatment,
)

MILAN = replace(
    BERLIN,
    country="IT",
    vat_id="IT00743110157",
    address=replace(BERLIN.address, country="IT", postal_code="20121"),
)
OTHER_COMPANY = replace(PALAISEAU, siren="542065479", vat_id=None)
# Every VAT case with a buyer, and two with another buyer in the same case.
PARTIES = [PALAISEAU, REUNION, GUYANE, BERLIN, MILAN, ZURICH, OTHER_COMPANY]
MONTHS = [Period.month(2026, number) for number in range(4, 10)]
NOW_ON = date(2026, 10, 31)


def correction(month: Period, units: int) -> RatedPeriod:
    line = rated_line(quantity=str(units), price="1", base="1", charge_period=month, is_correction=True)
    return replace(rated_period(line), period=month, rating_hash=f"{month.start:%m}")


def billed(party: BillingParty, month: Period) -> Invoice:
    invoice = replace(drafted(party), period=month)
    return replace(invoice, number=f"DEMO-2026-{month.start:%m}", issued_on=month.end.date())


# By month: who was billed for it, and what it costs more or less now (0: cents that cancel out).
CHANGES = st.dictionaries(
    st.sampled_from(MONTHS), st.tuples(st.sampled_from(PARTIES), st.integers(-50, 50)), min_size=1, max_size=5
)


def make_document(part: RatedPeriod, original: Invoice) -> Invoice:
    """The supplementary invoice of a correction up, or the credit note of one down."""
    named = refer_to([original])[0]
    assert original.buyer is not None
    assert original.vat is not None
    if part.net_minor > 0:
        return complete_supplement(
            empty_draft(),
            seller=DEMO_SELLER,
            buyer=original.buyer,
            vat=original.vat,
            part=part,
            original=named,
        )
    lines = make_reduction_lines(part.lines, named)
    return complete_credit_note(
        empty_draft(InvoiceKind.CREDIT_NOTE), original, lines, is_whole=False, reason="test"
    )


@pytest.mark.case("M6")
@given(changes=CHANGES, now=st.sampled_from(PARTIES))
def test_every_correction_keeps_the_vat_of_its_supply(
    changes: dict[Period, tuple[BillingParty, int]], now: BillingParty
) -> None:
    """Up or down, several at once, whatever the customer is now: one document for each treatment, nothing twice."""
    originals = {month.start: billed(party, month) for month, (party, _) in changes.items()}
    corrections = [correction(month, units) for month, (_, units) in sorted(changes.items(), key=str)]
    footings: dict[datetime, Footing | None] = {at: footing_of(one) for at, one in originals.items()}
    lines, supplements, reductions = split_corrections(corrections, footings, foresee_footing(now, NOW_ON))
    assert sorted([*lines, *supplements, *reductions], key=id) == sorted(corrections, key=id)
    assert all(
        part.net_minor == 0 or footings[part.period.start] == footing_of(drafted(now)) for part in lines
    )
    for part in (*supplements, *reductions):
        original = originals[part.period.start]
        document = make_document(part, original)
        assert document.hold is None
        assert footing_of(document) == footings[part.period.start]
        assert document.vat is not None
        assert document.totals.net_minor == abs(part.net_minor)
        assert document.totals.tax_minor == vat_minor(abs(part.net_minor), document.vat.rate)
        assert document.preceding is not None
        assert document.preceding.number == original.number


@pytest.mark.case("M6")
@given(units=st.integers(1, 1_000), party=st.sampled_from(PARTIES))
def test_a_rate_of_another_date_is_not_a_line_either(units: int, party: BillingParty) -> None:
    """A month that no invoice billed is supplied by the row of its own time, in the same case."""
    case = VatCase(treatment(party).case)
    old = [row for row in VAT_ROWS if row.case is case and row.valid_from <= NOW_ON]
    changed: tuple[VatRow, ...] = tuple(
        part
        for row in old[:1]
        for part in (
            replace(row, valid_to=date(2026, 10, 1)),
            replace(row, valid_from=date(2026, 10, 1), valid_to=None, rate=(row.rate or Decimal(0)) + 1),
        )
    )
    september = MONTHS[-1]
    then = foresee_footing(party, date(2026, 9, 30), changed)
    own = foresee_footing(party, NOW_ON, changed)
    part = correction(september, units)
    assert split_corrections([part], {september.start: then}, own) == ((), (part,), ())
    assert split_corrections([part], {september.start: own}, own) == ((part,), (), ())


@pytest.mark.case("M6")
def test_where_the_customer_is_now_cannot_be_told_what_was_billed_still_can() -> None:
    unclear = replace(PALAISEAU, address=replace(PALAISEAU.address, country="DE"))
    own = foresee_footing(unclear, NOW_ON)
    part = correction(MONTHS[0], 5)
    assert own is None
    assert split_corrections([part], {MONTHS[0].start: footing_of(drafted())}, own) == ((), (part,), ())
    # Nobody billed that month either: it waits with the month's invoice for a person.
    assert split_corrections([part], {MONTHS[0].start: None}, own) == ((part,), (), ())
