"""The official rules have teeth here: good documents pass, each seeded fault is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.einvoicing.cii import PROFILE_EN16931, PROFILE_EXTENDED_CTC_FR, write_cii
from controlplane.einvoicing.documents import DocumentRefused, make_documents
from controlplane.einvoicing.validation import RULES, CheckNotRun, CheckRun, Validation, validate_cii
from controlplane.invoicing.domain import Invoice
from controlplane.rating.domain import CreditGrantId, CreditKind, CreditUse
from controlplane.tenancy.domain import BillingParty
from tests.fixtures.invoices import (
    BERLIN,
    GUYANE,
    PALAISEAU,
    REUNION,
    ZURICH,
    after_deposit,
    credited,
    deposit,
    issued,
    numbered,
    rated_line,
    supplemented,
)

PROMOTION = CreditUse(CreditGrantId.new(), CreditKind.PROMOTIONAL, "Avoir promotionnel", 20)
LINES = (rated_line(), rated_line("gpu", quantity="12.5", price="2.49", base="1", unit="gpu_hour"))


def rules_failed(xml: bytes) -> set[str]:
    return {finding.rule for finding in validate_cii(xml).errors}


@pytest.mark.parametrize(
    "party", [PALAISEAU, REUNION, GUYANE, BERLIN, ZURICH], ids=lambda one: one.legal_name
)
@pytest.mark.parametrize(
    "kind",
    [
        "invoice",
        "credit note",
        "part credited",
        "with discount and correction",
        "deposit",
        "after a deposit",
        "supplement",
    ],
)  # fmt: skip
def test_the_official_rules_accept_each_kind_of_document(party: BillingParty, kind: str) -> None:
    documents = {
        "invoice": lambda: issued(party, *LINES),
        "credit note": lambda: credited(issued(party, *LINES)),
        "part credited": lambda: credited(issued(party, *LINES), [(1, 10)]),
        "with discount and correction": lambda: issued(
            party, *LINES, rated_line("fix", quantity="-1000", is_correction=True), uses=(PROMOTION,)
        ),
        "deposit": lambda: deposit(party),
        "after a deposit": lambda: numbered(after_deposit(party, deposit(party), 1_000, *LINES)),
        "supplement": lambda: supplemented(issued(party, *LINES)),
    }
    validation = validate_cii(write_cii(documents[kind]()))
    assert validation.errors == ()
    assert validation.is_valid
    assert len(validation.runs) == 3
    assert all(run.fired > 0 for run in validation.runs)


def test_outside_scope_follows_the_french_extended_profile() -> None:
    assert validate_cii(write_cii(issued(ZURICH))).profile == PROFILE_EXTENDED_CTC_FR
    assert validate_cii(write_cii(issued(BERLIN))).profile == PROFILE_EN16931
    plain = write_cii(issued(ZURICH)).replace(PROFILE_EXTENDED_CTC_FR.encode(), PROFILE_EN16931.encode())
    assert any("BR-O-02" in finding.message for finding in validate_cii(plain).errors)


TOTALS = ["lines_minor", "net_minor", "tax_minor", "gross_minor", "due_minor"]


@pytest.mark.parametrize("field", TOTALS)
def test_a_wrong_total_is_refused(field: str) -> None:
    good = issued(PALAISEAU, *LINES)
    wrong = replace(good, totals=replace(good.totals, **{field: getattr(good.totals, field) + 1}))
    assert not validate_cii(write_cii(wrong)).is_valid
    with pytest.raises(DocumentRefused):
        make_documents(wrong)


def test_a_wrong_vat_amount_is_refused() -> None:
    good = issued(PALAISEAU, *LINES)
    (row,) = good.breakdown
    wrong = replace(good, breakdown=(replace(row, tax_minor=row.tax_minor + 5),))
    assert not validate_cii(write_cii(wrong)).is_valid


@pytest.mark.parametrize("subject", ["PMT", "PMD", "AAB"])
def test_a_document_without_its_penalty_notes_is_refused(subject: str) -> None:
    good = issued(PALAISEAU)
    bare = replace(good, notes=tuple(note for note in good.notes if note.subject != subject))
    assert any("BR-FR-05" in rule for rule in rules_failed(write_cii(bare)))


def _changed(invoice: Invoice, old: str, new: str) -> bytes:
    xml = write_cii(invoice).decode()
    assert old in xml
    return xml.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (">S1<", ">X1<", "BR-FR-08"),
        (">DEMO-2026-000001</ram:ID>", ">DEMO 2026</ram:ID>", "BR-FR-02"),
        (">732829320</ram:ID>", ">73282932</ram:ID>", "BR-FR"),
        (">380<", ">999<", "BR-FR-04"),
        ("<ram:RateApplicablePercent>20<", "<ram:RateApplicablePercent>21<", "BR-FR-16"),
        ('schemeID="0225">732829320', 'schemeID="0225">999999999', "BR-FR-21"),
    ],
)
def test_french_rules_name_each_seeded_fault(old: str, new: str, rule: str) -> None:
    assert any(rule in failed for failed in rules_failed(_changed(issued(PALAISEAU), old, new)))


def test_a_credit_note_without_its_reference_is_refused() -> None:
    import re

    xml = write_cii(credited(issued(PALAISEAU))).decode()
    bare = re.sub(
        r"<ram:InvoiceReferencedDocument>.*?</ram:InvoiceReferencedDocument>", "", xml, flags=re.DOTALL
    )
    assert bare != xml
    assert any("BR-FR-CO-05" in rule for rule in rules_failed(bare.encode()))


def test_the_schema_refuses_what_is_out_of_place() -> None:
    xml = _changed(issued(PALAISEAU), "<ram:Name>", "<ram:Nom>x</ram:Nom><ram:Name>")
    assert "XSD" in rules_failed(xml)


class TestNotRun:
    def test_a_check_that_looked_at_nothing_is_no_check(self) -> None:
        good = validate_cii(write_cii(issued(PALAISEAU)))
        for index in range(3):
            skipped = tuple(run for number, run in enumerate(good.runs) if number != index)
            assert not Validation(good.profile, skipped).is_valid
            blind = tuple(
                replace(run, fired=0) if number == index else run for number, run in enumerate(good.runs)
            )
            assert not Validation(good.profile, blind).is_valid

    def test_a_profile_without_rules_is_not_checked(self) -> None:
        xml = write_cii(issued(PALAISEAU)).replace(PROFILE_EN16931.encode(), b"urn:of:nobody")
        with pytest.raises(CheckNotRun, match="no rules"):
            validate_cii(xml)

    @pytest.mark.parametrize("xml", [b"", b"<a>", b"not xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
    def test_what_is_no_invoice_is_not_checked(self, xml: bytes) -> None:
        with pytest.raises(CheckNotRun):
            validate_cii(xml)

    def test_an_unknown_profile_is_never_valid(self) -> None:
        runs = tuple(CheckRun(name, 1, (), ()) for name in ("a", "b"))
        assert not Validation("urn:of:nobody", runs).is_valid
        assert set(RULES) == {PROFILE_EN16931, PROFILE_EXTENDED_CTC_FR}


def test_rules_run_in_many_threads_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    good, bad = write_cii(issued(PALAISEAU)), _changed(issued(PALAISEAU), ">S1<", ">X1<")
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda xml: validate_cii(xml).is_valid, [good, bad] * 4))
    assert told == [True, False] * 4
