"""Who is refused at the gateway is counted with address, key and time, reported, and listed for who may see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp.test_utils import make_mocked_request
from fastapi.testclient import TestClient

from controlplane.entrypoints.api import create_app
from controlplane.gateway.metrics import Metrics
from controlplane.gateway.refusals import RefusalReporter
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.spool.shipper import IngestTarget
from tests.fixtures.database import running_redis
from tests.fixtures.door import served
from tests.fixtures.tenants import Caller, operator_headers, sign_up
from tests.integration.gateway.rig import Rig, Tenant, make_key, running_rig, wait_until

CHAT = "/v1/chat/completions"
# The script hands its counts on with a call that comes after this.
REPORT_SECONDS = 2.2


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One worker, so that each next call hands on what was counted; a proxy in front names the callers."""
    folder = tmp_path_factory.mktemp("counting")
    settings = {
        "REMPART_GATEWAY_WORKERS": "1",
        "REMPART_GATEWAY_TRUSTED_HOPS": "1",
        "REMPART_GATEWAY_KEY_CALLS_PER_SECOND": "5",
    }
    with running_redis(folder) as (url, _), running_rig(folder / "state", url, settings=settings) as rig:
        yield rig


def _metric(rig: Rig, code: str) -> float:
    page = httpx.get(f"http://127.0.0.1:{rig.activator_port}/metrics").text
    return sum(
        float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.startswith(f'rempart_gateway_refusals_total{{code="{code}"}}')
    )


def _call(rig: Rig, key: str | None, address: str = "192.0.2.9") -> httpx.Response:
    headers = {"x-forwarded-for": address, **({} if key is None else {"authorization": f"Bearer {key}"})}
    return httpx.post(f"{rig.url}{CHAT}", json={"model": "m"}, headers=headers)


@pytest.mark.case("X14")
def test_every_refusal_is_counted_by_its_code(counting: Rig) -> None:
    good, expired = Tenant(), Tenant(expires_at="2020-01-01T00:00:00+00:00")
    narrow = Tenant(scopes=["manage"])
    counting.publish_keys(good, expired, narrow)
    asked = {
        "missing_api_key": [None] * 2,
        "invalid_api_key": ["garbage", "garbage", make_key()],
        "api_key_expired": [expired.key],
        "api_key_out_of_scope": [narrow.key],
        "rate_limit_exceeded": [good.key] * 30,
    }
    before = {code: _metric(counting, code) for code in asked}
    counted = dict.fromkeys(asked, 0)
    for keys in asked.values():
        for key in keys:
            answer = _call(counting, key)
            code = answer.json()["error"]["code"]
            if code in counted:
                counted[code] += 1
    assert all(counted.values()), counted

    def has_all() -> bool:
        counting_call = _call(counting, good.key)
        assert counting_call.status_code in {404, 429}
        return all(_metric(counting, code) - before[code] >= count for code, count in counted.items())

    wait_until(has_all, f"the counts {counted}", seconds=15)


@pytest.mark.case("X14")
def test_a_flood_of_addresses_costs_a_bounded_report(counting: Rig) -> None:
    time.sleep(REPORT_SECONDS)
    before = _metric(counting, "invalid_api_key")
    with httpx.Client(base_url=counting.url) as client:
        for number in range(600):
            client.post(
                CHAT, json={},
                headers={"x-forwarded-for": f"10.1.{number >> 8}.{number & 255}", "authorization": "Bearer x"},
            )  # fmt: skip
    good = Tenant()
    counting.publish_keys(good)

    def has_all() -> bool:
        _call(counting, good.key)
        return _metric(counting, "invalid_api_key") - before >= 600

    wait_until(has_all, "600 counts", seconds=15)


class TestReporting:
    """From a worker's report to the list, over the real door."""

    @pytest.fixture
    def door(
        self, settings: Settings, database: Database
    ) -> Iterator[tuple[str, TestClient, dict[str, str]]]:
        operator = operator_headers(database, settings)
        app = create_app(settings, database)
        with TestClient(app, base_url="http://api.test") as api, served(app) as url:
            yield url, api, operator

    def _producer(self, api: TestClient, operator: dict[str, str]) -> str:
        wish = {"name": "paris", "role": "producer", "source": "/gateways/paris-1"}
        return str(api.post("/v1/admin/api_keys", json=wish, headers=operator).json()["api_key"]["secret"])

    def _rows(self, caller: Caller) -> bytes:
        now = int(time.time() * 1000)
        who = f"{caller.key_id} {caller.organization_id}"
        return (
            f"401 invalid_api_key {CHAT} 203.0.113.66 - - 70 {now - 9000} {now}\n"
            f"429 rate_limit_exceeded {CHAT} 2001:db8:0:1 {who} 9 {now - 5000} {now}\n"
        ).encode()

    @pytest.mark.case("X14")
    async def test_what_a_worker_counted_is_listed_once_with_who_and_since_when(
        self, door: tuple[str, TestClient, dict[str, str]]
    ) -> None:
        url, api, operator = door
        caller, neighbour = sign_up(api), sign_up(api)
        producer = self._producer(api, operator)
        metrics = Metrics()
        reporter = RefusalReporter(IngestTarget(url, producer), metrics)
        away = RefusalReporter(IngestTarget("http://127.0.0.1:1", producer), metrics)
        async with aiohttp.ClientSession() as session:
            for each in (reporter, away):
                await each.take(_request(self._rows(caller)))
                await each.step(session)
                await each.step(session)
            # It comes back, and what it kept arrives.
            away._target = IngestTarget(url, producer)
            await away.step(session)
            await away.step(session)
        listed: Any = await asyncio.to_thread(self._listed, api, "/v1/admin/security_events", operator)
        assert {(e["reason"], e["address"], e["count"], e["source"]) for e in listed} == {
            ("invalid_api_key", "203.0.113.66", 70, "/gateways/paris-1"),
            ("rate_limit_exceeded", "2001:db8:0:1::", 9, "/gateways/paris-1"),
        }
        assert len(listed) == 4
        (own, _) = await asyncio.to_thread(self._listed, api, "/v1/security_events", caller.headers)
        assert (own["key_id"], own["kind"], own["route"]) == (caller.key_id, "rate_limited", CHAT)
        assert await asyncio.to_thread(self._listed, api, "/v1/security_events", neighbour.headers) == []

    @pytest.mark.case("X14")
    async def test_without_an_address_the_log_has_them(
        self, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        reporter = RefusalReporter(IngestTarget(""), Metrics())
        now = int(time.time() * 1000)
        await reporter.take(
            _request(f"401 invalid_api_key {CHAT} 203.0.113.66 - - 70 {now} {now}\n".encode())
        )
        async with aiohttp.ClientSession() as session:
            await reporter.step(session)
        # Where logs go depends on whether a program was set up in this process before.
        written = capsys.readouterr().out + caplog.text
        assert "calls_refused" in written
        assert "203.0.113.66" in written

    def _listed(self, api: TestClient, path: str, headers: dict[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api.get(path, headers=headers).json()["security_events"]
        return found


def _request(body: bytes) -> Any:
    """A request of the inner door with this body."""
    request = make_mocked_request("POST", "/internal/refusals")
    request._read_bytes = body
    return request
