"""A tenant behind a real door whose cell is played by hand, for programs that a real engine runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from controlplane.entrypoints.api import create_app
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.database import TEST_PEPPER, TEST_RATES, create_database, drop_database
from tests.fixtures.door import served
from tests.integration.deployments.fleet import add_site, make_fleet
from tests.integration.provider.tenant import Tenant


@pytest.fixture(scope="module")
def tenant(
    postgres_url: str, migrated_template: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tenant]:
    """One tenant for all tests of a module: each uses names of its own."""
    urls = create_database(postgres_url, migrated_template)
    folder = tmp_path_factory.mktemp("provider")
    settings = Settings(
        environment="local",
        owner_database_url=SecretStr(urls.owner),
        app_database_url=SecretStr(urls.app),
        system_database_url=SecretStr(urls.system),
        redis_url=redis_server,
        key_pepper=SecretStr(TEST_PEPPER),
        state_dir=folder / "state",
        database_pool_size=4,
        **TEST_RATES,
    )
    database = Database(settings)
    try:
        with TestClient(create_app(settings, database), base_url="http://api.test") as api:
            fleet = make_fleet(api, database, settings)
            add_site(fleet, "essonne-1", "FR", cpu_milli=32_000, memory_mib=65_536)
            assert isinstance(api.app, FastAPI)
            with served(api.app) as url:
                yield Tenant(fleet, url, folder)
    finally:
        database.dispose()
        drop_database(postgres_url, urls)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stack"
