"""Reading usage: groups, zones, pages, walls between tenants; and what a freeze settles."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from controlplane.kernel.errors import Conflict, InvalidInput
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.period import Period
from controlplane.metering import service
from controlplane.metering.domain import UsageTotal
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.tenants import Caller, bearer, make_key, operator_headers, sign_up
from tests.fixtures.usage import SERVICE, call_of, gpu_event, now, producer_headers, send

HOUR = timedelta(hours=1)
# The two hours before the present one: closed, and well inside the accept window.
END = now().replace(minute=0, second=0, microsecond=0)
FIRST = Period(END - 2 * HOUR, END - HOUR)
SECOND = Period(END - HOUR, END)
BOTH = Period(FIRST.start, SECOND.end)


@pytest.fixture
def caller(api: TestClient) -> Caller:
    return sign_up(api)


@pytest.fixture
def producer(database: Database, settings: Settings) -> dict[str, str]:
    return producer_headers(database, settings)


def usages(api: TestClient, headers: dict[str, str], **params: Any) -> dict[str, Any]:
    query = {"from": BOTH.start.isoformat(), "to": BOTH.end.isoformat(), **params}
    answer = api.get("/v1/usages", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def requests_of(totals: list[UsageTotal]) -> Decimal:
    return sum((t.quantity for t in totals if t.meter == "requests"), Decimal(0))


class TestUsages:
    def test_sums_by_meter_with_what_nobody_counted(
        self, api: TestClient, caller: Caller, producer: dict[str, str]
    ) -> None:
        at = FIRST.start
        events = [
            call_of(caller, at=at),
            call_of(caller, at=at, input_tokens=None),
            call_of(caller, at=at, status=503, input_tokens=None, output_tokens=None),
            call_of(caller, at=at, status=0, input_tokens=None, output_tokens=None),
        ]
        send(api, producer, events)
        found = {each["meter"]: each for each in usages(api, caller.headers)["usages"]}
        assert {meter: each["quantity"] for meter, each in found.items()} == {
            "requests": "2", "failed_requests": "2", "input_tokens": "12", "output_tokens": "60",
        }  # fmt: skip
        assert found["input_tokens"]["unknown_count"] == 1
        assert found["output_tokens"]["unknown_count"] == 0
        assert found["output_tokens"]["unit"] == "token"

    def test_groups_and_granularity(self, api: TestClient, caller: Caller, producer: dict[str, str]) -> None:
        events = [
            call_of(caller, at=FIRST.start, model="a"),
            call_of(caller, at=FIRST.start + timedelta(minutes=59, seconds=59), model="b", country="DE"),
            call_of(caller, at=SECOND.start, model="a"),
        ]
        send(api, producer, events)
        by_model = usages(api, caller.headers, group_by=["model", "country"], meter="requests")["usages"]
        assert [(u["dimensions"], u["quantity"]) for u in by_model] == [
            ({"model": "a", "country": "FR"}, "2"),
            ({"model": "b", "country": "DE"}, "1"),
        ]
        by_hour = usages(api, caller.headers, granularity="hour", meter="requests")["usages"]
        assert [(datetime.fromisoformat(u["start"]), u["quantity"]) for u in by_hour] == [
            (FIRST.start, "2"),
            (SECOND.start, "1"),
        ]
        grouped = usages(api, caller.headers, group_by=["project", "service"], meter="requests")["usages"]
        assert [(u["project_id"], u["quantity"]) for u in grouped] == [(caller.project_id, "3")]

    def test_filters_by_project_and_service_hold_for_sums_and_details(
        self, api: TestClient, caller: Caller, producer: dict[str, str]
    ) -> None:
        ids = (caller.organization_id, caller.project_id)
        send(
            api, producer, [call_of(caller, at=FIRST.start), gpu_event(*ids, "open", FIRST.start, FIRST.end)]
        )
        span = {"from": BOTH.start.isoformat(), "to": BOTH.end.isoformat()}
        filters = (
            ({"project_id": caller.project_id}, 1),
            ({"project_id": str(ProjectId.new())}, 0),
            ({"service_id": SERVICE}, 1),
            ({"service_id": "svc_other"}, 0),
        )
        for chosen, count in filters:
            assert len(usages(api, caller.headers, meter="requests", **chosen)["usages"]) == count
            answer = api.get("/v1/usages/details", params={**span, **chosen}, headers=caller.headers)
            assert len(answer.json()["usage_details"]) == count
        bound = bearer(make_key(api, caller, role="viewer", project_id=caller.project_id)["secret"])
        assert len(usages(api, bound, meter="requests")["usages"]) == 1
        assert api.get("/v1/usages/details", params=span, headers=bound).json()["usage_details"] != []
        other = {"project_id": str(ProjectId.new())}
        assert api.get("/v1/usages", params=other, headers=bound).status_code == 422

    def test_pages_show_everything_once(
        self, api: TestClient, caller: Caller, producer: dict[str, str]
    ) -> None:
        send(api, producer, [call_of(caller, at=FIRST.start, model=f"m{n}") for n in range(7)])
        seen, cursor = [], None
        for _ in range(10):
            page = usages(
                api, caller.headers, group_by="model", meter="requests", limit=3, cursor=cursor or []
            )
            seen += [u["dimensions"]["model"] for u in page["usages"]]
            cursor = page["next_cursor"]
            if not page["has_next"]:
                break
        assert seen == [f"m{n}" for n in range(7)]
        other = api.get("/v1/usages", params={"cursor": "AAAA"}, headers=caller.headers)
        assert other.status_code == 422

    def test_a_tenant_sees_its_own_usage_alone_and_the_platform_each(
        self,
        api: TestClient,
        database: Database,
        settings: Settings,
        caller: Caller,
        producer: dict[str, str],
    ) -> None:
        other = sign_up(api)
        ids = (caller.organization_id, caller.project_id)
        send(
            api, producer, [call_of(caller, at=FIRST.start), gpu_event(*ids, "open", FIRST.start, FIRST.end)]
        )
        assert usages(api, other.headers)["usages"] == []
        assert api.get("/v1/usages/details", headers=other.headers).json()["usage_details"] == []
        path = f"/v1/admin/organizations/{caller.organization_id}/usages"
        assert api.get(path, headers=caller.headers).status_code == 403
        query = {"from": BOTH.start.isoformat(), "to": BOTH.end.isoformat()}
        shown = api.get(path, params=query, headers=operator_headers(database, settings)).json()
        assert {u["meter"] for u in shown["usages"]} == {"requests", "input_tokens", "output_tokens"}
        mine = api.get("/v1/usages/details", params=query, headers=caller.headers).json()["usage_details"]
        assert [(d["instance_type"], d["duration_seconds"], d["billed_seconds"]) for d in mine] == [
            ("h100-80gb", "3600", "0")
        ]

    @pytest.mark.parametrize(
        "params",
        [
            {"from": "2026-11-01T00:30:00Z"},
            {"time_zone": "Mars/Olympus"},
            {"time_zone": "Asia/Kolkata"},
            {"from": "2024-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
            {"from": "2026-01-01T00:00:00"},
            {"group_by": "key"},
        ],
    )
    def test_questions_that_have_no_exact_answer_are_refused(
        self, api: TestClient, caller: Caller, params: dict[str, str]
    ) -> None:
        answer = api.get("/v1/usages", params=params, headers=caller.headers)
        assert answer.status_code == 422
        assert answer.json()["detail"].endswith((".", "field."))


class TestFreeze:
    def test_late_events_are_listed_apart_and_the_frozen_total_never_changes(
        self, api: TestClient, database: Database, caller: Caller, producer: dict[str, str]
    ) -> None:
        tenant_id = TenantId.parse(caller.organization_id)
        send(api, producer, [call_of(caller, at=FIRST.start) for _ in range(3)])
        with database.system() as uow:
            first = service.freeze_period(uow, tenant_id, FIRST)
        with database.system() as uow:
            assert service.freeze_period(uow, tenant_id, FIRST) == first
        send(api, producer, [call_of(caller, at=FIRST.start), call_of(caller, at=SECOND.start)])
        with database.system() as uow:
            second = service.freeze_period(uow, tenant_id, SECOND)
        send(api, producer, [call_of(caller, at=FIRST.start) for _ in range(5)])
        with database.system() as uow:

            def total(period: Period, cutoff: Any) -> Decimal:
                return requests_of(service.list_totals(uow, tenant_id, period, cutoff))

            assert total(FIRST, first.cutoff_batch_id) == 3
            assert total(FIRST, second.cutoff_batch_id) == 4
            assert total(FIRST, None) == 9
            assert total(SECOND, second.cutoff_batch_id) == 1
            assert requests_of(service.list_late_totals(uow, tenant_id, first)) == 6
            assert requests_of(service.list_late_totals(uow, tenant_id, first, until=second)) == 1
            assert requests_of(service.list_late_totals(uow, tenant_id, second)) == 0
            with pytest.raises(InvalidInput):
                total(SECOND, first.cutoff_batch_id)
            with pytest.raises(InvalidInput):
                total(FIRST, 999_999)

    def test_a_freeze_bills_what_was_seen_of_a_gpu_until_then(
        self, api: TestClient, database: Database, caller: Caller, producer: dict[str, str]
    ) -> None:
        tenant_id = TenantId.parse(caller.organization_id)
        ids = (caller.organization_id, caller.project_id)
        opened = FIRST.start + timedelta(minutes=10)
        send(api, producer, [gpu_event(*ids, "open", opened, SECOND.start + timedelta(minutes=5))])
        with database.system() as uow:
            frozen = service.freeze_period(uow, tenant_id, FIRST)
        with database.system() as uow:
            totals = service.list_totals(uow, tenant_id, FIRST, frozen.cutoff_batch_id)
        assert [(t.meter, t.quantity) for t in totals] == [("gpu_seconds", Decimal(3_000))]
        assert totals[0].dimensions["sku"] == "h100-80gb"

    def test_events_that_come_during_freezes_are_in_time_or_late_and_never_both(
        self, api: TestClient, database: Database, caller: Caller, producer: dict[str, str]
    ) -> None:
        tenant_id = TenantId.parse(caller.organization_id)
        frozen: list[Any] = []

        def freeze() -> None:
            with database.system() as uow:
                frozen.append(service.freeze_period(uow, tenant_id, FIRST))

        def write() -> None:
            for _ in range(8):
                send(api, producer, [call_of(caller, at=FIRST.start) for _ in range(5)])

        threads = [threading.Thread(target=write) for _ in range(3)] + [threading.Thread(target=freeze)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        with database.system() as uow:
            in_time = service.list_totals(uow, tenant_id, FIRST, frozen[0].cutoff_batch_id)
            late = service.list_late_totals(uow, tenant_id, frozen[0])
            assert requests_of(in_time) + requests_of(late) == 120
            assert service.find_damage(uow) is None

    def test_periods_that_overlap_or_are_not_over_are_refused(
        self, database: Database, caller: Caller
    ) -> None:
        tenant_id = TenantId.parse(caller.organization_id)
        with database.system() as uow:
            service.freeze_period(uow, tenant_id, SECOND)
        for period, error in (
            (BOTH, Conflict),
            (FIRST, Conflict),
            (Period(SECOND.end, SECOND.end + timedelta(days=2)), InvalidInput),
            (Period(SECOND.end - timedelta(minutes=30), SECOND.end), InvalidInput),
        ):
            with pytest.raises(error), database.system() as uow:
                service.freeze_period(uow, tenant_id, period)


class TestMonths:
    def test_months_ahead_have_their_partitions_once(self, database: Database) -> None:
        far = datetime(2031, 5, 17, tzinfo=UTC)
        for _ in range(2):
            with database.system() as uow:
                service.ensure_months(uow, [far, far + timedelta(days=40)])
