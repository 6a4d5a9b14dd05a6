"""Fixtures of all tests live in tests/fixtures; each module there names one real service."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

pytest_plugins = [
    name
    for name in (
        "tests.fixtures.database",
        "tests.fixtures.kubernetes",
        "tests.fixtures.api",
        "tests.fixtures.browser",
        "tests.fixtures.verapdf",
    )
    if find_spec(name) is not None
]

# Files are handed to the workers in this order: the long ones first, so that no worker ends alone with one.
LONG_FIRST = ("simulation", "e2e", "operators", "architecture", "scenarios", "integration", "golden", "unit")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return LONG_FIRST.index(folder) if folder in LONG_FIRST else len(LONG_FIRST)

    items.sort(key=rank)
