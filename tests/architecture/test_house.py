"""The house's own rules, read from its source: purity, size, invariants with tests, one door for money."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("controlplane", "operators", "infra")
FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 60

# What a pure module must not import: the outside, the clock's shell, chance.
IMPURE = frozenset(
    {
        "sqlalchemy", "redis", "celery", "httpx", "aiohttp", "kubernetes", "kopf", "fastapi", "random", "secrets",
        "socket", "subprocess", "threading", "asyncio", "time", "os", "requests", "psycopg",
    }
)  # fmt: skip
PURE_NAMES = re.compile(r"(_rules|manifest|projection|resources|pricers|engines)\.py$")
CLOCK_CALLS = frozenset({"now", "utcnow", "today", "time", "monotonic", "uuid4", "urandom"})
# Callables with these owners read a clock or chance; `uow.now` and `clock.now()` do not.
CLOCK_OWNERS = frozenset({"datetime", "date", "time", "uuid", "os"})


def sources() -> list[Path]:
    return sorted(
        path
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
        if "build" not in path.parts
    )


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


PURE = [path for path in sources() if PURE_NAMES.search(path.name)]


def imported_roots(tree: ast.Module) -> set[str]:
    roots: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            roots.add(node.module.split(".")[0])
    return roots


@pytest.mark.parametrize("path", PURE, ids=relative)
def test_rules_are_pure(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not imported_roots(tree) & IMPURE
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else ""
            assert not (node.func.attr in CLOCK_CALLS and name in CLOCK_OWNERS), (
                f"line {node.lineno} reads a clock"
            )
        assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open")


def test_pure_modules_were_found() -> None:
    assert len(PURE) > 20


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= FILE_LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"


def readmes() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("README.md"))


def test_names() -> frozenset[str]:
    """Every test function there is, unit to simulation."""
    found: set[str] = set()
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(node.name)
    return frozenset(found)


test_names.__test__ = False  # type: ignore[attr-defined]
ALL_TESTS = test_names()


@pytest.mark.parametrize("path", readmes(), ids=relative)
def test_each_invariant_has_a_test_of_its_name(path: Path) -> None:
    named = re.findall(r"^\s*[-*] `(test_\w+)`", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    missing = sorted(set(named) - ALL_TESTS)
    assert not missing


@pytest.mark.parametrize(
    "room",
    [
        "kernel", "plumbing", "audit", "tenancy", "identity", "sovereignty", "capacity", "catalogue", "placement",
        "deployments", "metering", "rating", "ledger", "invoicing", "payments", "einvoicing", "gateway", "portal",
    ],
)  # fmt: skip
def test_each_room_lists_its_invariants(room: str) -> None:
    text = (REPOSITORY / "controlplane" / room / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^\s*[-*] `test_\w+`", text, flags=re.MULTILINE), "the room's README lists no invariant"


# Where an amount of money is computed or written, a float has no place.
MONEY_ROOMS = (
    "catalogue",
    "placement",
    "metering",
    "rating",
    "ledger",
    "invoicing",
    "payments",
    "einvoicing",
)


@pytest.mark.parametrize(
    "path",
    [p for p in sources() if p.parts[-2] in MONEY_ROOMS or p.name == "money.py"],
    ids=relative,
)
def test_no_float_comes_near_money(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"line {node.lineno}"
        assert not (isinstance(node, ast.Name) and node.id == "float"), f"line {node.lineno}"


def test_no_committed_file_names_a_registry_or_a_machine_path() -> None:
    import subprocess

    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    # Written in halves, so that this page does not find itself.
    wrong = re.compile(
        "|".join(["--index" + "-url", "files\\.python" + "hosted", "/roo" + "t/", "/wor" + "k/main"])
    )
    found = []
    for name in filter(None, tracked):
        path = REPOSITORY / name
        if path.is_file() and path.suffix in {
            ".py",
            ".md",
            ".toml",
            ".lock",
            ".yaml",
            ".yml",
            ".json",
            ".sh",
            "",
        }:
            text = path.read_text(encoding="utf-8", errors="replace")
            if wrong.search(text):
                found.append(name)
    assert found == []
