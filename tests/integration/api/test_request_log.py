"""Every id that a person is shown leads to one line that says who asked what, and how it ended."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from prometheus_client import REGISTRY

from controlplane.entrypoints.api import BODY_BYTES_MAX, create_app
from controlplane.plumbing.database import Database
from controlplane.plumbing.logging import configure
from controlplane.plumbing.settings import Settings
from tests.fixtures.tenants import operator_headers

SECRET_TEXT = "rmp_pat_loca_thisIsNobodysKeyButLooksLikeOne"

# Set aside for documentation (RFC 5737).
ADDRESS = "203.0.113.7"

# What is asked, and the status and operation that its line must show.
REQUESTS: dict[str, tuple[Callable[[TestClient], Response], int, str]] = {
    "a read": (lambda api: api.get("/v1/caller"), 200, "get_caller"),
    "a list": (lambda api: api.get("/v1/admin/organizations?limit=1"), 200, "admin_list_organizations"),
    "an unknown id": (
        lambda api: api.get("/v1/admin/datacenters/nowhere"), 404, "get_datacenter",
    ),
    "a bad body": (lambda api: api.post("/v1/admin/datacenters", json={"code": 7}), 422, "create_datacenter"),
    "no JSON": (
        lambda api: api.post(
            "/v1/admin/datacenters", content=b"{", headers={"content-type": "application/json"}
        ),
        422, "create_datacenter",
    ),
    # Its form is refused before anything is looked for, its route too.
    "a wrong key": (
        lambda api: api.get("/v1/caller", headers={"Authorization": f"Bearer {SECRET_TEXT}"}), 401, "none",
    ),
    "no such path": (lambda api: api.get("/v1/nothing"), 404, "none"),
    "a wrong method": (lambda api: api.put("/v1/caller"), 405, "get_caller"),
    "too large a body": (
        lambda api: api.post("/v1/admin/datacenters", content=b"x" * (BODY_BYTES_MAX + 1)), 413,
        "create_datacenter",
    ),
}  # fmt: skip


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.lstrip("\0").splitlines() if line.startswith("{")]


def requests_in(text: str) -> list[dict[str, Any]]:
    return [line for line in lines(text) if line["event"] in {"request", "request_refused"}]


@pytest.fixture
def admin(settings: Settings, database: Database) -> Iterator[TestClient]:
    """The operator, from an address of its own."""
    headers = operator_headers(database, settings)
    app = create_app(settings, database)
    with TestClient(app, base_url="http://api.test", headers=headers, client=(ADDRESS, 50_000)) as client:
        yield client


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the API's own logging writes while the test runs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure("api")
    stream = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.case("W12")
@pytest.mark.parametrize("name", REQUESTS)
def test_the_id_of_any_answer_leads_to_one_line_that_tells_its_story(
    admin: TestClient, written: io.StringIO, name: str
) -> None:
    ask, status, operation = REQUESTS[name]
    written.truncate(0)
    answer = ask(admin)
    assert answer.status_code == status, answer.text
    shown = answer.headers["x-request-id"]
    if status >= 400:
        assert answer.json()["request_id"] == shown
    (line,) = requests_in(written.getvalue())
    assert line["request_id"] == shown
    assert (line["status"], line["operation"]) == (status, operation)
    assert line["method"] == answer.request.method
    assert line["path"] == answer.request.url.path
    assert line["client_address"] == ADDRESS
    assert line["user_agent"]
    assert line["duration_ms"] >= 0
    assert SECRET_TEXT not in json.dumps(line)
    if status >= 400:
        assert line["code"] == answer.json()["code"]


@pytest.mark.case("W12")
def test_a_callers_trace_and_id_are_taken_over(admin: TestClient, written: io.StringIO) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    written.truncate(0)
    admin.get(
        "/v1/caller",
        headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-Id": "deploy-run-7"},
    )
    (line,) = requests_in(written.getvalue())
    assert (line["trace_id"], line["parent_span_id"]) == (trace, "00f067aa0ba902b7")
    assert line["client_request_id"] == "deploy-run-7"


@pytest.mark.case("X14")
def test_who_tries_keys_is_seen_with_address_and_count(admin: TestClient, written: io.StringIO) -> None:
    labels = {"program": "api", "operation": "none", "code": "unauthenticated"}
    before = REGISTRY.get_sample_value("rempart_http_refusals_total", labels) or 0
    written.truncate(0)
    for number in range(20):
        wrong = {"Authorization": f"Bearer wrong{number}"}
        assert admin.get("/v1/caller", headers=wrong).status_code == 401
    refused = [line for line in requests_in(written.getvalue()) if line["event"] == "request_refused"]
    assert len(refused) == 20
    assert {(line["level"], line["client_address"], line["code"]) for line in refused} == {
        ("warning", ADDRESS, "unauthenticated")
    }
    assert REGISTRY.get_sample_value("rempart_http_refusals_total", labels) == before + 20


@pytest.mark.case("W12")
def test_a_surprise_is_answered_logged_and_counted(
    settings: Settings, database: Database, written: io.StringIO
) -> None:
    app = create_app(settings, database)

    @app.get("/surprise", operation_id="surprise")
    def surprise() -> None:
        raise RuntimeError("nobody thought of this")

    written.truncate(0)
    with TestClient(app, base_url="http://api.test") as api:
        answer = api.get("/surprise?token=private")
    assert answer.status_code == 500
    found = [
        line for line in lines(written.getvalue()) if line.get("request_id") == answer.json()["request_id"]
    ]
    assert [line["event"] for line in found] == ["request_failed", "request"]
    assert "nobody thought of this" in found[0]["exception"]
    assert "private" not in json.dumps(found)
    labels = {"program": "api", "operation": "surprise", "status": "500"}
    assert REGISTRY.get_sample_value("rempart_http_requests_total", labels) == 1
