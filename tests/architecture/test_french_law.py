"""docs/french-law.md links each rule to code and a test that exist, and leaves no rule of the data out."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from controlplane.invoicing.mentions_rules import MENTIONS
from controlplane.invoicing.vat_data import VAT_ROWS
from controlplane.ledger.check_rules import RULES

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "french-law.md"
ROOMS = ("rating", "ledger", "invoicing", "payments", "einvoicing")
RULE = re.compile(r"\bBR-(?:FR-)?(?:[A-Z]+-)*\d+")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: cells by the heading of their column."""

    section: str
    cells: dict[str, str]

    def quoted(self, column: str) -> list[str]:
        return re.findall(r"`([^`]+)`", self.cells.get(column, ""))


@cache
def rows() -> tuple[Row, ...]:
    found, section, heading = [], "", list[str]()
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if not line.startswith("|"):
            heading = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not heading:
            heading = cells
        elif not set(line) <= set("|-"):
            assert len(cells) == len(heading), line
            found.append(Row(section, dict(zip(heading, cells, strict=True))))
    return tuple(found)


def linked() -> list[Row]:
    return [row for row in rows() if "code" in row.cells]


def name_of(row: Row) -> str:
    return f"{row.section}: {next(iter(row.cells.values()))[:60]}"


@cache
def symbols() -> frozenset[str]:
    """`module.symbol`, `room/module.symbol`, `Class` and `Class.member` of the money rooms."""
    found: set[str] = set()
    for room in ROOMS:
        for path in (REPOSITORY / "controlplane" / room).rglob("*.py"):
            for name in _defined(ast.parse(path.read_text(encoding="utf-8")).body):
                found |= {f"{path.stem}.{name}", f"{room}/{path.stem}.{name}"}
                if name[0].isupper() or "." in name:
                    found.add(name)
    return frozenset(found)


def _defined(body: list[ast.stmt]) -> list[str]:
    names: list[str] = []
    for node in body:
        if isinstance(node, ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.ClassDef):
            names += [node.name, *(f"{node.name}.{inner}" for inner in _defined(node.body))]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names


@cache
def written_tests() -> frozenset[str]:
    found: set[str] = set()
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    found |= {path.stem for path in (REPOSITORY / "tests").rglob("test_*.py")}
    return frozenset(found)


@cache
def migrations() -> str:
    folder = REPOSITORY / "migrations" / "versions"
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))


def is_code(name: str) -> bool:
    """A symbol of the rooms, a file below `controlplane/`, or a name of the database's own."""
    if name in symbols() or (REPOSITORY / "controlplane" / name).is_file():
        return True
    return re.fullmatch(r"[a-z_]+", name) is not None and re.search(rf"\b{name}\b", migrations()) is not None


@pytest.mark.parametrize("row", linked(), ids=name_of)
def test_each_rule_leads_to_code_and_to_a_test_that_exist(row: Row) -> None:
    code, named = row.quoted("code"), [name.split("[")[0] for name in row.quoted("test")]
    assert code or "FEC-" in row.cells["code"], "the rule names no code"
    assert [name for name in code if not is_code(name)] == []
    assert named, "the rule names no test"
    assert [name for name in named if name not in written_tests()] == []


def test_every_test_that_the_text_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)", PAGE.read_text(encoding="utf-8")))
    assert sorted(named - written_tests()) == []


def test_the_page_was_read() -> None:
    assert {row.section for row in linked()} == {
        "Mentions", "VAT", "Numbering", "Terms and amounts", "Files", "Entries", "Books and FEC", "Prices",
    }  # fmt: skip
    assert len(linked()) > 70


@pytest.mark.parametrize("name", ["nothing.here", "deposit_rules.nothing", "Nothing", "no_such_trigger"])
def test_a_name_that_leads_nowhere_is_noticed(name: str) -> None:
    assert not is_code(name)


def test_the_page_has_every_mention_in_the_codes_order() -> None:
    told = [
        (row.quoted("mention"), row.cells["text"], row.cells["source"], row.cells["EN 16931"])
        for row in rows()
        if row.section == "Mentions"
    ]
    assert told == [([each.id], each.text, each.source, each.term) for each in MENTIONS]


def test_the_page_has_every_vat_row_as_it_is() -> None:
    def percent(rate: Decimal | None) -> str:
        return "–" if rate is None else f"{rate} %"

    told = [row for row in rows() if row.section == "VAT" and "case" in row.cells]
    wanted = [
        [
            f"`{row.case}`",
            row.valid_from.isoformat(),
            "–" if row.valid_to is None else row.valid_to.isoformat(),
            row.category,
            percent(row.rate),
            row.vatex or "–",
            row.exemption_text or "–",
            row.flow,
            row.source,
        ]
        for row in VAT_ROWS
    ]
    assert [list(row.cells.values())[:9] for row in told] == wanted


def test_the_page_has_every_rule_of_the_fec_checker() -> None:
    """A row may shorten `FEC-04, FEC-05` to `FEC-04, -05`."""
    told: set[str] = set()
    for row in rows():
        if row.section == "Books and FEC":
            told |= {f"FEC-{number}" for number in re.findall(r"-(\d{2})\b", row.cells["code"])}
    assert told == set(RULES)


def test_the_page_has_every_platform_rule_that_the_code_cites() -> None:
    """EN 16931's and the French platform's rule ids (BR-…); a row may shorten `BR-CO-10, BR-CO-11` to `-11`."""
    text = PAGE.read_text(encoding="utf-8")
    told: set[str] = set()
    for start in RULE.finditer(text):
        stem = start.group().rpartition("-")[0]
        rest = re.match(r"(?:(?:, |…)-?\d+)*", text[start.end() :])
        assert rest is not None
        numbers = re.findall(r"\d+", rest.group())
        if "…" in rest.group():
            first, last = int(start.group().rpartition("-")[2]), int(numbers[0])
            numbers += [f"{number:02d}" for number in range(first, last)]
        told |= {start.group(), *(f"{stem}-{number}" for number in numbers)}
    cited: set[str] = set()
    for room in ROOMS:
        for path in (REPOSITORY / "controlplane" / room).rglob("*.py"):
            cited |= set(RULE.findall(path.read_text(encoding="utf-8")))
    assert len(cited) > 15
    assert sorted(cited - told) == []
