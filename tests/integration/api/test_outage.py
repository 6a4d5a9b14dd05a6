"""A database that is away is said so, by every operation, and forgotten as soon as it is back."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest
from fastapi.testclient import TestClient
from httpx import Response
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from controlplane.entrypoints.api import READY_SECONDS, create_app
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.plumbing.web import outage_of
from tests.architecture.wall import METHODS
from tests.fixtures.database import TEST_PEPPER, TEST_RATES
from tests.fixtures.own_postgres import OwnPostgres, own_database
from tests.fixtures.tenants import Caller, sign_up, signup_body

TENANT_TABLES_LOCK = "LOCK TABLE tenant IN ACCESS EXCLUSIVE MODE"


@pytest.fixture(scope="module")
def door() -> Iterator[tuple[OwnPostgres, TestClient, Caller, str]]:
    """A server of its own, the API over it, and a tenant that was served before."""
    with own_database() as (postgres, urls):
        settings = Settings(
            environment="local",
            app_database_url=SecretStr(urls.app),
            system_database_url=SecretStr(urls.system),
            key_pepper=SecretStr(TEST_PEPPER),
            database_pool_size=2,
            **TEST_RATES,
        )
        database = Database(settings)
        with TestClient(create_app(settings, database), base_url="http://api.test") as client:
            yield postgres, client, sign_up(client), urls.owner
        database.dispose()


def assert_unavailable(answer: Response, what: str) -> None:
    assert answer.status_code == 503, f"{what}: {answer.status_code} {answer.text}"
    assert answer.headers["Content-Type"] == "application/problem+json", what
    assert int(answer.headers["Retry-After"]) >= 1, what
    problem = answer.json()
    assert problem["code"] == "database_unavailable", what
    assert problem["request_id"] == answer.headers["X-Request-Id"], what


def _soon_unready(client: TestClient) -> Response:
    """The answer of /readyz once it has asked the database again: what it knows is at most a second old."""
    deadline = time.monotonic() + 2 * READY_SECONDS
    while (answer := client.get("/readyz")).status_code == 200:
        assert time.monotonic() < deadline, "still ready without its database"
    return answer


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL])
def test_every_operation_answers_503_while_the_database_is_away_and_works_again_after_it(
    door: tuple[OwnPostgres, TestClient, Caller, str], how: signal.Signals
) -> None:
    postgres, client, caller, _ = door
    document = client.get("/openapi.json").json()
    asked = 0
    postgres.stop(how)
    try:
        for path, methods in document["paths"].items():
            if path == "/v1/terms":
                # It answers from the settings, and goes on to.
                assert client.get(path).status_code == 200
                continue
            for method in METHODS:
                if method not in methods:
                    continue
                is_signup = path == "/v1/signup"
                answer = client.request(
                    method,
                    re.sub(r"\{[^}]*\}", "anything", path),
                    headers=None if is_signup else {**caller.headers, "If-Match": '"1"'},
                    json=signup_body("late") if is_signup else {},
                )
                assert_unavailable(answer, f"{method} {path}")
                assert "503" in methods[method]["responses"], f"{method} {path} does not say so"
                asked += 1
        assert client.get("/healthz").status_code == 200, "the process lives: nobody should restart it"
        assert_unavailable(_soon_unready(client), "/readyz")
    finally:
        postgres.start()
    assert asked > 50
    assert client.get("/readyz").status_code == 200
    assert client.get("/v1/apps", headers=caller.headers).status_code == 200


def test_a_statement_that_waits_too_long_for_a_lock_is_an_outage_too(
    door: tuple[OwnPostgres, TestClient, Caller, str],
) -> None:
    _, client, caller, owner_url = door
    with psycopg.connect(owner_url) as owner:
        owner.execute(TENANT_TABLES_LOCK.encode())
        assert_unavailable(client.get("/v1/apps", headers=caller.headers), "a locked table")
    assert client.get("/v1/apps", headers=caller.headers).status_code == 200


def test_a_mistake_of_ours_is_no_outage() -> None:
    assert outage_of(ValueError("x")) is None
    assert outage_of(psycopg.errors.UndefinedTable("x")) is None
    assert outage_of(psycopg.errors.UniqueViolation("x")) is None
    assert outage_of(OperationalError("SELECT 1", {}, psycopg.errors.AdminShutdown("x"))) is not None
    assert outage_of(psycopg.errors.ReadOnlySqlTransaction("x")) is not None
