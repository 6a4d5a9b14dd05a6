"""With the control plane and Redis away, a person at the gateway ends a stolen key or a tenant at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from controlplane.gateway.key_rules import hash_key
from tests.fixtures.database import running_redis
from tests.integration.gateway.raw_engine import STREAM, RawAnswer, RawEngine
from tests.integration.gateway.rig import PEPPER, Rig, Tenant, running_rig, wait_until
from tests.integration.gateway.test_ended_rights import EVENT, SECONDS_MAX, Reader

NAMES: dict[str, Callable[[Tenant], str]] = {
    "key": lambda tenant: tenant.key_id,
    "tenant": lambda tenant: tenant.tenant_id,
    "hash": lambda tenant: hash_key(bytes.fromhex(PEPPER), tenant.key),
}
REFUSED_SECONDS_MAX = 5.0


@pytest.fixture
def endless() -> Iterator[RawEngine]:
    with RawEngine() as engine:
        engine.answer = RawAnswer((EVENT,), STREAM, gap_seconds=0.05, repeats=True)
        yield engine


def _revoke(rig: Rig, *arguments: str) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "REMPART_STATE_DIR": str(rig.state_dir),
        "REMPART_ENVIRONMENT": "local",
    }
    command = [sys.executable, "-m", "controlplane.entrypoints.gateway_revoke", *arguments]
    subprocess.run(command, env=environ, check=True, capture_output=True)


def _status(rig: Rig, tenant: Tenant) -> int:
    headers = {"authorization": f"Bearer {tenant.key}"}
    return httpx.get(f"{rig.url}/v1/models", headers=headers, timeout=10).status_code


@pytest.mark.case("X20")
@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_refused_at_the_gateway_itself_without_redis_and_control_plane(
    tmp_path: Path, endless: RawEngine, name: str
) -> None:
    with running_redis(tmp_path) as (url, redis), running_rig(tmp_path / "state", url) as rig:
        stolen, other = Tenant(), Tenant()
        rig.publish_keys(stolen, other)
        own, others = stolen.route(), other.route()
        rig.publish_routes(own, others)
        rig.publish_endpoints(own, endless.port)
        rig.publish_endpoints(others, endless.port)
        ending, staying = Reader(rig, stolen.key), Reader(rig, other.key)
        for reader in (ending, staying):
            reader.start()
        wait_until(lambda: len(ending.seen) > 500 and len(staying.seen) > 500, "both streams to run")
        redis.kill()
        assert (_status(rig, stolen), _status(rig, other)) == (200, 200)
        _revoke(rig, NAMES[name](stolen))
        began = time.monotonic()
        wait_until(lambda: _status(rig, stolen) == 401, "the key to be refused")
        assert time.monotonic() - began < REFUSED_SECONDS_MAX
        wait_until(lambda: b"api_key_revoked" in ending.seen, "the stream to end", seconds=SECONDS_MAX)
        wait_until(lambda: ending.is_over, "the connection to be closed", seconds=SECONDS_MAX)
        assert not staying.is_over
        assert _status(rig, other) == 200
        # It outlives a restart, and ends when it is lifted.
        rig.kill(rig.gateway)
        rig.start_gateway()
        time.sleep(REFUSED_SECONDS_MAX)
        assert _status(rig, stolen) == 401
        _revoke(rig, "--lift", NAMES[name](stolen))
        wait_until(lambda: _status(rig, stolen) == 200, "the key to be taken again")
    for reader in (ending, staying):
        reader.join(SECONDS_MAX)
