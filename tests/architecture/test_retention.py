"""The retention schedule covers every table, and its page says the same."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from controlplane.entrypoints import tables  # noqa: F401 - registers every table
from controlplane.entrypoints.retention import KEPT, RULES
from controlplane.plumbing.orm import Base
from tests.fixtures.golden import check_golden

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators" / "retention.md"
# Partitioned by month, and read by SQL alone: it has no mapped class.
UNMAPPED = {"usage_event"}


@pytest.mark.case("X15")
def test_every_table_is_in_the_schedule_once() -> None:
    known = set(Base.metadata.tables) | UNMAPPED
    ruled = {rule.table for rule in RULES}
    assert ruled & KEPT.keys() == set()
    assert ruled | KEPT.keys() == known


def test_the_page_of_the_schedule_is_the_code() -> None:
    kept: dict[str, list[str]] = defaultdict(list)
    for table, why in KEPT.items():
        kept[why].append(f"`{table}`")
    lines = PAGE.read_text(encoding="utf-8").split("<!-- schedule -->")[0].rstrip()
    text = [lines, "", "<!-- schedule -->", "| table | how long | why |", "|---|---|---|"]
    text += [f"| `{rule.table}` | {rule.keep.days} d | {rule.why} |" for rule in RULES]
    text += ["", "Kept:", "", "| tables | why |", "|---|---|"]
    text += [f"| {', '.join(sorted(names))} | {why} |" for why, names in kept.items()]
    check_golden(PAGE, "\n".join(text) + "\n")
