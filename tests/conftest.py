"""Fixtures of all tests live in tests/fixtures; each module there names one real service."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile(
    "rempart", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("rempart")

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
