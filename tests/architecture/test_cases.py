"""Faults that were found from outside: each one in the list below is excluded by a test that names it.

The list grows and never shrinks: a fault that comes back is found by its test, and a test that goes is missed here.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
CASE = re.compile(r"[A-Z][0-9]{1,3}")

# By field: serverless, fleet, money, ways in, security, the house.
_IDS = """
S1 S2 S4 S5 S8 S10 S14 S26
F3 F4 F5 F6 F7 F8 F10 F11 F12 F13 F14 F15 F16 F18 F19 F20 F22 F23 F25 F28 F29 F30 F31 F51
M1 M2 M3 M4 M5 M6 M7 M8 M13 M21 M23 M24 M26 M33 M34 M36 M43 M44 M45 M46 M48 M50
W1 W2 W3 W4 W5 W6 W7 W8 W9 W10 W12 W13 W14 W15 W16 W21 W22 W24 W25 W26 W28 W29
X1 X2 X3 X4 X7 X8 X9 X10 X12 X13 X14 X15 X17 X18 X19 X21 X22 X23 X24
H1 H2 H3 H4 H5 H13 H14 H15 H17
"""
MENDED = tuple(_IDS.split())


def named_cases() -> dict[str, list[str]]:
    """Ids of all `case` markers, each with the tests that carry it."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr == "case" and isinstance(node.func.value, ast.Attribute):
                (argument,) = node.args
                # A table that carries its ids in its rows names them elsewhere, too.
                if isinstance(argument, ast.Constant):
                    found.setdefault(str(argument.value), []).append(f"{path.name}:{node.lineno}")
    return found


NAMED = named_cases()


@pytest.mark.parametrize("case", MENDED)
def test_each_mended_fault_is_named_by_a_test(case: str) -> None:
    assert case in NAMED


def test_the_list_names_each_fault_once_and_every_marker_is_an_id() -> None:
    assert len(MENDED) == len(set(MENDED))
    wrong = {case: places for case, places in NAMED.items() if not CASE.fullmatch(case)}
    assert wrong == {}
