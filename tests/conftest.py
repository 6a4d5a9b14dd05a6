"""Fixtures of all tests live in tests/fixtures; each module there names one real service."""

from __future__ import annotations

from importlib.util import find_spec

pytest_plugins = [
    name
    for name in ("tests.fixtures.database", "tests.fixtures.kubernetes", "tests.fixtures.api")
    if find_spec(name) is not None
]
