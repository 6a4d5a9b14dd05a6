"""What runs in production is what production needs: its lock holds that and nothing else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
PRODUCTION, BARE, EVERYTHING = (
    "requirements-production.lock", "requirements-production-bare.lock", "requirements.lock",
)  # fmt: skip
SHIPPED = ("controlplane", "operators", "migrations")
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)(?: ; ([^\\]+?))? \\$", re.MULTILINE)
# Installed without its dependencies: a module of its own is looked for at run time, and missed where it is absent.
OURS = frozenset({"controlplane", "operators", "migrations", "infra"})


def pins(name: str) -> dict[str, str]:
    """The versions of a lock that are installed on this Python."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    return {
        canonicalize_name(found): version
        for found, version, marker in PIN.findall(text)
        if not marker or Marker(marker).evaluate()
    }


def closure(requirements: list[str]) -> frozenset[str]:
    """Names of everything that these requirements bring, as the installed distributions say."""
    known: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in requirements]
    names: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        entry = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if entry in known:
            continue
        known.add(entry)
        names.add(entry[0])
        for text in distribution(wanted.name).requires or []:
            inner = Requirement(text)
            extras = ["", *wanted.extras]
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)
    return frozenset(names)


def imported_modules() -> Iterator[tuple[Path, str]]:
    for package in SHIPPED:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    yield from ((path, alias.name.split(".")[0]) for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield path, node.module.split(".")[0]


@pytest.mark.case("X22")
def test_the_production_lock_is_the_closure_of_what_production_depends_on() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = closure(project["dependencies"])
    assert set(pins(PRODUCTION)) == needed


@pytest.mark.case("X22")
def test_no_tool_of_tests_or_of_the_local_stack_is_in_the_production_lock() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = closure(project["dependencies"])
    tools = {
        canonicalize_name(Requirement(text).name)
        for extra in project["optional-dependencies"].values()
        for text in extra
    }
    assert tools
    assert not (tools - needed) & pins(PRODUCTION).keys()


@pytest.mark.case("X22")
def test_every_module_that_production_imports_is_in_its_lock() -> None:
    provided = packages_distributions()
    locked = pins(PRODUCTION).keys() | pins(BARE).keys()
    missing = {
        (str(path.relative_to(REPOSITORY)), module)
        for path, module in imported_modules()
        if module not in sys.stdlib_module_names | OURS
        and not {canonicalize_name(name) for name in provided.get(module, [module])} & locked
    }
    assert missing == set()


@pytest.mark.case("X22")
def test_tests_run_with_the_very_versions_of_production() -> None:
    everything = pins(EVERYTHING)
    assert {name: everything.get(name) for name in pins(PRODUCTION)} == pins(PRODUCTION)


@pytest.mark.parametrize("name", [PRODUCTION, BARE, EVERYTHING])
def test_each_pin_has_a_hash_and_no_address(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    assert "://" not in text
    for block in re.split(r"^(?=[A-Za-z0-9_.-]+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
