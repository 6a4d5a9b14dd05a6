"""What one caller may take: calls a second, calls and bytes at once, wrong keys. A wait that is named is true."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from io import BufferedReader

import httpx
import pytest

from controlplane.gateway.envoy_listener import BODY_BYTES_MAX
from tests.fixtures.database import running_redis
from tests.integration.gateway.rig import Rig, Tenant, make_key, running_rig, wait_until
from tests.integration.gateway.scripted_engine import ScriptedEngine

CHAT = "/v1/chat/completions"
WORKERS = 2
KEY_RATE, TENANT_RATE = 10, 15
CONNECTIONS = 200


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A gateway with low rates: the bursts are twice the rates, for each worker."""
    folder = tmp_path_factory.mktemp("tight")
    settings = {
        "REMPART_GATEWAY_KEY_CALLS_PER_SECOND": str(KEY_RATE),
        "REMPART_GATEWAY_TENANT_CALLS_PER_SECOND": str(TENANT_RATE),
        "REMPART_GATEWAY_CONNECTIONS": str(CONNECTIONS),
    }
    with running_redis(folder) as (url, _), running_rig(folder / "state", url, settings=settings) as rig:
        yield rig


def _client(rig: Rig, key: str) -> httpx.Client:
    return httpx.Client(base_url=rig.url, headers={"authorization": f"Bearer {key}"}, timeout=30)


def _expect(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert error["code"] == code


@pytest.mark.case("X9")
def test_a_burst_of_one_key_is_refused_with_a_wait_that_is_true(tight: Rig) -> None:
    tenant, other = Tenant(), Tenant()
    tight.publish_keys(tenant, other)
    with _client(tight, tenant.key) as client, _client(tight, other.key) as quiet:
        answers = [client.get("/v1/models") for _ in range(20 * KEY_RATE)]
        passed = [answer for answer in answers if answer.status_code == 200]
        # The burst, and what came in while it lasted; one connection stays on one worker.
        assert 2 * KEY_RATE <= len(passed) <= 2 * KEY_RATE + KEY_RATE * 10
        refused = next(answer for answer in answers if answer.status_code != 200)
        _expect(refused, 429, "rate_limit_exceeded")
        assert quiet.get("/v1/models").status_code == 200
        # The last refusal's wait, as one who obeys it would see it.
        last = client.get("/v1/models")
        if last.status_code == 429:
            time.sleep(int(last.headers["retry-after"]))
        assert client.get("/v1/models").status_code == 200


@pytest.mark.case("X9")
def test_the_keys_of_one_tenant_share_its_rate(tight: Rig) -> None:
    first = Tenant()
    more = [Tenant(tenant_id=first.tenant_id, project_id=first.project_id) for _ in range(3)]
    tight.publish_keys(first, *more)
    statuses: list[int] = []
    began = time.monotonic()
    for each in more:
        with _client(tight, each.key) as client:
            statuses += [client.get("/v1/models").status_code for _ in range(2 * KEY_RATE)]
    most = WORKERS * (2 * TENANT_RATE + TENANT_RATE * (time.monotonic() - began))
    assert statuses.count(200) <= most
    assert set(statuses) == {200, 429}


@pytest.mark.case("X9")
@pytest.mark.parametrize("key", [None, "xxxx", make_key()], ids=["none", "garbage", "unknown"])
def test_an_address_may_try_only_so_many_wrong_keys_and_harms_no_good_one(
    rig: Rig, tenant: Tenant, client: httpx.Client, key: str | None
) -> None:
    assert client.get("/v1/models").status_code == 200
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=rig.url, headers=headers) as stranger:
        answers = [stranger.get("/v1/models") for _ in range(400)]
        assert {answer.status_code for answer in answers} == {401, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        _expect(refused, 429, "too_many_failed_keys")
        assert client.get("/v1/models").status_code == 200
        time.sleep(int(refused.headers["retry-after"]))
        assert stranger.get("/v1/models").status_code == 401
    # Leave the address as it was found.
    time.sleep(6)


@pytest.mark.case("X3")
def test_calls_and_bytes_under_way_are_bounded_and_counted_down_when_callers_vanish(
    rig: Rig, tenant: Tenant, client: httpx.Client
) -> None:
    """Callers who announce a large body and send none of it hold their place until they go."""
    most = WORKERS * 32
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {tenant.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {BODY_BYTES_MAX}\r\n\r\n"
    ).encode()
    assert client.get("/v1/models").status_code == 200
    held = [socket.create_connection(("127.0.0.1", rig.port), timeout=10) for _ in range(most + 20)]
    try:
        for each in held:
            each.sendall(head)
        time.sleep(1)
        refused = 0
        for each in held:
            each.setblocking(False)
            try:
                refused += each.recv(4096).startswith(b"HTTP/1.1 429 ")
            except BlockingIOError:
                continue
        assert refused == 20
        other = Tenant()
        rig.publish_keys(tenant, other)
        with _client(rig, other.key) as quiet:
            assert quiet.get("/v1/models").status_code == 200
    finally:
        for each in held:
            each.close()
    large = json.dumps({"model": "none", "x": "y" * (BODY_BYTES_MAX - 100)}).encode()

    def is_let_in() -> bool:
        answers = [
            client.post(
                CHAT, content=large, headers={"content-type": "application/json", "connection": "close"}
            )
            for _ in range(2 * WORKERS)
        ]
        return {answer.status_code for answer in answers} == {404}

    wait_until(is_let_in, "the places of those who went")


def _raw_call(key: str, body: bytes, kind: str = "application/json") -> bytes:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
        f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _back_to_back(rig: Rig, call: bytes, count: int) -> list[bytes]:
    """Statuses of one call after the other, each sent as soon as the last one's answer has ended."""
    statuses: list[bytes] = []
    while len(statuses) < count:
        with socket.create_connection(("127.0.0.1", rig.port), timeout=30) as caller:
            stream = caller.makefile("rb")
            is_open = True
            while is_open and len(statuses) < count:
                caller.sendall(call)
                status, is_open = _read_answer(stream)
                statuses.append(status)
    return statuses


def _read_answer(stream: BufferedReader) -> tuple[bytes, bool]:
    """Read one HTTP/1.1 answer to its end: its status, and whether its connection stays open."""
    status, length, is_open = stream.readline().split()[1], -1, True
    while (line := stream.readline().strip().lower()) != b"":
        is_open = is_open and line != b"connection: close"
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    if length >= 0:
        stream.read(length)
        return status, is_open
    while (size := int(stream.readline(), 16)) > 0:
        stream.read(size + 2)
    stream.readline()
    return status, is_open


@pytest.mark.case("X3")
@pytest.mark.parametrize(
    "end", ["engine", "stream", "no route", "no json", "wrong kind"], ids=lambda end: end.replace(" ", "-")
)
def test_ended_calls_are_not_taken_for_calls_under_way(
    rig: Rig, tenant: Tenant, engine: ScriptedEngine, end: str
) -> None:
    """Ten times the bound one after the other, as fast as it goes: whoever answers a call, its place is free then."""
    route = tenant.route(queue={"max_requests": 20, "max_bytes": 2 * BODY_BYTES_MAX, "max_age_s": 20})
    rig.publish_routes(route)
    rig.publish_endpoints(route, engine.port)
    call = {"model": "none" if end == "no route" else route["model"], "stream": end == "stream"}
    body = json.dumps({**call, "x": "y" * (BODY_BYTES_MAX - 1000)}).encode()
    if end == "no json":
        body = body[:-1]
    kind = "text/plain" if end == "wrong kind" else "application/json"
    statuses = _back_to_back(rig, _raw_call(tenant.key, body, kind), 10 * 32)
    expected = {"no route": b"404", "no json": b"400", "wrong kind": b"415"}.get(end, b"200")
    assert set(statuses) == {expected}


@pytest.mark.case("X3")
def test_callers_who_hang_up_cost_their_tenant_no_place_for_long(rig: Rig, tenant: Tenant) -> None:
    """Of calls that were reset nobody is told: their places are found when they are needed."""
    body = json.dumps({"model": "none", "x": "y" * (BODY_BYTES_MAX - 100)}).encode()
    call = _raw_call(tenant.key, body)
    for _ in range(10):
        for _ in range(32):
            with socket.create_connection(("127.0.0.1", rig.port), timeout=10) as caller:
                caller.sendall(call[: len(call) // 2])
        time.sleep(1)
        assert set(_back_to_back(rig, call, 2 * WORKERS)) == {b"404"}


@pytest.mark.case("X9")
def test_idle_connections_do_not_shut_newcomers_out(tight: Rig) -> None:
    """As many as the gateway takes, and not a byte on any: they are let go of, and a new caller gets in."""
    tenant = Tenant()
    tight.publish_keys(tenant)
    idle = [socket.create_connection(("127.0.0.1", tight.port), timeout=10) for _ in range(CONNECTIONS)]
    try:

        def is_answered() -> bool:
            try:
                headers = {"authorization": f"Bearer {tenant.key}"}
                return httpx.get(f"{tight.url}/v1/models", headers=headers, timeout=2).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(is_answered, "a newcomer's answer", seconds=10)
        wait_until(
            lambda: tight.stat("^http.tenants.downstream_cx_active$") < CONNECTIONS // 2 or None,
            "the idle connections to be closed",
        )
    finally:
        for each in idle:
            each.close()
