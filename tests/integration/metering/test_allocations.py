"""GPU intervals: from a cell's reports to billed seconds, one open interval a GPU."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.metering import service
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.tenants import Caller, sign_up
from tests.fixtures.usage import gpu_event, now, producer_headers, send

Send = Callable[[list[dict[str, Any]]], dict[str, Any]]
START = now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)


@pytest.fixture
def caller(api: TestClient) -> Caller:
    return sign_up(api)


@pytest.fixture
def report(api: TestClient, database: Database, settings: Settings) -> Send:
    headers = producer_headers(database, settings)
    return lambda events: send(api, headers, events)


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def event(caller: Caller, phase: str, opened: int, seen: int, **more: Any) -> dict[str, Any]:
    return gpu_event(caller.organization_id, caller.project_id, phase, at(opened), at(seen), **more)


def run_slices(database: Database) -> None:
    with database.system() as uow:
        for source in service.list_sources(uow):
            assert service.slice_source(uow, source) is None


def seconds(database: Database, caller: Caller) -> Decimal:
    tenant_id = TenantId.parse(caller.organization_id)
    period = Period(START - timedelta(days=1), START + timedelta(days=1))
    with database.system() as uow:
        assert service.find_damage(uow) is None
        assert service.find_drift(uow, tenant_id, period) is None
        found = service.list_totals(uow, tenant_id, period, None, granularity="total", group_by=())
    return sum((total.quantity for total in found), Decimal(0))


def states(database: Database, caller: Caller) -> list[tuple[str, str]]:
    tenant_id = TenantId.parse(caller.organization_id)
    with database.tenant(tenant_id) as uow:
        period = Period(START - timedelta(days=1), START + timedelta(days=1))
        found = service.list_allocations(uow, tenant_id, period, offset=0, limit=50)
    return [(each.instance, each.state.value) for each in reversed(found)]


class TestIntervals:
    def test_open_beats_and_close_become_exactly_the_seconds_held(
        self, database: Database, caller: Caller, report: Send
    ) -> None:
        report([event(caller, "open", 0, 1)])
        run_slices(database)
        assert seconds(database, caller) == 1
        report([event(caller, "beat", 0, 31), event(caller, "beat", 0, 61)])
        run_slices(database)
        run_slices(database)
        assert seconds(database, caller) == 61
        report([event(caller, "close", 0, 4_000)])
        run_slices(database)
        assert seconds(database, caller) == 4_000
        assert states(database, caller) == [("chat-pod-1", "closed")]

    def test_only_time_that_was_seen_is_billed_and_silence_ends_an_interval_as_estimated(
        self, database: Database, caller: Caller, report: Send
    ) -> None:
        report([event(caller, "open", 0, 1), event(caller, "beat", 0, 120)])
        run_slices(database)
        assert states(database, caller) == [("chat-pod-1", "estimated")]
        assert seconds(database, caller) == 120
        # The link was down: the cell's spool arrives after all.
        report([event(caller, "beat", 0, 600), event(caller, "close", 0, 610)])
        run_slices(database)
        assert states(database, caller) == [("chat-pod-1", "closed")]
        assert seconds(database, caller) == 610

    def test_an_interval_that_still_reports_stays_open(
        self, database: Database, caller: Caller, report: Send
    ) -> None:
        opened = now() - timedelta(seconds=100)
        ids = (caller.organization_id, caller.project_id)
        report([gpu_event(*ids, "open", opened, opened), gpu_event(*ids, "beat", opened, now())])
        run_slices(database)
        assert states(database, caller) == [("chat-pod-1", "open")]

    def test_a_gpu_has_one_open_interval_whoever_reports(
        self, database: Database, caller: Caller, report: Send
    ) -> None:
        recent = int((now() - START).total_seconds()) - 10
        report([event(caller, "open", 0, recent)])
        report([event(caller, "open", 100, recent, pod="pod-2")])
        run_slices(database)
        assert states(database, caller) == [("chat-pod-1", "estimated"), ("chat-pod-2", "open")]
        # [0, 100) is the first one's, the rest the second one's: no second is billed twice.
        assert seconds(database, caller) == recent
        with pytest.raises(IntegrityError, match="uq_gpu_allocation_open"), database.system() as uow:
            uow.session.execute(text("UPDATE gpu_allocation SET state = 'open', ended_at = NULL"))

    def test_gpu_seconds_are_told_apart_by_country(
        self, database: Database, caller: Caller, report: Send
    ) -> None:
        for pod, country in (("pod-1", "FR"), ("pod-2", "SE")):
            reports = [event(caller, phase, 0, 60, pod=pod, gpu=int(pod[-1])) for phase in ("open", "close")]
            for each in reports:
                each["data"].update(country=country, datacenter=f"site-{country.lower()}")
            report(reports)
        run_slices(database)
        period = Period(START - timedelta(days=1), START + timedelta(days=1))
        with database.system() as uow:
            tenant_id = TenantId.parse(caller.organization_id)
            found = service.list_totals(
                uow, tenant_id, period, None, granularity="total", group_by=("country", "datacenter")
            )
        assert sorted((dict(total.dimensions)["country"], total.quantity) for total in found) == [
            ("FR", 60), ("SE", 60),
        ]  # fmt: skip

    def test_an_end_before_what_was_billed_takes_the_rest_back(
        self, database: Database, caller: Caller, report: Send
    ) -> None:
        report([event(caller, "open", 0, 1), event(caller, "beat", 0, 7_300)])
        run_slices(database)
        assert seconds(database, caller) == 7_300
        report([event(caller, "close", 0, 3_000)])
        run_slices(database)
        assert seconds(database, caller) == 3_000

    def test_a_replaced_writer_is_not_believed_about_the_time_since(
        self, database: Database, caller: Caller, report: Send
    ) -> None:
        report([event(caller, "open", 0, 1, epoch=10)])
        report([event(caller, "beat", 0, 300, epoch=20)])
        answer = report([
            event(caller, "close", 0, 400, epoch=10),
            event(caller, "beat", 0, 200, epoch=10),
            event(caller, "beat", 0, 500, epoch=20),
        ])  # fmt: skip
        assert [item["result"] for item in answer["results"]] == ["rejected", "accepted", "accepted"]
        run_slices(database)
        assert seconds(database, caller) == 500

    def test_a_beat_said_again_a_moment_later_is_a_duplicate_and_no_conflict(
        self, caller: Caller, report: Send
    ) -> None:
        report([event(caller, "open", 0, 1), event(caller, "beat", 0, 61)])
        answer = report([event(caller, "beat", 0, 64, sequence=2)])
        assert answer["results"][0]["result"] == "duplicate"


class TestOrder:
    @pytest.mark.parametrize("seed", range(6))
    def test_any_order_and_grouping_of_reports_and_slices_gives_the_same_seconds(
        self, database: Database, caller: Caller, report: Send, seed: int
    ) -> None:
        import random

        chance = random.Random(seed)
        reports = []
        for gpu in range(2):
            for pod, (start, end) in enumerate([(0, 1_900), (1_900, 3_700), (5_000, 9_000)]):
                name = f"pod-{gpu}-{pod}"
                beats = [
                    event(caller, "beat", start, s, pod=name, gpu=gpu) for s in range(start + 30, end, 600)
                ]
                ends = event(caller, "close", start, end, pod=name, gpu=gpu)
                reports += [event(caller, "open", start, start, pod=name, gpu=gpu), *beats, ends]
        reports += chance.sample(reports, 8)
        chance.shuffle(reports)
        while reports:
            count = chance.randint(1, 9)
            report(reports[:count])
            reports = reports[count:]
            if chance.random() < 0.4:
                run_slices(database)
        run_slices(database)
        assert seconds(database, caller) == 2 * (3_700 + 4_000)
