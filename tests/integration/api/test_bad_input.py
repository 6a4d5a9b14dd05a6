"""What a careless or hostile caller sends is refused in words, and leaves nothing half-written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from controlplane.entrypoints.api import BODY_BYTES_MAX
from tests.fixtures.tenants import Caller, sign_up

PROBLEM_FIELDS = {"type", "title", "status", "detail", "code", "message", "request_id", "errors"}


@pytest.fixture
def caller(api: TestClient) -> Caller:
    return sign_up(api)


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) == PROBLEM_FIELDS
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    return problem


class TestBodies:
    def post(self, api: TestClient, caller: Caller, body: bytes, **headers: str) -> Any:
        sent = {**caller.headers, "Content-Type": "application/json", **headers}
        return api.post("/v1/projects", content=body, headers=sent)

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b"{" * 100_000])
    def test_what_is_no_json_object_is_refused(self, api: TestClient, caller: Caller, body: bytes) -> None:
        refused(self.post(api, caller, body), 422, "invalid_input")

    def test_an_unknown_field_is_named(self, api: TestClient, caller: Caller) -> None:
        problem = refused(self.post(api, caller, b'{"name": "chat", "colour": 1}'), 422, "invalid_input")
        assert [(field["field"], field["code"]) for field in problem["errors"]] == [
            ("body.colour", "extra_forbidden")
        ]

    def test_a_body_above_the_bound_is_refused_whether_it_says_its_length_or_not(
        self, api: TestClient, caller: Caller
    ) -> None:
        large = json.dumps({"name": "chat", "description": "x" * BODY_BYTES_MAX}).encode()
        refused(self.post(api, caller, large), 413, "payload_too_large")
        pieces = (large[start : start + 65_536] for start in range(0, len(large), 65_536))
        sent = {**caller.headers, "Content-Type": "application/json"}
        refused(api.post("/v1/projects", content=pieces, headers=sent), 413, "payload_too_large")

    @pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
    def test_text_that_no_database_holds_is_refused(self, api: TestClient, caller: Caller, text: str) -> None:
        body = json.dumps({"name": "chat", "description": text}).encode()
        refused(self.post(api, caller, body), 422, "invalid_input")
        names = [
            project["name"] for project in api.get("/v1/projects", headers=caller.headers).json()["projects"]
        ]
        assert names == ["default"]

    def test_a_backslash_before_u0000_is_only_text(self, api: TestClient, caller: Caller) -> None:
        body = {"name": "chat", "description": "\\u0000"}
        made = api.post("/v1/projects", json=body, headers=caller.headers)
        assert made.json()["project"]["description"] == "\\u0000"

    def test_numbers_without_end_are_refused(self, api: TestClient, caller: Caller) -> None:
        body = b'{"name": "key", "role": "viewer", "expires_in_days": ' + b"9" * 5_000 + b"}"
        sent = {**caller.headers, "Content-Type": "application/json"}
        refused(api.post("/v1/api_keys", content=body, headers=sent), 422, "invalid_input")


class TestQueries:
    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=201", "limit=x", "cursor=x", "cursor=" + "A" * 60, "cursor=%00", "project_id=x"],
    )
    def test_a_query_that_means_nothing_is_refused(self, api: TestClient, caller: Caller, query: str) -> None:
        refused(api.get(f"/v1/apps?{query}", headers=caller.headers), 422, "invalid_input")

    @pytest.mark.parametrize("path", ["/v1/apps?name=%00", "/v1/catalog/models/a%00b"])
    def test_no_text_of_a_path_or_a_query_holds_a_nul(
        self, api: TestClient, caller: Caller, path: str
    ) -> None:
        refused(api.get(path, headers=caller.headers), 422, "invalid_input")

    def test_a_filter_that_is_no_text_matches_nothing(self, api: TestClient, caller: Caller) -> None:
        assert api.get("/v1/apps?name=%FF", headers=caller.headers).json()["apps"] == []

    @pytest.mark.parametrize(
        "path", ["/v1/apps/x", "/v1/apps/app_", "/v1/apps/org_" + "0" * 26, "/v1/apps/%00"]
    )
    def test_a_path_that_holds_no_id_is_refused(self, api: TestClient, caller: Caller, path: str) -> None:
        refused(api.get(path, headers=caller.headers), 422, "invalid_input")

    def test_a_path_that_does_not_exist_is_a_problem_document_too(
        self, api: TestClient, caller: Caller
    ) -> None:
        refused(api.get("/v1/nothing", headers=caller.headers), 404, "not_found")
        refused(api.put("/v1/caller", headers=caller.headers), 405, "method_not_allowed")


class TestHeaders:
    def test_a_change_without_a_version_is_428_and_with_another_one_412(
        self, api: TestClient, caller: Caller
    ) -> None:
        made = api.post("/v1/apps", json={"name": "chat"}, headers=caller.headers)
        path = f"/v1/apps/{made.json()['app']['id']}"
        refused(api.patch(path, json={"name": "x"}, headers=caller.headers), 428, "precondition_required")
        for tag in ('"2"', "*", "", '"x"', "1, 2", '"99999999999"'):
            sent = {**caller.headers, "If-Match": tag}
            refused(api.patch(path, json={"name": "x"}, headers=sent), 412, "precondition_failed")
        sent = {**caller.headers, "If-Match": made.headers["ETag"]}
        assert api.patch(path, json={"name": "x"}, headers=sent).headers["ETag"] == '"2"'

    def test_an_idempotency_key_that_is_none_is_refused(self, api: TestClient, caller: Caller) -> None:
        for key in ("", "k" * 256):
            sent = {**caller.headers, "Idempotency-Key": key}
            refused(api.post("/v1/apps", json={"name": "chat"}, headers=sent), 422, "invalid_input")

    @pytest.mark.parametrize(
        "value", ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer rmp_x", "Bearer " + "x" * 4_000]
    )
    def test_a_key_that_is_none_is_401_and_says_how_to_send_one(self, api: TestClient, value: str) -> None:
        answer = api.get("/v1/apps", headers={"Authorization": value})
        refused(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
