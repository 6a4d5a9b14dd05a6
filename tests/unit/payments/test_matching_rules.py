"""Which invoices money settles, and the VAT in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.invoicing.domain import InvoiceId
from controlplane.payments.domain import OpenItem, SettlementState
from controlplane.payments.matching_rules import is_named, match_payment, vat_share

DAY = date(2026, 11, 2)


def item(number: int, gross: int = 12_000, vat: int = 2_000, **facts: int) -> OpenItem:
    blank = {"paid_minor": 0, "paid_vat_minor": 0, "credited_minor": 0, "credited_vat_minor": 0}
    return OpenItem(
        InvoiceId.new(),
        f"RMP-2026-{number:06d}",
        DAY + timedelta(days=number),
        gross,
        vat,
        **{**blank, **facts},
    )


def test_the_oldest_due_is_settled_first() -> None:
    late, early = item(2), item(1)
    shares, left = match_payment(15_000, "", [late, early])
    assert [(share.invoice_id, share.amount_minor) for share in shares] == [
        (early.invoice_id, 12_000), (late.invoice_id, 3_000),
    ]  # fmt: skip
    assert left == 0


def test_the_customers_wish_goes_first() -> None:
    early, named = item(1), item(2)
    shares, _ = match_payment(12_000, "virement rmp-2026-000002 merci", [early, named])
    assert [share.invoice_id for share in shares] == [named.invoice_id]


@pytest.mark.parametrize(
    ("text", "is_there"),
    [
        ("RMP-2026-000001", True),
        ("xRMP-2026-000001", False),
        ("RMP-2026-0000012", False),
        ("", False),
    ],
)
def test_a_number_is_a_word_of_its_own(text: str, is_there: bool) -> None:
    assert is_named(text, "RMP-2026-000001") is is_there


@given(st.integers(0, 10**7), st.lists(st.integers(1, 10**6), max_size=12))
def test_no_cent_is_lost_or_made(amount: int, totals: list[int]) -> None:
    items = [item(n, gross, gross // 6) for n, gross in enumerate(totals)]
    shares, left = match_payment(amount, "", items)
    assert left + sum(share.amount_minor for share in shares) == amount
    assert left == max(0, amount - sum(totals))
    assert all(0 < share.amount_minor <= 10**6 for share in shares)


@given(st.integers(1, 10**7), st.lists(st.integers(1, 10**6), min_size=1, max_size=15))
def test_vat_of_all_parts_is_the_invoices_vat(gross: int, parts: list[int]) -> None:
    now = item(1, gross, gross // 6)
    for part in [*parts, gross]:
        take = min(part, now.open_minor)
        if take == 0:
            break
        vat = vat_share(now, take)
        assert 0 <= vat <= take
        now = replace(now, paid_minor=now.paid_minor + take, paid_vat_minor=now.paid_vat_minor + vat)
    assert now.open_minor == 0
    assert now.paid_vat_minor == now.vat_minor


def test_credited_vat_does_not_fall_due_again() -> None:
    half = item(1, credited_minor=6_000, credited_vat_minor=1_000)
    assert vat_share(half, 3_000) == 500
    assert vat_share(half, 6_000) == 1_000


@pytest.mark.parametrize(
    ("paid", "on", "state"),
    [
        (0, DAY, SettlementState.OPEN), (1, DAY, SettlementState.PARTIAL), (12_000, DAY, SettlementState.SETTLED),
        (1, DAY + timedelta(days=2), SettlementState.OVERDUE),
    ],
)  # fmt: skip
def test_settlement_is_read_from_the_amounts(paid: int, on: date, state: SettlementState) -> None:
    assert item(1, paid_minor=paid).state(on) is state
