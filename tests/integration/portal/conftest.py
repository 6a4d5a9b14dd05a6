from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.portal import World, portal_world


@pytest.fixture(scope="module")
def world(
    postgres_url: str, migrated_template: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("portal")
    with portal_world(postgres_url, migrated_template, redis_server, folder) as made:
        yield made
