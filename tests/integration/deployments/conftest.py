"""A fleet without cells: what a cell would report is reported by hand."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.integration.deployments.fleet import Fleet, make_fleet


@pytest.fixture
def fleet(api: TestClient, database: Database, settings: Settings) -> Fleet:
    return make_fleet(api, database, settings)
