"""A stream that runs ends when the right it began under ends: with an error event, and for the engine too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.integration.gateway.raw_engine import STREAM, RawAnswer, RawEngine
from tests.integration.gateway.rig import MODEL, Rig, Tenant, now, wait_until

CHAT = "/v1/chat/completions"
CALL = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "stream": True}
EVENT = b'data: {"choices":[{"delta":{"content":"w"}}]}\n\n'
SECONDS_MAX = 60


@pytest.fixture
def endless() -> Iterator[RawEngine]:
    with RawEngine() as engine:
        engine.answer = RawAnswer((EVENT,), STREAM, gap_seconds=0.05, repeats=True)
        yield engine


class Reader(threading.Thread):
    """Reads one stream to its end, however that comes."""

    def __init__(self, rig: Rig, key: str) -> None:
        super().__init__(daemon=True)
        self._rig, self._key = rig, key
        self.seen = b""
        self.is_over = False

    def run(self) -> None:
        headers = {"authorization": f"Bearer {self._key}"}
        try:
            with httpx.stream("POST", self._rig.url + CHAT, json=CALL, headers=headers, timeout=90) as answer:
                for piece in answer.iter_raw():
                    self.seen += piece
        except httpx.TransportError:
            pass
        self.is_over = True


def _budgets(rig: Rig, tenants: list[str]) -> None:
    at = datetime.now(UTC)
    rig.publish(
        "rempart:budgets",
        {
            "version": at.timestamp(),
            "generated_at": at.isoformat(),
            "exhausted_tenants": tenants,
            "exhausted_projects": [],
        },
    )


@dataclass
class Stage:
    """Two tenants with a stream each; the right of the first is taken away."""

    rig: Rig
    tenant: Tenant
    other: Tenant
    route: dict[str, Any]
    others: dict[str, Any]


def _revoke(stage: Stage) -> None:
    # A suspended tenant's keys leave the snapshot in the same way.
    stage.rig.publish_keys(stage.other)


def _spend(stage: Stage) -> None:
    _budgets(stage.rig, [stage.tenant.tenant_id])


def _refuse(stage: Stage) -> None:
    verdict = {"admissible": False, "policy_hash": "p1", "decided_at": now(), "reason": "US parent."}
    stage.rig.publish_routes({**stage.route, "verdict": verdict}, stage.others)


ENDS: dict[str, tuple[str, Callable[[Stage], None]]] = {
    "key revoked or tenant suspended": ("api_key_revoked", _revoke),
    "budget spent": ("insufficient_quota", _spend),
    "place refused": ("jurisdiction_not_admissible", _refuse),
}


@pytest.mark.case("X13")
@pytest.mark.parametrize("name", ENDS)
def test_a_stream_ends_within_a_minute_of_its_right(rig: Rig, endless: RawEngine, name: str) -> None:
    code, end = ENDS[name]
    tenant, other = Tenant(), Tenant()
    rig.publish_keys(tenant, other)
    own, others = tenant.route(), other.route()
    rig.publish_routes(own, others)
    rig.publish_endpoints(own, endless.port)
    rig.publish_endpoints(others, endless.port)
    ending, staying = Reader(rig, tenant.key), Reader(rig, other.key)
    try:
        for reader in (ending, staying):
            reader.start()
        wait_until(lambda: len(ending.seen) > 500 and len(staying.seen) > 500, "both streams to run")
        end(Stage(rig, tenant, other, own, others))
        began = time.monotonic()
        wait_until(lambda: code.encode() in ending.seen, "the error event", seconds=SECONDS_MAX)
        wait_until(lambda: ending.is_over, "the connection to be closed", seconds=SECONDS_MAX)
        print(f"{name}: ended after {time.monotonic() - began:.1f} s")
        assert ending.seen.rstrip().endswith(b'"param":null}}')
        assert ending.seen.count(b'"error"') == 1
        # The engine's call ends with it, and nobody else's.
        wait_until(lambda: endless.hang_ups == 1, "the engine to be told")
        assert not staying.is_over
        before = len(staying.seen)
        wait_until(lambda: len(staying.seen) > before, "the other stream to go on")
    finally:
        _budgets(rig, [])
        rig.publish_keys()
        for reader in (ending, staying):
            reader.join(SECONDS_MAX)


@pytest.mark.case("X13")
def test_a_key_that_expires_ends_its_streams(rig: Rig, endless: RawEngine) -> None:
    tenant = Tenant(expires_at=(datetime.now(UTC) + timedelta(seconds=6)).isoformat())
    rig.publish_keys(tenant)
    route = tenant.route()
    rig.publish_routes(route)
    rig.publish_endpoints(route, endless.port)
    reader = Reader(rig, tenant.key)
    reader.start()
    wait_until(lambda: b"api_key_expired" in reader.seen, "the error event", seconds=SECONDS_MAX)
    reader.join(SECONDS_MAX)
    assert reader.is_over
