"""Processes killed without warning, and a control plane that is cut off."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.database import running_redis
from tests.integration.gateway.rig import MODEL, Rig, Tenant, free_ports, running_rig, wait_until
from tests.integration.gateway.scripted_engine import ScriptedEngine

CHAT = "/v1/chat/completions"
CALL = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
PATIENCE_SECONDS = 120
"""Only how long a test waits before it fails: nothing that it asserts depends on time."""


@pytest.fixture
def redis_process(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with running_redis(tmp_path, free_ports(1)[0]) as running:
        yield running


# One key calls here without pause; what a rate refuses is looked at elsewhere.
NO_RATE_MATTERS = {
    "REMPART_GATEWAY_KEY_CALLS_PER_SECOND": "100000",
    "REMPART_GATEWAY_TENANT_CALLS_PER_SECOND": "100000",
}


@pytest.fixture
def own_rig(tmp_path: Path, redis_process: tuple[str, subprocess.Popen[bytes]]) -> Iterator[Rig]:
    with running_rig(tmp_path / "state", redis_process[0], settings=NO_RATE_MATTERS) as running:
        yield running


class _Caller(threading.Thread):
    """Calls without pause until stopped, and notes each acknowledged call and when."""

    def __init__(self, rig: Rig, tenant: Tenant) -> None:
        super().__init__(daemon=True)
        self._rig, self._tenant = rig, tenant
        self.acknowledged: dict[str, float] = {}
        self.is_stopped = False

    def run(self) -> None:
        headers = {"authorization": f"Bearer {self._tenant.key}"}
        while not self.is_stopped:
            try:
                with httpx.Client(base_url=self._rig.url, headers=headers, timeout=5) as client:
                    while not self.is_stopped:
                        response = client.post(CHAT, json=CALL)
                        if response.status_code == 200:
                            self.acknowledged[response.headers["x-request-id"]] = time.monotonic()
            except httpx.HTTPError:
                time.sleep(0.005)


@pytest.mark.case("S26")
def test_kill_9_at_any_moment_leaves_one_line_for_every_answered_call(own_rig: Rig) -> None:
    """Whatever the machine's load: a call whose log line died with Envoy is reported as unknown, not missing."""
    tenant, dice = Tenant(), random.Random(7)
    own_rig.publish_keys(tenant)
    route = tenant.route()
    own_rig.publish_routes(route)
    with ScriptedEngine() as engine:
        own_rig.publish_endpoints(route, engine.port)
        caller = _Caller(own_rig, tenant)
        caller.start()
        for turn in range(6):
            target = len(caller.acknowledged) + dice.randrange(50, 200)
            wait_until(lambda t=target: len(caller.acknowledged) >= t, "more calls", PATIENCE_SECONDS)
            if turn % 2:
                own_rig.kill(own_rig.gateway)
                own_rig.start_gateway()
            else:
                own_rig.kill(own_rig.envoy)
                own_rig.start_envoy()
        target = len(caller.acknowledged) + 100
        wait_until(lambda: len(caller.acknowledged) >= target, "calls after the last kill", PATIENCE_SECONDS)
        caller.is_stopped = True
        caller.join(10)

    def lines() -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for line in own_rig.usage():
            found.setdefault(line["id"], []).append(line["data"])
        return found

    wait_until(
        lambda: set(caller.acknowledged) <= set(lines()), "a line for every answered call", PATIENCE_SECONDS
    )
    assert {len(each) for each in lines().values()} == {1}
    unknown = [data for [data] in lines().values() if data.get("is_unknown")]
    known = [data for [data] in lines().values() if not data.get("is_unknown")]
    assert all(data["output_tokens"] == 5 for data in known)
    assert all(
        data["service_id"] == route["service_id"] and data["output_tokens"] is None for data in unknown
    )
    # One caller: besides the call in flight only those that ended since the last flush can be unknown.
    assert len(known) > 300


def test_with_redis_cut_the_last_configuration_keeps_serving_even_after_a_restart(
    own_rig: Rig, redis_process: tuple[str, subprocess.Popen[bytes]]
) -> None:
    tenant = Tenant()
    own_rig.publish_keys(tenant)
    route = tenant.route()
    own_rig.publish_routes(route)
    headers = {"authorization": f"Bearer {tenant.key}"}
    with ScriptedEngine() as engine:
        own_rig.publish_endpoints(route, engine.port)
        assert httpx.post(own_rig.url + CHAT, json=CALL, headers=headers).status_code == 200
        redis_process[1].kill()
        redis_process[1].wait(timeout=10)
        own_rig.kill(own_rig.gateway)
        own_rig.kill(own_rig.envoy)
        own_rig.start()
        response = httpx.post(own_rig.url + CHAT, json=CALL, headers=headers)
        assert response.status_code == 200
        assert own_rig.usage_of(response.headers["x-request-id"])["data"]["output_tokens"] == 5
        health = own_rig.health()
        assert health is not None
        assert health["redis"] is False


def test_without_any_key_snapshot_every_key_is_refused(own_rig: Rig) -> None:
    headers = {"authorization": f"Bearer {Tenant().key}"}
    response = httpx.get(own_rig.url + "/v1/models", headers=headers)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "key_check_unavailable"
    assert response.headers["retry-after"] == "1"


def test_losing_every_redis_key_changes_nothing(own_rig: Rig) -> None:
    tenant = Tenant()
    own_rig.publish_keys(tenant)
    route = tenant.route()
    own_rig.publish_routes(route)
    headers = {"authorization": f"Bearer {tenant.key}"}
    with ScriptedEngine() as engine:
        own_rig.publish_endpoints(route, engine.port)
        own_rig.redis.flushall()
        own_rig.redis.publish("rempart:changed", "rempart:keys")
        own_rig.redis.publish("rempart:changed", f"rempart:endpoints:{route['regional_deployment_id']}")
        own_rig.publish_keys(tenant)
        assert httpx.post(own_rig.url + CHAT, json=CALL, headers=headers).status_code == 200


def test_a_stopped_gateway_process_is_not_felt_for_two_seconds(own_rig: Rig) -> None:
    tenant = Tenant()
    own_rig.publish_keys(tenant)
    route = tenant.route()
    own_rig.publish_routes(route)
    headers = {"authorization": f"Bearer {tenant.key}"}
    with ScriptedEngine() as engine, httpx.Client(base_url=own_rig.url, headers=headers) as client:
        own_rig.publish_endpoints(route, engine.port)
        assert client.post(CHAT, json=CALL).status_code == 200
        own_rig.kill(own_rig.gateway)
        killed_at = time.monotonic()
        while time.monotonic() - killed_at < 1.5:
            assert client.post(CHAT, json=CALL).status_code == 200
        wait_until(lambda: client.post(CHAT, json=CALL).status_code == 503, "keys to be refused", seconds=5.0)
        own_rig.start_gateway()
        assert client.post(CHAT, json=CALL).status_code == 200
