"""The portal in a real Chromium. Where none is found these tests are left out, and the summary says so loudly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from controlplane.portal.app import create_app
from infra.local.browser import opened_browser
from tests.fixtures.browser import why_not
from tests.fixtures.door import served
from tests.fixtures.portal import World, portal_world

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if why_not() is None:
        return
    left_out = [item for item in items if HERE in item.path.parents]
    if left_out:
        items[:] = [item for item in items if HERE not in item.path.parents]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a file: while it runs, its driver's event loop would be in the way of asynchronous tests."""
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
