"""What the client sends and repeats, seen on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from controlplane.sdk import (
    ApiError,
    Conflict,
    ConnectionLost,
    Forbidden,
    InvalidRequest,
    NotFound,
    Rempart,
    Unauthenticated,
    VersionChanged,
)
from controlplane.sdk.transport import TRIES_MAX

Answer = Callable[[httpx.Request], httpx.Response]


class Wire:
    """Answers in turn, the last one for ever, and keeps what was sent."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: Iterator[httpx.Response | Exception] = iter(answers)
        self._last: httpx.Response | Exception = httpx.Response(200, json={})

    def client(self, key: str = "rmp_key") -> Rempart:
        return Rempart(key, "http://api.test", backoff_seconds=0, transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self._last = next(self._answers, self._last)
        if isinstance(self._last, Exception):
            raise self._last
        return httpx.Response(self._last.status_code, headers=self._last.headers, content=self._last.content)


def problem(status: int, code: str, **more: object) -> httpx.Response:
    body = {"status": status, "code": code, "detail": "No.", "request_id": "req_1", **more}
    return httpx.Response(status, json=body)


class TestRequest:
    def test_the_key_is_sent_as_a_bearer_and_nothing_is_sent_without_one(self) -> None:
        wire = Wire(httpx.Response(200, json={"caller": {}}))
        wire.client().caller()
        wire.client("").caller()
        assert wire.requests[0].headers["Authorization"] == "Bearer rmp_key"
        assert "Authorization" not in wire.requests[1].headers

    def test_filters_that_are_not_given_are_not_sent(self) -> None:
        wire = Wire(httpx.Response(200, json={"apps": [], "next_cursor": None}))
        assert list(wire.client().apps.list(name="chat", project_id=None)) == []
        assert wire.requests[0].url.query == b"name=chat"

    def test_pages_turn_themselves_with_the_cursor_of_the_page_before(self) -> None:
        wire = Wire(
            httpx.Response(200, json={"apps": [{"id": 1}, {"id": 2}], "next_cursor": "c1"}),
            httpx.Response(200, json={"apps": [{"id": 3}], "next_cursor": None}),
        )
        assert [app["id"] for app in wire.client().apps.list(limit=2)] == [1, 2, 3]
        assert [request.url.query for request in wire.requests] == [b"limit=2", b"limit=2&cursor=c1"]

    def test_a_page_is_asked_for_only_when_it_is_needed(self) -> None:
        wire = Wire(httpx.Response(200, json={"apps": [{"id": 1}], "next_cursor": "c1"}))
        next(wire.client().apps.list())
        assert len(wire.requests) == 1

    def test_a_change_names_the_version_it_was_given_or_reads_it_first(self) -> None:
        wire = Wire(httpx.Response(200, json={"app": {"version": 7}}))
        wire.client().apps.update("app_1", {"name": "x"}, version=3)
        wire.client().apps.update("app_1", {"name": "x"})
        sent = [(request.method, request.headers.get("If-Match")) for request in wire.requests]
        assert sent == [("PATCH", '"3"'), ("GET", None), ("PATCH", '"7"')]


class TestRepeating:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_read_is_repeated_until_it_is_answered(self, status: int) -> None:
        wire = Wire(problem(status, "unavailable"), httpx.Response(200, json={"caller": {"role": "owner"}}))
        assert wire.client().caller() == {"role": "owner"}
        assert len(wire.requests) == 2

    def test_repeating_ends(self) -> None:
        wire = Wire(problem(503, "unavailable"))
        with pytest.raises(ApiError) as refused:
            wire.client().caller()
        assert refused.value.status == 503
        assert len(wire.requests) == TRIES_MAX

    def test_a_server_that_cannot_be_reached_is_a_lost_connection(self) -> None:
        wire = Wire(httpx.ConnectError("refused"))
        with pytest.raises(ConnectionLost, match=r"api\.test"):
            wire.client().caller()
        assert len(wire.requests) == TRIES_MAX

    def test_a_post_is_repeated_under_one_idempotency_key(self) -> None:
        wire = Wire(httpx.ReadError("hung up"), httpx.Response(201, json={"app": {"id": "app_1"}}))
        assert wire.client().apps.create({"name": "chat"}) == {"id": "app_1"}
        keys = [request.headers["Idempotency-Key"] for request in wire.requests]
        assert len(keys) == 2
        assert keys[0] == keys[1]

    def test_two_posts_have_two_keys_and_a_callers_key_is_kept(self) -> None:
        wire = Wire(httpx.Response(201, json={"app": {}}))
        client = wire.client()
        client.apps.create({})
        client.apps.create({})
        client.apps.create({}, idempotency_key="mine")
        first, second, third = (request.headers["Idempotency-Key"] for request in wire.requests)
        assert first != second
        assert third == "mine"

    def test_a_post_still_at_work_under_its_key_is_asked_for_again(self) -> None:
        wire = Wire(problem(409, "idempotency_in_flight"), httpx.Response(201, json={"app": {"id": "app_1"}}))
        assert wire.client().apps.create({}) == {"id": "app_1"}

    def test_any_other_conflict_is_final(self) -> None:
        wire = Wire(problem(409, "conflict"))
        with pytest.raises(Conflict):
            wire.client().apps.create({})
        assert len(wire.requests) == 1

    @pytest.mark.parametrize("failure", [httpx.ReadError("hung up"), httpx.ReadTimeout("slow")])
    def test_a_change_that_may_have_arrived_is_not_repeated(self, failure: Exception) -> None:
        wire = Wire(failure)
        with pytest.raises(ConnectionLost):
            wire.client().apps.update("app_1", {}, version=1)
        assert len(wire.requests) == 1

    @pytest.mark.parametrize("status", [502, 504])
    def test_a_change_behind_a_broken_proxy_is_not_repeated(self, status: int) -> None:
        wire = Wire(httpx.Response(status, text="bad gateway"))
        with pytest.raises(ApiError):
            wire.client().apps.delete("app_1", version=1)
        assert len(wire.requests) == 1

    def test_a_change_that_never_left_is_repeated(self) -> None:
        wire = Wire(httpx.ConnectError("refused"), httpx.Response(200, json={"app": {"version": 2}}))
        assert wire.client().apps.update("app_1", {}, version=1) == {"version": 2}


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (401, Unauthenticated),
            (403, Forbidden),
            (404, NotFound),
            (409, Conflict),
            (412, VersionChanged),
            (422, InvalidRequest),
            (428, ApiError),
        ],
    )
    def test_each_refusal_has_its_type(self, status: int, kind: type[ApiError]) -> None:
        wire = Wire(problem(status, "some_code"))
        with pytest.raises(ApiError) as refused:
            wire.client().caller()
        assert type(refused.value) is kind
        assert (refused.value.status, refused.value.code) == (status, "some_code")
        assert (refused.value.message, refused.value.request_id) == ("No.", "req_1")

    def test_refused_fields_are_in_the_sentence(self) -> None:
        field = {"field": "body.name", "message": "Field required", "code": "missing"}
        wire = Wire(problem(422, "invalid_input", errors=[field]))
        with pytest.raises(InvalidRequest, match=r"No\. body\.name: Field required") as refused:
            wire.client().apps.create({})
        assert refused.value.fields == [field]

    @pytest.mark.parametrize("text", ["<html>proxy</html>", "[]", ""])
    def test_an_answer_that_is_no_problem_document_is_still_an_error_with_its_status(self, text: str) -> None:
        wire = Wire(httpx.Response(500, text=text))
        with pytest.raises(ApiError) as refused:
            wire.client().caller()
        assert (refused.value.status, refused.value.code) == (500, "unknown")
        assert refused.value.message
