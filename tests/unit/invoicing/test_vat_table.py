"""VAT law is dated data: a file replaces it, and a file that cannot be used stops the start with the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.invoicing.vat_data import (
    TABLE_VARIABLE,
    VAT_ROWS,
    VatCase,
    VatTableError,
    find_table,
    load_table,
)
from controlplane.invoicing.vat_rules import find_row, list_ending_cases

OURS = find_table({}).read_text(encoding="utf-8")
ROOT = Path(__file__).resolve().parents[3]
FRANCE = """case = "1-fr-business"
from = 2025-01-01
category = "S"
rate = "20"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "vat.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.case("M24")
@given(day=st.dates(date(2025, 1, 1), date(2040, 1, 1)), case=st.sampled_from(list(VatCase)))
def test_one_row_counts_on_each_day_until_a_case_ends(day: date, case: VatCase) -> None:
    covered = [
        r for r in VAT_ROWS if r.case is case and r.valid_from <= day and (r.valid_to or date.max) > day
    ]
    assert len(covered) == (1 if find_row(case, day) is not None else 0)


@pytest.mark.case("M24")
def test_a_new_rate_from_a_date_is_a_change_of_data(tmp_path: Path) -> None:
    assert FRANCE in OURS
    ended = FRANCE.replace("category", "until = 2027-07-01\ncategory")
    follows = """
[[row]]
case = "1-fr-business"
from = 2027-07-01
category = "S"
rate = "21.5"
flow = "e-invoice"
source = "An act of 2027"

[[row]]
case = "9-eu-business"
from = 2028-07-01
category = "AE"
rate = "0"
vatex = "VATEX-EU-AE"
mention = "Autoliquidation (CIBS)"
flow = "10.1"
source = "CIBS"
"""
    rows = load_table(written(tmp_path, OURS.replace(FRANCE, ended) + follows))
    rates = [find_row(VatCase.FR_BUSINESS, day, rows) for day in (date(2027, 6, 30), date(2027, 7, 1))]
    assert [row and row.rate for row in rates] == [Decimal("20"), Decimal("21.5")]
    # The alarm of our own table is over with the row that follows.
    assert set(list_ending_cases(date(2028, 6, 1))) == {VatCase.EU_BUSINESS}
    assert list_ending_cases(date(2028, 6, 1), rows) == {}


BROKEN = [
    ('rate = "20"\n', "rate = 20.0\n", "percent as a text"),
    ('rate = "20"\n', 'rate = "20.123"\n', "two decimals"),
    ('rate = "20"\n', 'rate = "0"\n', "above 0 for S"),
    ('rate = "20"\n', "", "percent as a text"),
    ('rate = "20"\n', 'rate = "20"\nvatex = "VATEX-EU-O"\n', "neither for S"),
    ("from = 2025-01-01\n", 'from = "2025-01-01"\n', "without quotation marks"),
    ("from = 2025-01-01\n", "from = 2025-01-01T00:00:00Z\n", "is a day"),
    ("from = 2025-01-01\n", "", "'from' is a day"),
    ("from = 2025-01-01\n", "from = 2025-01-01\nuntil = 2025-01-01\n", "lies after 'from'"),
    ("from = 2025-01-01\n", "from = 2025-01-01\nuntl = 2026-01-01\n", "no field 'untl'"),
    ('case = "1-fr-business"', 'case = "1-fr"', "'case' is one of"),
    ('category = "S"\n', 'category = "K"\n', "'category' is one of"),
    ('category = "S"\n', 'category = "O"\n', "category O|neither for S|both for AE and O"),
]


@pytest.mark.case("M24")
@pytest.mark.parametrize(("right", "wrong", "words"), BROKEN)
def test_a_table_that_cannot_be_used_says_which_row_and_why(
    tmp_path: Path, right: str, wrong: str, words: str
) -> None:
    assert right in FRANCE
    path = written(tmp_path, OURS.replace(FRANCE, FRANCE.replace(right, wrong)))
    with pytest.raises(VatTableError, match=words) as refused:
        load_table(path)
    assert f"Row 1 of the VAT table {path}" in str(refused.value)


ROW = "[[row]]\n" + FRANCE + 'flow = "e-invoice"\nsource = "An act"\n'


@pytest.mark.case("M24")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "rows only"),
        ("title = 1\n" + OURS, "rows only"),
        ("[[row]\n", "cannot be read"),
        (ROW, "the case 3-fr-overseas-business has no row"),
        (OURS + "\n" + ROW, "two rows of 1-fr-business overlap on 2025-01-01"),
        (OURS + "\n" + ROW.replace("from = 2025-01-01", "from = 2026-01-01"), "overlap on 2026-01-01"),
        (
            OURS.replace(FRANCE, FRANCE.replace("category", "until = 2026-01-01\ncategory"))
            + "\n" + ROW.replace("from = 2025-01-01", "from = 2026-01-02"),
            "no row of 1-fr-business covers 2026-01-01",
        ),
    ],
)  # fmt: skip
def test_a_table_without_a_row_for_each_day_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(VatTableError, match=words):
        load_table(written(tmp_path, text))


@pytest.mark.case("M24")
@pytest.mark.parametrize("is_right", [True, False])
def test_a_program_starts_with_the_table_that_it_is_given_or_not_at_all(
    tmp_path: Path, is_right: bool
) -> None:
    path = written(tmp_path, OURS.replace('rate = "20"', 'rate = "19"' if is_right else 'rate = "x"'))
    done = subprocess.run(
        [sys.executable, "-c", "from controlplane.invoicing import vat_rules as v; print(v.VAT_ROWS[0].rate)"],
        env={**os.environ, TABLE_VARIABLE: str(path)}, cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode == 0) is is_right
    if is_right:
        assert done.stdout.strip() == "19"
    else:
        assert "VatTableError: Row 1 of the VAT table" in done.stderr
