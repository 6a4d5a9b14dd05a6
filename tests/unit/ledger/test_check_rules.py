"""Each rule of the FEC checker meets a file that breaks it, and a file that breaks none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from controlplane.kernel.ids import TenantId
from controlplane.ledger.check_fec import main
from controlplane.ledger.check_rules import RULES, check_fec
from controlplane.ledger.domain import EntryLine, JournalCode, JournalEntry, JournalEntryId
from controlplane.ledger.fec_rules import COLUMNS, write_fec

NAME = "732829320FEC20261231.txt"
TENANT = TenantId.new()
INVOICE, PAID = date(2026, 11, 3), date(2026, 11, 20)


def line(number: int, account: str, debit: int, credit: int, letter: str | None = None) -> EntryLine:
    tenant = TENANT if account == "411" else None
    name = "Société Œuvre & Fils" if tenant else ""
    label = {"411": "Clients", "706": "Prestations", "44574": "TVA en attente", "512": "Banques"}[account]
    return EntryLine(number, account, label, debit, credit, tenant, name, letter, PAID if letter else None)


def entry(journal: JournalCode, number: int, on: date, piece: str, *lines: EntryLine) -> JournalEntry:
    return JournalEntry(
        id=JournalEntryId.new(),
        key=piece,
        journal=journal,
        year=2026,
        number=number,
        occurred_on=on,
        piece_ref=piece,
        piece_on=on,
        label=f"Facture {piece}",
        validated_on=on,
        posted_at=datetime(2026, 11, 20, tzinfo=UTC),
        lines=lines,
    )


def books() -> list[JournalEntry]:
    """An opening balance, two sales, a payment that is matched with the first."""
    return [
        entry(JournalCode.AN, 1, date(2026, 1, 1), "AN2026", line(1, "512", 500, 0), line(2, "411", 0, 500)),
        entry(
            JournalCode.VE, 1, INVOICE, "F-1",
            line(1, "411", 12000, 0, "AAA"), line(2, "706", 0, 10000), line(3, "44574", 0, 2000),
        ),
        entry(JournalCode.VE, 2, INVOICE, "F-2", line(1, "411", 120, 0), line(2, "706", 0, 120)),
        entry(JournalCode.BQ, 1, PAID, "VIR-1", line(1, "512", 12000, 0), line(2, "411", 0, 12000, "AAA")),
    ]  # fmt: skip


def written() -> str:
    return b"".join(write_fec(books())).decode("iso8859-15")


def with_field(number: int, column: str, value: str) -> Callable[[str], str]:
    """Replace one field of one line of the file (1 is the header)."""

    def damage(text: str) -> str:
        lines = text.split("\r\n")
        fields = lines[number - 1].split("\t")
        fields[COLUMNS.index(column)] = value
        lines[number - 1] = "\t".join(fields)
        return "\r\n".join(lines)

    return damage


def without_line(number: int) -> Callable[[str], str]:
    return lambda text: "\r\n".join(row for n, row in enumerate(text.split("\r\n"), start=1) if n != number)


def with_moved_line(number: int, to: int) -> Callable[[str], str]:
    def damage(text: str) -> str:
        lines = text.split("\r\n")
        lines.insert(to - 1, lines.pop(number - 1))
        return "\r\n".join(lines)

    return damage


def closing(text: str) -> str:
    row = "\t".join
    day, number = "20261231", "OD2026-0000001"
    head = ["OD", "Opérations", number, day]
    tail = ["P", day, "Clôture"]
    result = [*head, "120", "Résultat", "", "", *tail, "0,00", "1,00", "", "", day, "", ""]
    sales = [*head, "706", "Prestations", "", "", *tail, "1,00", "0,00", "", "", day, "", ""]
    return f"{text}{row(result)}\r\n{row(sales)}\r\n"


# Rule → (line that is named, what breaks it). Lines: 1 header, 2–3 AN, 4–6 F-1, 7–8 F-2, 9–10 payment.
FAULTS: dict[str, list[tuple[int, Callable[[str], str]]]] = {
    "FEC-02": [(4, with_field(4, "EcritureLib", "Facture\x07"))],
    "FEC-03": [(1, with_field(1, "CompteNum", "Compte"))],
    "FEC-04": [(1, lambda text: text.replace("\t", ";"))],
    "FEC-05": [(4, with_field(4, "EcritureLib", "Facture\tF-1"))],
    "FEC-06": [
        (4, with_field(4, "ValidDate", "")),
        (4, with_field(4, "PieceRef", "")),
        (4, with_field(4, "JournalLib", "")),
    ],
    "FEC-07": [(4, with_field(4, "EcritureDate", "20260230")), (4, with_field(4, "PieceDate", "03/11/2026"))],
    "FEC-08": [
        (4, with_field(4, "Debit", "120.00")),
        (4, with_field(4, "Debit", "1 200,00")),
        (4, with_field(4, "Debit", "-120,00")),
        (4, with_field(4, "Debit", "cent")),
        (4, with_field(4, "Debit", "120,000")),
    ],
    "FEC-09": [(4, with_field(4, "Credit", "120,00")), (4, with_field(4, "Debit", "0,00"))],
    "FEC-10": [(5, with_field(5, "CompteNum", "70A"))],
    "FEC-11": [(4, with_field(5, "Credit", "99,99")), (7, without_line(8))],
    "FEC-12": [(9, with_field(9, "EcritureNum", "BQ2026-0000003")), (4, with_field(4, "EcritureNum", "VE"))],
    "FEC-13": [(4, with_field(4, "ValidDate", "20261101"))],
    "FEC-14": [
        (4, with_field(4, "EcritureDate", "20251231")),
        (4, with_field(4, "EcritureDate", "20270101")),
    ],
    "FEC-15": [(9, with_field(9, "ValidDate", "20261101")), (10, with_moved_line(2, 10))],
    "FEC-16": [(4, with_field(10, "EcritureLet", "AAB"))],
    "FEC-17": [(4, with_field(5, "PieceRef", "F-9")), (4, with_moved_line(4, 8))],
    "FEC-18": [(9, with_field(9, "CompteLib", "Caisse"))],
    "FEC-19": [(4, with_field(4, "DateLet", ""))],
    "FEC-21": [(11, closing)],
}


def test_a_good_file_breaks_no_rule() -> None:
    report = check_fec(NAME, written().encode("iso8859-15"), ["F-1", "F-2"])
    assert report.findings == ()
    assert (report.lines, report.entries, report.debit_minor, report.credit_minor) == (9, 4, 24620, 24620)


@pytest.mark.parametrize("rule", sorted(FAULTS))
def test_each_seeded_fault_is_found_by_its_rule(rule: str) -> None:
    for number, damage in FAULTS[rule]:
        found = check_fec(NAME, damage(written()).encode("iso8859-15")).findings
        named = {(finding.line, finding.rule) for finding in found}
        # A line that moved takes its finding along: the rule must be there, and on a line of the damaged entry.
        assert any(each == rule for _, each in named), found
        if rule not in {"FEC-15", "FEC-17"}:
            assert (number, rule) in named, found


@pytest.mark.parametrize(
    "name",
    ["FEC20261231.txt", "732829321FEC20261231.txt", "732829320FEC20261331.txt", "732829320FEC20261231.csv"],
)
def test_a_wrong_name_is_found(name: str) -> None:
    rules = {finding.rule for finding in check_fec(name, written().encode("iso8859-15")).findings}
    assert rules == {"FEC-01"}


def test_a_sale_and_the_invoice_register_name_each_other() -> None:
    found = check_fec(NAME, written().encode("iso8859-15"), ["F-1", "F-3"]).findings
    assert [(finding.line, finding.rule) for finding in found] == [(0, "FEC-20"), (7, "FEC-20")]


@pytest.mark.parametrize("content", [b"", b"\r\n", "\t".join(COLUMNS).encode() + b"\r\n"])
def test_a_file_without_entries_is_found(content: bytes) -> None:
    assert "FEC-22" in {finding.rule for finding in check_fec(NAME, content).findings}


def test_every_rule_has_a_test() -> None:
    assert set(RULES) == set(FAULTS) | {"FEC-01", "FEC-20", "FEC-22"}


def test_the_pipe_and_utf_8_are_read_too() -> None:
    text = written().replace("\t", "|").replace("\r\n", "\n")
    assert check_fec(NAME, text.encode("utf-8")).findings == ()


class TestCommand:
    def test_it_names_line_and_rule_and_fails(self, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
        file = tmp_path / NAME
        file.write_bytes(with_field(5, "Credit", "99,99")(written()).encode("iso8859-15"))
        assert main([str(file)]) == 1
        assert "line 4: FEC-11" in capsys.readouterr().out

    def test_it_is_content_with_a_good_file(self, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
        file, register = tmp_path / NAME, tmp_path / "register"
        file.write_bytes(written().encode("iso8859-15"))
        register.write_text("F-1\nF-2\n")
        assert main([str(file), "--invoices", str(register)]) == 0
        assert "9 lines, 4 entries, debit 246,20, credit 246,20, 0 findings" in capsys.readouterr().out

    def test_a_missing_file_is_an_error_of_its_own(self, tmp_path) -> None:  # type: ignore[no-untyped-def]
        assert main([str(tmp_path / NAME)]) == 2
