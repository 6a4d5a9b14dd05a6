"""Each mandatory mention: an invoice that lacks it is noticed, and by that mention alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controlplane.invoicing.domain import Allowance, Invoice, InvoiceKind, Note
from controlplane.invoicing.draft_rules import check_draft
from controlplane.invoicing.mentions_rules import DEBITS_TEXT, MENTIONS, missing_mentions
from controlplane.invoicing.seller_data import DEMO_SELLER
from tests.fixtures.invoices import (
    BERLIN,
    PALAISEAU,
    REUNION,
    ZURICH,
    after_deposit,
    credited,
    deposit,
    drafted,
    issued,
    numbered,
    rated_line,
)

REPOSITORY = Path(__file__).resolve().parents[3]


def seller(**facts: Any) -> dict[str, Any]:
    return {"seller": replace(DEMO_SELLER, **facts)}


def without_note(invoice: Invoice, subject: str) -> dict[str, Any]:
    return {"notes": tuple(note for note in invoice.notes if note.subject != subject)}


GOOD = issued(PALAISEAU)
GERMAN = issued(BERLIN)
DEPOSIT = deposit()
AFTER_DEPOSIT = numbered(
    after_deposit(PALAISEAU, DEPOSIT, 500, rated_line(quantity="100", price="1", base="1"))
)
assert GOOD.buyer
assert GOOD.vat
assert GERMAN.vat
assert GERMAN.buyer
# the mention that must be missed | an invoice without it
LACKING: dict[str, Invoice] = {
    "seller-identity": replace(GOOD, **seller(legal_name=" ")),
    "buyer-identity": replace(GOOD, buyer=replace(GOOD.buyer, siren=None)),
    "seller-vat-id": replace(GOOD, **seller(vat_id="")),
    "both-vat-ids": replace(GERMAN, buyer=replace(GERMAN.buyer, vat_id=None)),
    "issue-date": replace(GOOD, issued_on=None),
    "number": replace(GOOD, number="2026 000001"),
    "line-facts": replace(GOOD, lines=(replace(GOOD.lines[0], name=" "),)),
    "rate-or-exemption": replace(GOOD, vat=replace(GOOD.vat, rate=None)),
    "operation-nature": replace(GOOD, billing_mode="B1"),
    "discounts": replace(GOOD, allowances=(Allowance(100, " "),)),
    "totals-by-rate": replace(GOOD, breakdown=()),
    "debits-option": replace(GOOD, **seller(is_vat_on_debits=True)),
    "reverse-charge": replace(GERMAN, vat=replace(GERMAN.vat, exemption_text="Exonéré")),
    "company-form": replace(GOOD, **without_note(GOOD, "REG")),
    "registry": replace(GOOD, **without_note(GOOD, "ABL")),
    "due-date": replace(GOOD, due_on=None),
    "discount-terms": replace(GOOD, **without_note(GOOD, "AAB")),
    "late-penalties": replace(GOOD, **without_note(GOOD, "PMD")),
    "recovery-indemnity": replace(GOOD, **without_note(GOOD, "PMT")),
    "original-reference": replace(credited(GOOD), preceding=None),
    "deposit-reference": replace(AFTER_DEPOSIT, deposits=()),
    "buyer-electronic-address": replace(GOOD, buyer=replace(GOOD.buyer, electronic_address="")),
    "seller-electronic-address": replace(GOOD, **seller(electronic_address="999999999")),
}


@pytest.mark.parametrize("mention", LACKING)
def test_an_invoice_without_a_mention_is_refused(mention: str) -> None:
    assert mention in [row.id for row in missing_mentions(LACKING[mention], is_numbered=True)]


@pytest.mark.parametrize(
    "mention", [row.id for row in MENTIONS if row.id in LACKING and not row.needs_number]
)
def test_a_draft_without_a_mention_is_held_and_says_which(mention: str) -> None:
    draft = check_draft(replace(LACKING[mention], number=None, issued_on=None, due_on=None))
    assert draft.hold is not None
    assert draft.hold.code == "mention_missing"
    assert mention in draft.hold.reason


def test_every_mention_has_an_invoice_that_lacks_it() -> None:
    # A period is half-open and cannot be empty by construction: `Period` itself refuses it.
    assert {row.id for row in MENTIONS} == {*LACKING, "service-date"}


@pytest.mark.parametrize(
    "invoice", [GOOD, GERMAN, issued(REUNION), issued(ZURICH), credited(GOOD), DEPOSIT, AFTER_DEPOSIT]
)
def test_a_complete_invoice_lacks_nothing(invoice: Invoice) -> None:
    assert missing_mentions(invoice, is_numbered=True) == ()


def test_a_draft_is_asked_for_all_but_number_and_dates() -> None:
    draft = drafted(PALAISEAU)
    assert missing_mentions(draft, is_numbered=False) == ()
    assert [row.id for row in missing_mentions(draft, is_numbered=True)] == [
        "issue-date",
        "number",
        "due-date",
    ]


def test_a_note_twice_is_as_wrong_as_none() -> None:
    doubled = replace(GOOD, notes=(*GOOD.notes, Note("PMT", "40 €")))
    assert [row.id for row in missing_mentions(doubled, is_numbered=True)] == ["recovery-indemnity"]


def test_the_debits_option_is_printed_when_it_was_taken() -> None:
    noted = replace(
        GOOD, **seller(is_vat_on_debits=True), notes=(*GOOD.notes, Note("AAI", f"{DEBITS_TEXT}."))
    )
    assert missing_mentions(noted, is_numbered=True) == ()


def test_a_term_over_45_days_is_no_lawful_due_date() -> None:
    assert GOOD.issued_on
    late = replace(GOOD, due_on=GOOD.issued_on.replace(month=12, day=18))
    assert [row.id for row in missing_mentions(late, is_numbered=True)] == ["due-date"]


def test_documentation_lists_the_same_mentions() -> None:
    text = (REPOSITORY / "docs" / "french-law.md").read_text(encoding="utf-8")
    for row in MENTIONS:
        assert f"| `{row.id}` | {row.text} | {row.source} |" in text


def test_a_credit_note_is_an_invoice_of_its_kind() -> None:
    assert credited(GOOD).kind is InvoiceKind.CREDIT_NOTE
