"""Check a FEC line by line against LPF A47 A-1 VII and the books' own logic. Pure.

Sources: LPF art. L47 A I and A47 A-1 VII; BOI-CF-IOR-60-40-20; the findings of the tax office's Test Compta Demat.
A finding names the line of the file (1 = the header), the rule, and what is wrong in a sentence. Rules are numbered
for ever: a number is never given to another rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from stdnum.fr import siren as siren_number

from controlplane.ledger.fec_rules import COLUMNS, ENCODING

RULES: Final[Mapping[str, str]] = {
    "FEC-01": "the file is named <SIREN>FEC<AAAAMMJJ>.txt with a valid SIREN and date",
    "FEC-02": "the text is ISO 8859-15 or UTF-8, without control characters",
    "FEC-03": "the first line has the 18 column names in their order",
    "FEC-04": "fields are separated by TAB or |, lines end with CR LF or LF",
    "FEC-05": "each line has 18 fields",
    "FEC-06": "fields 1 to 6, 9 to 13 and 16 are filled",
    "FEC-07": "dates are real days written AAAAMMJJ",
    "FEC-08": "amounts are numbers with a decimal comma and at most two decimals, not negative",
    "FEC-09": "exactly one of Debit and Credit is not zero",
    "FEC-10": "CompteNum starts with three digits",
    "FEC-11": "the lines of one EcritureNum balance",
    "FEC-12": "EcritureNum is continuous in each journal",
    "FEC-13": "ValidDate is not before EcritureDate",
    "FEC-14": "EcritureDate lies in the fiscal year of the file's name",
    "FEC-15": "opening balances come first, then lines by ValidDate",
    "FEC-16": "lines that share a letter in an account cancel out",
    "FEC-17": "one EcritureNum has one journal, date, document and ValidDate, on neighbouring lines",
    "FEC-18": "one CompteNum has one CompteLib",
    "FEC-19": "EcritureLet and DateLet come together",
    "FEC-20": "each sale's PieceRef stands in the invoice register, and each invoice in the file",
    "FEC-21": "classes 6 and 7 are not closed by an entry of the year's last day",
    "FEC-22": "the file has at least one entry",
}
_REQUIRED: Final = (*range(6), *range(8, 13), 15)
_NAME: Final = re.compile(r"^(\d{9})FEC(\d{8})\.txt$")
_AMOUNT: Final = re.compile(r"^\d{1,16}(,\d{1,2})?$")
_NUMBER: Final = re.compile(r"^(.*?)(\d+)$")
_OPENING: Final = "AN"
_SALES: Final = "VE"
FINDINGS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule; line 0 is the file as a whole."""

    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.rule}: {self.message}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line that could be read: its number in the file and its fields by column name."""

    line: int
    fields: Mapping[str, str]
    debit_minor: int
    credit_minor: int

    def __getitem__(self, name: str) -> str:
        return self.fields[name]


@dataclass(frozen=True, slots=True)
class Report:
    findings: tuple[Finding, ...]
    lines: int
    entries: int
    debit_minor: int
    credit_minor: int


@dataclass(slots=True)
class _Notes:
    """Findings as they come, bounded: a file of the wrong kind must not fill the screen."""

    found: list[Finding] = field(default_factory=list)

    def add(self, line: int, rule: str, message: str) -> None:
        if len(self.found) < FINDINGS_MAX:
            self.found.append(Finding(line, rule, message))


def check_fec(name: str, content: bytes, invoices: Sequence[str] | None = None) -> Report:
    """Check a whole file. `invoices` is the register of issued invoices' numbers; None leaves rule 20 out."""
    notes = _Notes()
    year_ends_on = _check_name(name, notes)
    rows = list(_read_rows(_decode(content, notes), notes))
    _check_entries(rows, notes)
    _check_numbers(rows, notes)
    _check_order(rows, notes)
    _check_letters(rows, notes)
    _check_labels(rows, notes)
    if year_ends_on is not None:
        _check_year(rows, year_ends_on, notes)
    if invoices is not None:
        _check_register(rows, invoices, notes)
    if not rows:
        notes.add(0, "FEC-22", "no line could be read")
    return Report(
        tuple(sorted(notes.found, key=lambda finding: (finding.line, finding.rule))),
        len(rows),
        len({row["EcritureNum"] for row in rows}),
        sum(row.debit_minor for row in rows),
        sum(row.credit_minor for row in rows),
    )


def _check_name(name: str, notes: _Notes) -> date | None:
    matched = _NAME.match(name)
    ends_on = None if matched is None else _parse_day(matched[2])
    if matched is None or ends_on is None or not siren_number.is_valid(matched[1]):
        notes.add(0, "FEC-01", f"'{name}' is not such a name")
    return ends_on


def _decode(content: bytes, notes: _Notes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode(ENCODING)
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if any(
            (ord(character) < 32 and character != "\t") or 127 <= ord(character) < 160 for character in line
        ):
            notes.add(number, "FEC-02", "a control character stands in the line")
    return text


def _read_rows(text: str, notes: _Notes) -> Iterator[Row]:
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    header = lines[0].removesuffix("\r") if lines else ""
    separator = next((mark for mark in ("\t", "|") if mark in header), None)
    if separator is None:
        notes.add(1, "FEC-04", "the header has neither TAB nor |")
        return
    if tuple(header.split(separator)) != COLUMNS:
        notes.add(1, "FEC-03", "the column names differ")
    for number, line in enumerate(lines[1:], start=2):
        row = _read_row(number, line.removesuffix("\r").split(separator), notes)
        if row is not None:
            yield row


def _read_row(number: int, values: list[str], notes: _Notes) -> Row | None:
    if len(values) != len(COLUMNS):
        notes.add(number, "FEC-05", f"{len(values)} fields")
        return None
    fields = dict(zip(COLUMNS, (value.strip() for value in values), strict=True))
    for index in _REQUIRED:
        if not fields[COLUMNS[index]]:
            notes.add(number, "FEC-06", f"{COLUMNS[index]} is empty")
    for name in ("EcritureDate", "PieceDate", "ValidDate", "DateLet"):
        if fields[name] and _parse_day(fields[name]) is None:
            notes.add(number, "FEC-07", f"{name} '{fields[name]}' is no day")
    if bool(fields["EcritureLet"]) != bool(fields["DateLet"]):
        notes.add(number, "FEC-19", "one of EcritureLet and DateLet is empty")
    if not re.match(r"^\d{3}", fields["CompteNum"]):
        notes.add(number, "FEC-10", f"CompteNum '{fields['CompteNum']}'")
    amounts = {name: _parse_amount(fields[name]) for name in ("Debit", "Credit")}
    for name, minor in amounts.items():
        if minor is None and fields[name]:
            notes.add(number, "FEC-08", f"{name} '{fields[name]}'")
    debit, credit = amounts["Debit"], amounts["Credit"]
    if debit is not None and credit is not None and (debit == 0) == (credit == 0):
        notes.add(number, "FEC-09", f"Debit {fields['Debit']} and Credit {fields['Credit']}")
    return Row(number, fields, debit or 0, credit or 0)


def _parse_day(text: str) -> date | None:
    if not re.fullmatch(r"[0-9]{8}", text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _parse_amount(text: str) -> int | None:
    if not _AMOUNT.match(text):
        return None
    whole, _, cents = text.partition(",")
    return int(whole) * 100 + int(cents.ljust(2, "0"))


def _group(rows: Iterable[Row]) -> dict[str, list[Row]]:
    entries: dict[str, list[Row]] = {}
    for row in rows:
        entries.setdefault(row["EcritureNum"], []).append(row)
    return entries


def _check_entries(rows: Sequence[Row], notes: _Notes) -> None:
    for number, lines in _group(rows).items():
        difference = sum(row.debit_minor - row.credit_minor for row in lines)
        if difference:
            notes.add(lines[0].line, "FEC-11", f"{number} has debits above credits by {difference} cents")
        same = {
            (r["JournalCode"], r["EcritureDate"], r["PieceRef"], r["PieceDate"], r["ValidDate"])
            for r in lines
        }
        is_together = lines[-1].line - lines[0].line == len(lines) - 1
        if len(same) > 1 or not is_together:
            notes.add(lines[0].line, "FEC-17", f"the lines of {number} differ or stand apart")
        for row in lines[:1]:
            _check_days(row, notes)


def _check_days(row: Row, notes: _Notes) -> None:
    dated, valid = _parse_day(row["EcritureDate"]), _parse_day(row["ValidDate"])
    if dated and valid and valid < dated:
        notes.add(row.line, "FEC-13", f"ValidDate {row['ValidDate']} before {row['EcritureDate']}")


def _check_numbers(rows: Sequence[Row], notes: _Notes) -> None:
    """Numbers of each journal (or of the file as a whole) run from the first to the last without a gap."""
    by_journal: dict[str, dict[int, int]] = {}
    for row in rows:
        matched = _NUMBER.match(row["EcritureNum"])
        if matched is None:
            notes.add(row.line, "FEC-12", f"'{row['EcritureNum']}' does not end with a number")
            continue
        by_journal.setdefault(row["JournalCode"], {}).setdefault(int(matched[2]), row.line)
    everything = sorted(number for numbers in by_journal.values() for number in numbers)
    if everything and everything == list(range(everything[0], everything[0] + len(everything))):
        return
    for journal, numbers in by_journal.items():
        ordered = sorted(numbers)
        for before, after in zip([0, *ordered], ordered, strict=False):
            if after != before + 1:
                notes.add(numbers[after], "FEC-12", f"journal {journal}: {after} follows {before}")


def _check_order(rows: Sequence[Row], notes: _Notes) -> None:
    latest, has_begun = "", False
    for row in rows:
        if row["JournalCode"] == _OPENING:
            if has_begun:
                notes.add(row.line, "FEC-15", "an opening balance follows other entries")
            continue
        has_begun = True
        if row["ValidDate"] < latest:
            notes.add(row.line, "FEC-15", f"ValidDate {row['ValidDate']} follows {latest}")
        latest = max(latest, row["ValidDate"])


def _check_letters(rows: Sequence[Row], notes: _Notes) -> None:
    sums: dict[tuple[str, str, str], list[int]] = {}
    for row in rows:
        if row["EcritureLet"]:
            key = (row["CompteNum"], row["CompAuxNum"], row["EcritureLet"])
            found = sums.setdefault(key, [row.line, 0])
            found[1] += row.debit_minor - row.credit_minor
    for (account, auxiliary, letter), (line, difference) in sums.items():
        if difference:
            notes.add(line, "FEC-16", f"letter {letter} of {account} {auxiliary} leaves {difference} cents")


def _check_labels(rows: Sequence[Row], notes: _Notes) -> None:
    labels: dict[str, str] = {}
    for row in rows:
        if labels.setdefault(row["CompteNum"], row["CompteLib"]) != row["CompteLib"]:
            notes.add(row.line, "FEC-18", f"account {row['CompteNum']} has another CompteLib above")


def _check_year(rows: Sequence[Row], ends_on: date, notes: _Notes) -> None:
    # A fiscal year has at most 24 months; ours has twelve, up to the day in the name.
    begins_on = (
        date(ends_on.year - 1, ends_on.month, ends_on.day)
        if (ends_on.month, ends_on.day) != (2, 29)
        else None
    )
    for row in rows:
        dated = _parse_day(row["EcritureDate"])
        if dated is not None and (dated > ends_on or (begins_on is not None and dated <= begins_on)):
            notes.add(row.line, "FEC-14", f"EcritureDate {row['EcritureDate']} lies outside the year")
    for lines in _group(row for row in rows if _parse_day(row["EcritureDate"]) == ends_on).values():
        is_result = any(row["CompteNum"][:2] == "12" for row in lines)
        closes = {row["CompteNum"][:1] for row in lines} & {"6", "7"}
        if is_result and closes:
            notes.add(
                lines[0].line,
                "FEC-21",
                f"{lines[0]['EcritureNum']} closes classes {', '.join(sorted(closes))}",
            )


def _check_register(rows: Sequence[Row], invoices: Sequence[str], notes: _Notes) -> None:
    known = set(invoices)
    sold: dict[str, int] = {}
    for row in rows:
        if row["JournalCode"] == _SALES:
            sold.setdefault(row["PieceRef"], row.line)
    for piece, line in sold.items():
        if piece not in known:
            notes.add(line, "FEC-20", f"'{piece}' is no issued invoice")
    for number in sorted(known - sold.keys()):
        notes.add(0, "FEC-20", f"invoice '{number}' is not in the file")
