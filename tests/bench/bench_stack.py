"""A whole local stack: what each process weighs and costs at rest, and cold starts of the real model. Prints JSON.

Everything is the real thing: API server, scheduler, operators, process node, Envoy, gateway, SmolLM2-135M through
llama.cpp. "Our share" of a cold start is all but `load` and `first_token`, which belong to the engine and the model.

Run: `python -m tests.bench.bench_stack [--wakes 5]`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from controlplane.sdk import Rempart
from tests.bench.common import cpu_seconds, quantiles, rss_mib
from tests.fixtures.tenants import signup_body
from tests.simulation.local_stack import LocalStack, running_stack
from tests.simulation.tenants import operator_of, register_site

T = TypeVar("T")
MODEL = "smollm2-135m-instruct"
SITE = "essonne-1"
REST_SECONDS = 20.0
IDLE_SECONDS = 5
WAIT_SECONDS_MAX = 60.0
POLL_SECONDS = 0.2
OURS = ("queue_ms", "place_ms", "schedule_ms", "start_ms")
STEPS = (*OURS, "load_ms", "first_token_ms", "total_ms")


def wait_for(what: str, probe: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"this did not happen: {what}"
        time.sleep(POLL_SECONDS)


def register_process_node(stack: LocalStack) -> None:
    """The one node that really runs, in its one site."""
    operator = operator_of(stack)
    register_site(operator, SITE, "FR")
    pool = {
        "name": f"{SITE}-process",
        "datacenter": SITE,
        "cell": f"{SITE}-a",
        "provider": "process",
        "instance_type": "process-cpu",
        "cpu_milli": 2000,
        "memory_mib": 4096,
        "watts_per_node": 100,
        "replicas": 1,
    }
    operator.post("/v1/admin/node_pools", pool, "pool")
    wait_for("the process node being accepted", lambda: _ready_nodes(operator.get("/v1/admin/node_pools")))
    operator.close()


def _ready_nodes(pools: dict[str, Any]) -> int:
    return sum(int(pool["ready_nodes"]) for pool in pools["node_pools"])


def deploy(tenant: Rempart, project: str, name: str) -> str:
    app = tenant.apps.create({"name": name, "project_id": project})["id"]
    idle = {"sleep_idle_delay": {"deep_sleep_value": IDLE_SECONDS}}
    definition = {
        "name": name,
        "instance_types": [{"type": "process-cpu"}],
        "scalings": [{"min": 0, "max": 1, "targets": [idle]}],
        "inference": {"model": MODEL},
    }
    service = tenant.services.create({"app_id": app, "definition": definition})["id"]
    tenant.wait_for_service(service, timeout_seconds=WAIT_SECONDS_MAX)
    return str(service)


def is_asleep(tenant: Rempart, service: str) -> bool:
    live = [each for each in tenant.instances.list(service_id=service) if each["status"] != "STOPPED"]
    return not live


def call(stack: LocalStack, key: str) -> bool:
    """One streamed call, held while the model starts; False while the gateway does not know key or route yet."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": 4,
        "stream": True,
    }
    url = stack.environment["REMPART_GATEWAY_URL"] + "/v1/chat/completions"
    response = httpx.post(
        url, json=body, headers={"Authorization": f"Bearer {key}"}, timeout=WAIT_SECONDS_MAX
    )
    assert response.status_code in (200, 401, 404), response.text
    return response.status_code == 200


def wake(stack: LocalStack, tenant: Rempart, key: str, project: str, name: str) -> dict[str, int]:
    """Deploy at zero, call, read the breakdown that the API gives, delete: each start is of its own service."""
    service = deploy(tenant, project, name)
    wait_for("an answer", lambda: call(stack, key) or None)
    seen: list[dict[str, Any]] = []

    def complete() -> dict[str, int] | None:
        seen[:] = tenant.request("GET", f"/v1/services/{service}/cold_starts").json()["cold_starts"]
        if not seen or any(seen[0][step] is None for step in STEPS):
            return None
        return {step: int(seen[0][step]) for step in STEPS}

    try:
        steps = wait_for("the cold start's breakdown", complete)
    except AssertionError as err:
        raise AssertionError(f"{err}: {seen[:2]}") from err
    wait_for("the service sleeping", lambda: is_asleep(tenant, service) or None)
    tenant.services.delete(service)
    wait_for("the service being gone", lambda: tenant.services.get(service)["status"] == "DELETED" or None)
    return steps


def weigh(stack: LocalStack) -> dict[str, Any]:
    """Memory now, and the CPU of REST_SECONDS in which nobody asked for anything, of each program."""
    pids = {name: int(each["pid"]) for name, each in stack.programs().items() if each["pid"]}
    families = {name: [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
                for name, pid in pids.items()}  # fmt: skip
    before = {name: sum(map(cpu_seconds, family)) for name, family in families.items()}
    began = time.monotonic()
    time.sleep(REST_SECONDS)
    took = time.monotonic() - began
    rows = {}
    for name, family in families.items():
        living = [pid for pid in family if psutil.pid_exists(pid)]
        used = sum(map(cpu_seconds, living)) - before[name]
        rows[name] = {
            "rss_mib": round(sum(map(rss_mib, living)), 1),
            "processes": len(living),
            "idle_cpu_percent": round(100 * max(0.0, used) / took, 2),
        }
    return rows


def bench(wakes: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rmp-bench-") as folder:
        began = time.monotonic()
        with running_stack(Path(folder) / "stack") as stack:
            up_seconds = time.monotonic() - began
            register_process_node(stack)
            url = stack.environment["REMPART_API_URL"]
            with Rempart("", url) as anonymous:
                made = anonymous.sign_up(signup_body("bench"))
            key = made["api_key"]["secret"]
            with Rempart(key, url) as tenant:
                project = made["project"]["id"]
                starts = [wake(stack, tenant, key, project, f"bench-{number}") for number in range(wakes)]
            weights = weigh(stack)
    ours = [sum(start[step] for step in OURS) for start in starts]
    return {
        "bench": "stack",
        "simulated": "nothing: real model, real engine, process node instead of a GPU machine",
        "up_seconds": round(up_seconds, 1),
        "cold_starts": len(starts),
        "steps_ms": {step: quantiles([start[step] for start in starts]) for step in STEPS},
        "our_share_ms": quantiles(ours),
        "our_share_percent_of_total": round(100 * sum(ours) / sum(start["total_ms"] for start in starts), 1),
        "idle_rss_mib_total": round(sum(row["rss_mib"] for row in weights.values()), 1),
        "idle_cpu_percent_total": round(sum(row["idle_cpu_percent"] for row in weights.values()), 1),
        "programs": weights,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wakes", type=int, default=5)
    print(json.dumps(bench(parser.parse_args().wakes), indent=1))


if __name__ == "__main__":
    main()
