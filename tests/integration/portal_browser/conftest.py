"""The portal in a real Chromium. Where none is found, the session's summary says loudly that these tests did not run.

REMPART_REQUIRE_BROWSER=1 makes a missing browser a failure instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from controlplane.portal.app import create_app
from infra.local.browser import NAMES, find_chromium, opened_browser
from tests.fixtures.door import served
from tests.fixtures.portal import World, portal_world

HERE = Path(__file__).parent
_not_run: list[int] = []


def is_required() -> bool:
    return os.environ.get("REMPART_REQUIRE_BROWSER") == "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if find_chromium() is not None or is_required():
        return
    left_out = [item for item in items if HERE in item.path.parents]
    if left_out:
        items[:] = [item for item in items if HERE not in item.path.parents]
        config.hook.pytest_deselected(items=left_out)
        _not_run.append(len(left_out))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for count in _not_run:
        terminalreporter.write_sep("!", "THE BROWSER TESTS DID NOT RUN", red=True, bold=True)
        terminalreporter.write_line(
            f"{count} tests of the portal need a browser, and none of {', '.join(NAMES)} is on the path "
            "(on Debian: apt-get install chromium).",
            red=True,
        )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with opened_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def world(
    postgres_url: str, migrated_template: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("portal-browser")
    with portal_world(postgres_url, migrated_template, redis_server, folder) as made:
        yield made


@pytest.fixture(scope="module")
def portal_url(world: World) -> Iterator[str]:
    with served(create_app(world.settings)) as url:
        yield url
