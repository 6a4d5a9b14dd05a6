"""Events through the real door into real PostgreSQL: once, whole, and never silently dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.period import Period
from controlplane.metering import service
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.database import DatabaseUrls
from tests.fixtures.tenants import Caller, bearer, make_key, operator_headers, sign_up
from tests.fixtures.usage import (
    BATCH,
    call_of,
    gpu_event,
    now,
    producer_headers,
    request_event,
    send,
    wire,
)


@pytest.fixture
def caller(api: TestClient) -> Caller:
    return sign_up(api)


@pytest.fixture
def producer(database: Database, settings: Settings) -> dict[str, str]:
    return producer_headers(database, settings)


def day_around() -> Period:
    middle = now().replace(minute=0, second=0, microsecond=0)
    return Period(middle - timedelta(hours=12), middle + timedelta(hours=12))


def totals(database: Database, caller: Caller) -> dict[str, int]:
    tenant_id = TenantId.parse(caller.organization_id)
    with database.tenant(tenant_id) as uow:
        found = service.list_totals(uow, tenant_id, day_around(), None, granularity="total", group_by=())
    return {total.meter: int(total.quantity) for total in found}


def assert_sound(database: Database, caller: Caller) -> None:
    with database.system() as uow:
        assert service.find_damage(uow) is None
        assert service.find_drift(uow, TenantId.parse(caller.organization_id), day_around()) is None


class TestOnce:
    def test_an_accepted_event_is_counted_once_however_often_it_is_sent(
        self, api: TestClient, database: Database, caller: Caller, producer: dict[str, str]
    ) -> None:
        events = [call_of(caller) for _ in range(5)]
        first = send(api, producer, events)
        assert (first["accepted"], first["duplicates"]) == (5, 0)
        assert first["batch_id"] is not None
        again = send(api, producer, list(reversed(events)))
        assert (again["accepted"], again["duplicates"], again["batch_id"]) == (0, 5, None)
        mixed = send(api, producer, [*events, call_of(caller), events[0]])
        assert [item["result"] for item in mixed["results"]] == [*["duplicate"] * 5, "accepted", "duplicate"]
        assert totals(database, caller) == {"requests": 6, "input_tokens": 72, "output_tokens": 180}
        assert_sound(database, caller)

    def test_the_same_id_with_another_content_is_quarantined_and_not_counted(
        self,
        api: TestClient,
        database: Database,
        settings: Settings,
        caller: Caller,
        producer: dict[str, str],
    ) -> None:
        event = call_of(caller, event_id="one")
        send(api, producer, [event])
        other = {**event, "data": {**event["data"], "output_tokens": 31}}
        for _ in range(2):
            answer = send(api, producer, [other])
            assert answer["results"][0]["result"] == "conflict"
            assert answer["results"][0]["reason"].endswith("kept aside.")
        within_one = send(
            api, producer, [call_of(caller, event_id="two"), call_of(caller, event_id="two", status=204)]
        )
        assert [item["result"] for item in within_one["results"]] == ["accepted", "conflict"]
        listed = api.get("/v1/admin/usage_conflicts", headers=operator_headers(database, settings)).json()
        assert [case["event_id"] for case in listed["usage_conflicts"]] == ["two", "one"]
        assert orjson.loads(listed["usage_conflicts"][1]["payload"]) == other
        assert totals(database, caller)["output_tokens"] == 60

    def test_the_same_id_at_another_time_or_of_another_source_is_told_apart(
        self, api: TestClient, caller: Caller, producer: dict[str, str]
    ) -> None:
        event = call_of(caller, event_id="one")
        later = {**event, "time": wire(now() + timedelta(seconds=9))}
        elsewhere = {**event, "source": "/gateways/gateway-2"}
        answer = send(api, producer, [event, later, elsewhere])
        assert [item["result"] for item in answer["results"]] == ["accepted", "conflict", "accepted"]

    def test_requests_at_once_with_the_same_events_count_each_once(
        self, api: TestClient, database: Database, caller: Caller, producer: dict[str, str]
    ) -> None:
        events = [call_of(caller) for _ in range(60)]
        answers: list[dict[str, Any]] = []

        def work(turn: int) -> None:
            mine = events[turn * 7 :] + events[: turn * 7]
            answers.append(send(api, producer, mine))

        threads = [threading.Thread(target=work, args=(turn,)) for turn in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert sum(answer["accepted"] for answer in answers) == 60
        assert sum(answer["duplicates"] for answer in answers) == 300
        assert totals(database, caller)["requests"] == 60
        assert_sound(database, caller)

    def test_a_single_event_in_structured_mode(
        self, api: TestClient, caller: Caller, producer: dict[str, str]
    ) -> None:
        headers = {**producer, "Content-Type": "application/cloudevents+json; charset=utf-8"}
        answer = api.post("/v1/usage_events", content=orjson.dumps(call_of(caller)), headers=headers)
        assert answer.status_code == 200
        assert answer.json()["accepted"] == 1


class TestRefusal:
    def test_amounts_that_are_not_whole_or_negative_are_refused_with_the_reason(
        self, api: TestClient, database: Database, caller: Caller, producer: dict[str, str]
    ) -> None:
        wrong = [-1, 1.5, 3.0, "7", True, 10**10, 10**30]
        events = [call_of(caller, output_tokens=amount) for amount in wrong]
        answer = send(api, producer, [*events, call_of(caller)])
        assert [item["result"] for item in answer["results"]] == [*["rejected"] * len(wrong), "accepted"]
        assert all("output_tokens" in item["reason"] for item in answer["results"][:-1])
        assert totals(database, caller)["requests"] == 1

    def test_what_is_too_old_or_ahead_is_refused_and_the_edges_are_taken(
        self, api: TestClient, caller: Caller, producer: dict[str, str]
    ) -> None:
        spans = [
            timedelta(days=-36),
            timedelta(minutes=6),
            timedelta(days=-34, hours=-23),
            timedelta(minutes=4),
        ]
        answer = send(api, producer, [call_of(caller, at=now() + span) for span in spans])
        assert [item["result"] for item in answer["results"]] == [
            "rejected",
            "rejected",
            "accepted",
            "accepted",
        ]
        assert "35 days" in answer["results"][0]["reason"]
        assert "5 minutes ahead" in answer["results"][1]["reason"]

    def test_an_unknown_organization_and_broken_events_are_refused_one_by_one(
        self, api: TestClient, caller: Caller, producer: dict[str, str]
    ) -> None:
        good = call_of(caller)
        broken: list[Any] = [
            {**good, "specversion": "0.3"}, {**good, "type": "other"}, {**good, "time": "yesterday"},
            {**good, "time": "2026-11-01T00:00:00"}, {**good, "data": None}, {**good, "id": ""}, 7,
            {**good, "data": {**good["data"], "project_id": "prj_x"}},
            {**good, "data": {**good["data"], "tenant_id": str(TenantId.new())}},
        ]  # fmt: skip
        answer = send(api, producer, [*broken, good])
        assert [item["result"] for item in answer["results"]] == [*["rejected"] * len(broken), "accepted"]
        assert all(item["reason"].endswith(".") for item in answer["results"][:-1])

    def test_bodies_that_are_no_batches_are_refused_whole(
        self, api: TestClient, caller: Caller, producer: dict[str, str]
    ) -> None:
        def status(content: bytes, **headers: str) -> int:
            return api.post("/v1/usage_events", content=content, headers={**producer, **headers}).status_code

        assert status(b"[{") == 422
        # The door refuses this character in any text, before a batch is looked at.
        assert status(orjson.dumps([{**call_of(caller), "id": "a\x00b"}])) == 422
        assert status(b"{}") == 422
        assert status(b"[]") == 422
        assert status(orjson.dumps([1] * 10_001)) == 422
        assert status(b"[]", **{"Content-Type": "application/json"}) == 415
        assert status(b" " * (9 << 20)) == 413

    def test_only_producers_may_report_usage_and_they_may_do_nothing_else(
        self,
        api: TestClient,
        database: Database,
        settings: Settings,
        caller: Caller,
        producer: dict[str, str],
    ) -> None:
        viewer = bearer(make_key(api, caller, role="viewer")["secret"])
        for headers in (caller.headers, viewer):
            assert api.post("/v1/usage_events", json=[], headers={**headers, **BATCH}).status_code == 403
        assert api.post("/v1/usage_events", json=[], headers=BATCH).status_code == 401
        for path in ("/v1/usages", "/v1/admin/usage_conflicts", "/v1/admin/organizations", "/v1/services"):
            assert api.get(path, headers=producer).status_code == 403, path
        operator = {**operator_headers(database, settings), **BATCH}
        assert send(api, operator, [call_of(caller)])["accepted"] == 1


CHANGES = {
    "a changed amount": (
        "UPDATE usage_event SET payload = replace(payload, '\"output_tokens\":30', '\"output_tokens\":29')"
        " WHERE key = (SELECT min(key::text)::uuid FROM usage_event)"
    ),
    "a missing event": "DELETE FROM usage_event WHERE key = (SELECT max(key::text)::uuid FROM usage_event)",
    "a changed root": "UPDATE ingest_batch SET root = chain WHERE id = (SELECT min(id) FROM ingest_batch)",
    "a missing batch": "DELETE FROM ingest_batch WHERE id = (SELECT min(id) FROM ingest_batch)",
}


class TestProof:
    @pytest.mark.parametrize("change", CHANGES)
    def test_flipping_any_stored_byte_is_noticed(
        self,
        api: TestClient,
        database: Database,
        database_urls: DatabaseUrls,
        caller: Caller,
        producer: dict[str, str],
        change: str,
    ) -> None:
        for _ in range(3):
            send(api, producer, [call_of(caller) for _ in range(4)])
        assert_sound(database, caller)
        with psycopg.connect(database_urls.owner) as owner:
            assert owner.execute(CHANGES[change].encode()).rowcount == 1
        with database.system() as uow:
            assert service.find_damage(uow) is not None

    def test_programs_can_neither_change_nor_delete_an_event(self, database: Database) -> None:
        for statement in (
            "UPDATE usage_event SET type = ''",
            "DELETE FROM usage_event",
            "DELETE FROM ingest_batch",
        ):
            with pytest.raises(Exception, match="permission denied"), database.system() as uow:
                uow.session.execute(text(statement))


def held_gpu(tenant_id: str, project_id: str) -> dict[str, Any]:
    instant = now() - timedelta(minutes=1)
    return gpu_event(tenant_id, project_id, "open", instant, instant, pod=f"pod-{project_id}-{tenant_id}")


class TestWhoseProject:
    @pytest.mark.case("M26")
    @pytest.mark.parametrize("make", [request_event, held_gpu], ids=["a call", "a GPU"])
    def test_an_event_that_names_another_organizations_project_is_refused_and_bills_nobody(
        self,
        api: TestClient,
        database: Database,
        caller: Caller,
        producer: dict[str, str],
        make: Callable[..., dict[str, Any]],
    ) -> None:
        other = sign_up(api, name="other")
        mixed = [
            make(caller.organization_id, other.project_id),
            make(caller.organization_id, caller.project_id),
            make(other.organization_id, caller.project_id),
            # Of a project that is gone, usage may come late.
            make(caller.organization_id, str(ProjectId.new())),
        ]
        answer = send(api, producer, mixed)
        assert [result["result"] for result in answer["results"]] == [
            "rejected",
            "accepted",
            "rejected",
            "accepted",
        ]
        assert all("another organization" in answer["results"][index]["reason"] for index in (0, 2))
        assert totals(database, other) == {}
