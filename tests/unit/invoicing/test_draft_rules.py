"""Drafts and credit notes as values: what is held, what is printed, what is given back."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.invoicing.draft_rules import make_buyer, make_credit_lines
from controlplane.invoicing.terms_rules import PERIODIC_PAYMENT_DAYS_MAX, due_on
from controlplane.kernel.errors import InvalidInput
from controlplane.rating.domain import CreditGrantId, CreditKind, CreditUse
from tests.fixtures.invoices import (
    BERLIN,
    NOW,
    PALAISEAU,
    REUNION,
    ZURICH,
    credited,
    drafted,
    issued,
    rated_line,
)
from tests.unit.rating.values import unhurried


def use(kind: CreditKind, minor: int) -> CreditUse:
    return CreditUse(CreditGrantId.new(), kind, "Avoir promotionnel", minor)


def test_promotional_credit_is_a_reduction_before_vat() -> None:
    draft = drafted(
        PALAISEAU,
        rated_line(quantity="100", price="1.00", base="1"),
        uses=(use(CreditKind.PROMOTIONAL, 2_000),),
    )
    assert draft.hold is None
    assert (draft.totals.net_minor, draft.totals.tax_minor) == (8_000, 1_600)


def test_prepaid_credit_without_a_deposit_invoice_is_held() -> None:
    draft = drafted(PALAISEAU, rated_line(), uses=(use(CreditKind.PREPAID, 10),))
    assert draft.hold is not None
    assert draft.hold.code == "deposit_invoice_missing"


def test_a_negative_total_is_held() -> None:
    draft = drafted(PALAISEAU, rated_line(quantity="-10", price="1.00", base="1"))
    assert draft.hold is not None
    assert draft.hold.code == "negative_total"


@pytest.mark.parametrize(
    ("who", "legal", "electronic"),
    [
        (PALAISEAU, ("732829320", "0002"), ("732829320", "0225")),
        (REUNION, ("732829320", "0002"), ("732829320", "0225")),
        (BERLIN, ("DE123456788", "0223"), ("DE123456788", "9930")),
        (ZURICH, ("CHE123456788", "0227"), ("CHE123456788", "9927")),
    ],
)
def test_identifiers_follow_the_platforms_schemes(
    who: object, legal: tuple[str, str], electronic: tuple[str, str]
) -> None:
    buyer = make_buyer(who)  # type: ignore[arg-type]
    assert (buyer.legal_id, buyer.legal_scheme) == legal
    assert (buyer.electronic_address, buyer.electronic_scheme) == electronic


def test_a_whole_credit_note_mirrors_its_invoice() -> None:
    original = issued()
    note = credited(original)
    assert note.totals == original.totals
    assert note.preceding is not None
    assert (note.preceding.number, note.preceding.issued_on) == (original.number, original.issued_on)
    told = next(text.text for text in note.notes if text.subject == "AAI")
    assert "DEMO-2026-000001 du 02/11/2026" in told
    assert "31,56 € HT" in told
    assert "6,31 € de TVA" in told


@unhurried
@given(st.integers(1, 3113))
def test_a_part_of_a_line_is_given_back_at_its_amount(amount: int) -> None:
    original = issued()
    (line,) = make_credit_lines(original, [(2, amount)])
    assert line.net_minor == amount
    assert line.credited_position == 2
    assert line.quantity * line.price / line.base_quantity * 100 == pytest.approx(
        Decimal(amount), abs=Decimal("0.5")
    )


@pytest.mark.parametrize("wanted", [(9, 1), (1, 0), (1, -5), (1, 44)])
def test_more_than_a_line_cannot_be_given_back(wanted: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput):
        make_credit_lines(issued(), [wanted])


@given(st.integers(-10, 100))
def test_payment_terms_of_periodic_invoices_end_at_45_days(days: int) -> None:
    if 0 <= days <= PERIODIC_PAYMENT_DAYS_MAX:
        assert (due_on(NOW.date(), days) - NOW.date()).days == days
    else:
        with pytest.raises(InvalidInput, match="L441-10"):
            due_on(NOW.date(), days)
