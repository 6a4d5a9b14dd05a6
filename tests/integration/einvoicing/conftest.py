from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.billing import Billing, make_billing


@pytest.fixture
def billing(api: TestClient, database: Database, settings: Settings) -> Billing:
    return make_billing(api, database, settings)
