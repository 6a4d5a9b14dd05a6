"""What the REST door lets in: wrong keys cost no query, a burst of one caller leaves the others served."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import event

from controlplane.entrypoints.admission_rules import RouteClass
from controlplane.entrypoints.api import create_app
from controlplane.identity import key_rules
from controlplane.identity.domain import KeyKind
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.database import free_port
from tests.fixtures.tenants import Caller, bearer, sign_up, signup_body

# A token comes back each second: what is let through again soon, and what is not.
SMALL = {
    "rate_reads_per_minute": 60,
    "rate_writes_per_minute": 60,
    "rate_ingests_per_minute": 60,
    "rate_signups_per_hour": 5,
    "rate_failed_signins_per_minute": 5,
    "rate_anonymous_per_minute": 5,
}
PROXY = "10.0.0.1"
STRANGER, NEIGHBOUR = "198.51.100.1", "198.51.100.2"


def unknown_key(number: int = 0) -> str:
    """A key of the right form that nobody has."""
    return key_rules.build_key(KeyKind.SVC, "local", number.to_bytes(key_rules.RANDOM_BYTES, "big"))


@contextmanager
def door(settings: Settings, database: Database, peer: str = PROXY, **changes: Any) -> Iterator[TestClient]:
    chosen = settings.model_copy(update={"trusted_proxies": "10.0.0.0/8", **changes})
    app = create_app(chosen, database)
    with TestClient(app, base_url="http://api.test", client=(peer, 40_000)) as client:
        yield client


@contextmanager
def counting(database: Database) -> Iterator[list[str]]:
    """Every statement and every transaction that the door opens."""
    seen: list[str] = []

    def statement(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        seen.append(text)

    def begin(_: Any) -> None:
        seen.append("BEGIN")

    engines = (database.app_engine, database.system_engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", statement)
        event.listen(engine, "begin", begin)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", statement)
            event.remove(engine, "begin", begin)


def good_but_for_its_checksum() -> str:
    key = unknown_key()
    return key[:-1] + ("0" if key[-1] != "0" else "1")


@pytest.mark.case("X9")
@pytest.mark.parametrize(
    "key",
    [
        "xxxx",
        good_but_for_its_checksum(),
        "rmp_",
        "é" * 20,
        "x" * 8000,
        unknown_key() + "0",
        unknown_key()[1:],
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_key_that_cannot_be_one_costs_no_query(
    api: TestClient, database: Database, key: str, method: str
) -> None:
    with counting(database) as statements:
        refused = api.request(
            method, "/v1/services", headers={"Authorization": f"Bearer {key}".encode()}, json={"a": 1}
        )
    assert refused.status_code == 401
    assert refused.json()["code"] == "unauthenticated"
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert statements == []


def test_a_key_of_the_right_form_is_looked_up(api: TestClient, database: Database) -> None:
    """Without this, a count that counts nothing would pass for ever."""
    with counting(database) as statements:
        assert api.get("/v1/services", headers=bearer(unknown_key())).status_code == 401
    assert "BEGIN" in statements


Shot = Callable[[TestClient, Caller, str, int], Response]


def read(client: TestClient, caller: Caller, address: str, _: int) -> Response:
    return client.get("/v1/services", headers={**caller.headers, "X-Forwarded-For": address})


def write(client: TestClient, caller: Caller, address: str, number: int) -> Response:
    body = {"name": f"p-{number}"}
    return client.post("/v1/projects", json=body, headers={**caller.headers, "X-Forwarded-For": address})


def wrong_key(client: TestClient, _: Caller, address: str, number: int) -> Response:
    return client.get("/v1/services", headers={**bearer(unknown_key(number)), "X-Forwarded-For": address})


def garbage(client: TestClient, _: Caller, address: str, number: int) -> Response:
    return client.get("/v1/services", headers={**bearer(f"x{number}"), "X-Forwarded-For": address})


def no_key(client: TestClient, _: Caller, address: str, __: int) -> Response:
    return client.get("/v1/services", headers={"X-Forwarded-For": address})


def signup(client: TestClient, _: Caller, address: str, number: int) -> Response:
    body = signup_body(f"n-{address[-1]}-{number}")
    return client.post("/v1/signup", json=body, headers={"X-Forwarded-For": address})


SHOTS: dict[RouteClass, list[Shot]] = {
    RouteClass.READS: [read],
    RouteClass.WRITES: [write],
    RouteClass.FAILED: [wrong_key, garbage],
    RouteClass.ANONYMOUS: [no_key],
    RouteClass.SIGNUP: [signup],
}


@pytest.mark.case("X9")
@pytest.mark.parametrize(("route_class", "shot"), [(c, shot) for c, shots in SHOTS.items() for shot in shots])
def test_a_burst_of_one_caller_leaves_the_others_served(
    api: TestClient, settings: Settings, database: Database, route_class: RouteClass, shot: Shot
) -> None:
    """Twenty times what the class lets through at once; the neighbour is another tenant at another address."""
    noisy, neighbour = sign_up(api), sign_up(api)
    with door(settings, database, **SMALL) as client:
        first = [shot(client, neighbour, NEIGHBOUR, 1_000)]
        burst = 5 if route_class in (RouteClass.SIGNUP, RouteClass.FAILED, RouteClass.ANONYMOUS) else 15
        answers = [shot(client, noisy, STRANGER, number) for number in range(20 * burst)]
        first.append(shot(client, neighbour, NEIGHBOUR, 1_001))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 15 * burst
    for answer in refused:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) >= 1
        problem = answer.json()
        assert (problem["code"], problem["status"]) == ("too_many_requests", 429)
        assert f"in {answer.headers['Retry-After']} second" in problem["detail"]
        assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert [answer.status_code for answer in first] == [answer.status_code for answer in first[:1]] * 2
    assert 429 not in [answer.status_code for answer in first]


@pytest.mark.case("X9")
def test_every_class_of_routes_is_in_the_table() -> None:
    assert set(SHOTS) | {RouteClass.INGEST} == set(RouteClass)


@pytest.mark.case("X9")
def test_retry_after_is_true(api: TestClient, settings: Settings, database: Database) -> None:
    caller = sign_up(api)
    with door(settings, database, **SMALL) as client:
        while (answer := read(client, caller, STRANGER, 0)).status_code != 429:
            pass
        time.sleep(int(answer.headers["Retry-After"]))
        assert read(client, caller, STRANGER, 0).status_code == 200


@pytest.mark.case("X9")
def test_keys_of_one_tenant_share_its_room(api: TestClient, settings: Settings, database: Database) -> None:
    """Forty keys are not forty times as much."""
    caller = sign_up(api)
    keys = [
        Caller(caller.organization_id, caller.project_id, "", made["api_key"]["secret"])
        for _ in range(8)
        for made in [
            api.post("/v1/api_keys", json={"name": "k", "role": "viewer"}, headers=caller.headers).json()
        ]
    ]
    with door(
        settings,
        database,
        **SMALL,
    ) as client:
        for key in keys:
            assert read(client, key, f"198.51.101.{keys.index(key)}", 0).status_code == 200
        statuses = [read(client, key, STRANGER, 0).status_code for key in keys for _ in range(14)]
    assert statuses.count(200) <= 15 * 2 + 10


@pytest.mark.case("X9")
def test_a_caller_whose_key_is_known_is_not_stopped_by_a_guesser_at_its_address(
    api: TestClient, settings: Settings, database: Database
) -> None:
    caller = sign_up(api)
    with door(settings, database, **SMALL) as client:
        assert read(client, caller, STRANGER, 0).status_code == 200
        assert [wrong_key(client, caller, STRANGER, n).status_code for n in range(20)].count(429) >= 14
        assert read(client, caller, STRANGER, 0).status_code == 200


@pytest.mark.case("X9")
def test_right_keys_use_up_no_tries(api: TestClient, settings: Settings, database: Database) -> None:
    callers = [sign_up(api) for _ in range(12)]
    with door(settings, database, **SMALL) as client:
        assert {read(client, caller, STRANGER, 0).status_code for caller in callers} == {200}


@pytest.mark.case("X9")
def test_a_header_that_anybody_sends_gives_no_new_room(settings: Settings, database: Database) -> None:
    with door(settings, database, peer="203.0.113.7", **SMALL) as client:
        statuses = [
            wrong_key(client, Caller("", "", "", ""), f"198.51.100.{n}", n).status_code for n in range(30)
        ]
    assert statuses.count(429) >= 24


@pytest.mark.case("X9")
def test_processes_count_together(settings: Settings, database: Database) -> None:
    nobody = Caller("", "", "", "")
    with door(settings, database, **SMALL) as one, door(settings, database, **SMALL) as other:
        statuses = [
            wrong_key(client, nobody, STRANGER, n).status_code for n in range(20) for client in (one, other)
        ]
    assert statuses.count(401) <= 7


@pytest.mark.case("X9")
def test_without_redis_the_process_counts_for_itself(settings: Settings, database: Database) -> None:
    nobody = Caller("", "", "", "")
    away = {"redis_url": f"redis://127.0.0.1:{free_port()}/0"}
    with door(settings, database, **SMALL, **away) as client:
        statuses = [wrong_key(client, nobody, STRANGER, n).status_code for n in range(40)]
        assert wrong_key(client, nobody, NEIGHBOUR, 0).status_code == 401
    assert statuses.count(429) >= 33


@pytest.mark.case("X9")
def test_readiness_asked_by_anybody_asks_the_database_once_a_second(
    api: TestClient, database: Database
) -> None:
    with counting(database) as statements:
        assert {api.get("/readyz").status_code for _ in range(50)} == {200}
    assert statements.count("BEGIN") <= 3
