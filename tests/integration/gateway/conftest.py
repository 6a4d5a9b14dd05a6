"""One gateway with Envoy and its own Redis for each test module."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.fixtures.database import running_redis
from tests.integration.gateway.rig import Rig, Tenant, running_rig
from tests.integration.gateway.scripted_engine import Script, ScriptedEngine


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("gateway")
    with running_redis(folder) as (url, _), running_rig(folder / "state", url) as running:
        yield running


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    with ScriptedEngine(Script()) as running:
        yield running


@pytest.fixture
def tenant(rig: Rig) -> Tenant:
    tenant = Tenant()
    rig.publish_keys(tenant)
    return tenant


@pytest.fixture
def client(rig: Rig, tenant: Tenant) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {tenant.key}"}
    with httpx.Client(base_url=rig.url, headers=headers, timeout=30) as opened:
        yield opened
