"""Spool to sums over real processes and sockets, killed at any point: each event once."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from fastapi.testclient import TestClient

from controlplane.entrypoints.api import create_app
from controlplane.gateway.metrics import Metrics
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.metering import service
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.spool.segments import Spool, list_segments, segment_path
from controlplane.spool.shipper import UNREADABLE, Counts, IngestTarget, Shipper
from operators.allocation.reconcile import SEGMENTS_KEPT
from operators.lib.metrics import Metrics as OperatorMetrics
from tests.fixtures.database import TEST_PEPPER, DatabaseUrls, free_port
from tests.fixtures.door import served
from tests.fixtures.tenants import Caller, sign_up
from tests.fixtures.usage import call_of, gpu_event, now, producer_key

REPOSITORY = Path(__file__).resolve().parents[3]
DEADLINE_SECONDS = 90
# Small segments, so that shipped ones are dropped while others are still written to.
SEGMENT_BYTES = 40_000


@contextmanager
def running(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.01)


class Rig:
    """The API as a process of its own, and a spool with its shipper."""

    def __init__(self, urls: DatabaseUrls, redis_url: str, folder: Path, secret: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.key_file = folder / "key"
        self.key_file.write_text(secret)
        self.environment = {
            "REMPART_ENVIRONMENT": "local",
            "REMPART_DATABASE_URL": urls.app,
            "REMPART_SYSTEM_DATABASE_URL": urls.system,
            "REDIS_URL": redis_url,
            "REMPART_KEY_PEPPER": TEST_PEPPER,
            "REMPART_API_PORT": str(self.port),
        }

    @contextmanager
    def api(self) -> Iterator[None]:
        with running(["-m", "controlplane.entrypoints.api"], self.environment):
            wait_for(self._answers, "the API")
            yield

    def shipper(self, kind: str) -> Any:
        program = str(Path(__file__).with_name("ship.py"))
        return running([program, kind, str(self.folder), self.url, str(self.key_file)], {})

    def cursor(self) -> bytes:
        # Not the hidden draft that becomes it by rename.
        found = sorted((self.folder / "state").glob("[!.]*cursor.json"))
        return found[0].read_bytes() if found else b""

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture
def caller(api: TestClient) -> Caller:
    return sign_up(api)


@pytest.fixture
def rig(
    database: Database, settings: Settings, database_urls: DatabaseUrls, redis_url: str, tmp_path: Path
) -> Rig:
    return Rig(database_urls, redis_url, tmp_path, producer_key(database, settings))


def ship_over_kills(rig: Rig, kind: str, is_done: Callable[[], bool], seed: int) -> None:
    """Kill the shipper after a few steps, again and again; kill the API in between."""
    chance = random.Random(seed)
    print(f"seed {seed}")
    for _ in range(2):
        with rig.api():
            for _kill in range(3):
                with rig.shipper(kind):
                    before = rig.cursor()
                    steps = chance.randint(1, 4)
                    for _step in range(steps):
                        wait_for(lambda held=before: rig.cursor() != held or is_done(), "a step")  # type: ignore[misc]
                        before = rig.cursor()
            with rig.shipper(kind):
                # The API goes away with a request in flight, if there still is one.
                before = rig.cursor()
                wait_for(lambda held=before: rig.cursor() != held or is_done(), "a step")  # type: ignore[misc]
    with rig.api(), rig.shipper(kind):
        wait_for(is_done, "everything counted")


class TestKills:
    def test_every_spooled_call_is_counted_once_whatever_is_killed(
        self, rig: Rig, database: Database, caller: Caller
    ) -> None:
        spool = Spool(rig.folder / "spool", segment_bytes_max=SEGMENT_BYTES)
        events = [call_of(caller, output_tokens=n % 7) for n in range(2_000)]
        # The last two make the door refuse their whole batch: the good ones around them must not wait for it.
        poison = [
            call_of(caller, output_tokens=-1),
            {**call_of(caller), "time": "0001-01-01T00:00:00+14:00"},
            call_of(caller, model="a\x00b"),
        ]
        for start in range(0, len(events), 100):
            spool.append(events[start : start + 100])
            if start % 500 == 0:
                spool.append(poison)
                with segment_path(rig.folder / "spool", list_segments(rig.folder / "spool")[-1]).open(
                    "ab"
                ) as torn:
                    torn.write(b'{"no":"json"\n')
        spool.close()
        tenant_id = TenantId.parse(caller.organization_id)
        day = Period(_hour() - timedelta(hours=3), _hour() + timedelta(hours=3))

        def counted() -> dict[str, Decimal]:
            with database.system() as uow:
                found = service.list_totals(uow, tenant_id, day, None, granularity="total", group_by=())
            return {total.meter: total.quantity for total in found}

        refused = rig.folder / "state" / "usage-refused.jsonl"
        ship_over_kills(
            rig, "usage", lambda: counted().get("requests") == 2_000 and refused.exists(), seed=11
        )
        tokens = sum(n % 7 for n in range(2_000))
        assert counted() == {"requests": 2_000, "input_tokens": 24_000, "output_tokens": tokens}
        reasons: dict[str, set[str]] = {}
        for kept in map(orjson.loads, refused.read_bytes().splitlines()):
            line = kept["line"]
            if kept["reason"] == UNREADABLE:
                assert line == '{"no":"json"'
                continue
            reasons.setdefault(orjson.loads(line)["id"], set()).add(kept["reason"])
        # A start of the writer may have met the damage before the shipper did.
        damaged = rig.folder / "spool" / "damaged.log"
        aside = refused.read_bytes() + (damaged.read_bytes() if damaged.exists() else b"")
        assert aside.count(b"no") >= 4
        assert reasons == {
            poison[0]["id"]: {"rejected: data.output_tokens must lie between 0 and 1000000000."},
            poison[1]["id"]: {"rejected: time must be an RFC 3339 time with its offset."},
            poison[2]["id"]: {"answered 422: A text must not hold the character U+0000."},
        }
        assert len(list((rig.folder / "spool").glob("*.jsonl"))) == 1, (
            "shipped segments are gone but the last"
        )
        with database.system() as uow:
            assert service.find_damage(uow) is None
            assert service.find_drift(uow, tenant_id, day) is None

    def test_every_gpu_second_is_counted_once_whatever_is_killed(
        self, rig: Rig, database: Database, caller: Caller
    ) -> None:
        opened, ids = _hour() - timedelta(hours=2), (caller.organization_id, caller.project_id)
        with Spool(rig.folder / "spool", segment_bytes_max=SEGMENT_BYTES, kept=SEGMENTS_KEPT) as spool:
            for gpu in range(8):
                pod = f"pod-{gpu}"
                end = opened + timedelta(minutes=50, seconds=gpu)
                beats = [opened + timedelta(seconds=30 * n) for n in range(1, 100)]
                lines = [gpu_event(*ids, "open", opened, opened, pod=pod, gpu=gpu)]
                lines += [gpu_event(*ids, "beat", opened, at, pod=pod, gpu=gpu) for at in beats]
                # The door refuses every batch that this one is in.
                lines.insert(20, gpu_event(*ids, "beat", opened, opened, pod=f"{pod}\x00", gpu=gpu))
                spool.append([*lines, gpu_event(*ids, "close", opened, end, pod=pod, gpu=gpu)])
        tenant_id = TenantId.parse(caller.organization_id)
        day = Period(_hour() - timedelta(hours=3), _hour() + timedelta(hours=3))
        expected = sum(50 * 60 + gpu for gpu in range(8))

        def seconds() -> Decimal:
            with database.system() as uow:
                for source in service.list_sources(uow):
                    service.slice_source(uow, source)
            with database.system() as uow:
                found = service.list_totals(uow, tenant_id, day, None, granularity="total", group_by=())
            return sum((total.quantity for total in found), Decimal(0))

        ship_over_kills(rig, "allocation", lambda: seconds() == expected, seed=12)
        assert seconds() == expected
        refused = (rig.folder / "state" / "allocation-refused.jsonl").read_text()
        assert all(f"pod-{gpu}\\\\u0000" in refused for gpu in range(8))
        assert refused.count("U+0000") == refused.count("\n")
        with database.system() as uow:
            assert service.find_damage(uow) is None
            assert service.find_drift(uow, tenant_id, day) is None


class TestCounts:
    def test_what_is_set_aside_is_counted_for_an_alert(
        self, settings: Settings, database: Database, caller: Caller, tmp_path: Path
    ) -> None:
        key = producer_key(database, settings)
        spool = Spool(tmp_path / "calls")
        spool.append([call_of(caller), call_of(caller, model="\x00"), call_of(caller)])
        opened, ids = _hour() - timedelta(hours=2), (caller.organization_id, caller.project_id)
        with Spool(tmp_path / "gpus") as held, served(create_app(settings, database)) as url:
            held.append(
                [gpu_event(*ids, "open", opened, opened), gpu_event(*ids, "open", opened, opened, pod="\x00")]
            )
            usage, allocations = Metrics(), OperatorMetrics()
            target, labels = IngestTarget(url, key), {"spool": "allocation"}
            usage_counts = Counts(usage.usage_shipped, usage.usage_set_aside, usage.usage_not_taken)
            gpu_counts = Counts(
                *(
                    each.labels("allocation")
                    for each in (
                        allocations.usage_shipped,
                        allocations.usage_set_aside,
                        allocations.usage_not_taken,
                    )
                )
            )
            shippers = (
                Shipper(
                    tmp_path / "calls",
                    tmp_path / "a",
                    "usage",
                    target,
                    lambda: spool.durable,
                    counts=usage_counts,
                ),
                Shipper(
                    tmp_path / "gpus",
                    tmp_path / "b",
                    "allocation",
                    target,
                    lambda: held.durable,
                    counts=gpu_counts,
                ),
            )

            async def ship() -> None:
                async with aiohttp.ClientSession() as session:
                    for shipper in shippers:
                        for _ in range(10):
                            await shipper.step(session)

            asyncio.run(ship())
        spool.close()
        counted = {
            name: usage.registry.get_sample_value(f"rempart_gateway_usage_{name}_total")
            for name in ("shipped", "set_aside", "not_taken")
        }
        assert counted == {"shipped": 3, "set_aside": 1, "not_taken": 0}
        assert allocations.registry.get_sample_value("rempart_operator_usage_shipped_total", labels) == 2
        assert allocations.registry.get_sample_value("rempart_operator_usage_set_aside_total", labels) == 1


def _hour() -> Any:
    return now().replace(minute=0, second=0, microsecond=0)
