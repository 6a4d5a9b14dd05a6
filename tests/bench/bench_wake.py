"""How fast a sleeping service wakes: demand published → pod created. Prints JSON.

Real API server, etcd and scheduler, real Redis, the operators as their own process; the nodes are simulated
(KWOK), so no figure here says anything about loading a model. Run: `python -m tests.bench.bench_wake [wakes]`.

Two figures: to the operator's create call (its stamp on the pod, our share of a cold start), and to the moment
this program's watch shows the pod.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from infra.local.cluster_identities import IDENTITIES
from infra.local.kubernetes import Kubernetes
from operators.lib.objects import PODS, Obj
from tests.fixtures.database import running_redis
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.inference.world import Cell, make_cell

WAKES = 100
# Each wakes alone: the one before has settled. Then this many at the same moment.
PARALLEL = 25
WAKE_SECONDS_MAX = 30.0
# More pods than fit on one node of 110.
NODES = 2
GOAL_MS = 50.0
REPOSITORY = Path(__file__).parents[2]


class PodWatch:
    """When this program saw each deployment's first pod."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._seen: dict[str, tuple[datetime, Obj]] = {}
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        start = await self._cell.client.list(PODS, namespace=self._cell.namespace)
        async for event in self._cell.client.watch(
            PODS, revision=start.revision, namespace=self._cell.namespace
        ):
            if event.type != "ADDED":
                continue
            owner = event.object["metadata"]["labels"]["rempart.eu/inference-deployment"]
            async with self._changed:
                self._seen.setdefault(owner, (datetime.now(UTC), event.object))
                self._changed.notify_all()

    async def wait(self, name: str) -> tuple[datetime, Obj]:
        async with asyncio.timeout(WAKE_SECONDS_MAX), self._changed:
            await self._changed.wait_for(lambda: name in self._seen)
        return self._seen[name]


async def wake(cell: Cell, watch: PodWatch, deployment: Obj) -> tuple[float, float]:
    """One wake; milliseconds to the create call and to the pod seen."""
    published_at = datetime.now(UTC)
    await cell.demand(deployment, waiting=1)
    seen_at, pod = await watch.wait(deployment["metadata"]["name"])
    called_at = datetime.fromisoformat(pod["metadata"]["annotations"]["rempart.eu/created-at"])
    return (called_at - published_at).total_seconds() * 1000, (seen_at - published_at).total_seconds() * 1000


def summarise(samples: list[float]) -> dict[str, float]:
    ordered = sorted(samples)
    return {
        "p50": round(statistics.median(ordered), 2),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 2),
        "max": round(ordered[-1], 2),
    }


def report(kind: str, samples: list[tuple[float, float]]) -> dict[str, object]:
    return {
        "kind": kind,
        "wakes": len(samples),
        "demand_to_create_call_ms": summarise([call for call, _ in samples]),
        "demand_to_pod_seen_ms": summarise([seen for _, seen in samples]),
    }


@contextlib.asynccontextmanager
async def operators_running(cell: Cell) -> AsyncIterator[None]:
    environment = {
        **os.environ,
        "KUBECONFIG": str(cell.api.kubeconfigs["rempart-operators"]),
        "REDIS_URL": cell.redis_url,
        "REMPART_STATE_DIR": str(cell.state_dir),
        "REMPART_ENVIRONMENT": "local",
        "REMPART_OPERATOR_LEADER_ELECTION": "false",
    }
    with (cell.state_dir.parent / "operators.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "operators", cwd=REPOSITORY, env=environment, stderr=log, stdout=log
        )
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


async def bench(cell: Cell, wakes: int) -> list[dict[str, object]]:
    for number in range(NODES):
        await cell.create_node(f"node-{number}-{cell.suffix}")
    names = [f"chat-{number:08x}" for number in range(wakes + PARALLEL)]
    scaling = {"concurrencyPerReplica": 4, "idleSeconds": 600}
    deployments = [cell.deployment(name, cpuMilli=100, memoryMiB=64, scaling=scaling) for name in names]
    async with operators_running(cell):
        for deployment in deployments:
            await cell.apply(deployment)
        for deployment in deployments:
            await cell.wait_phase(deployment, "SLEEPING")
        watch = PodWatch(cell)
        watching = asyncio.create_task(watch.run())
        try:
            alone = []
            for deployment in deployments[:wakes]:
                alone.append(await wake(cell, watch, deployment))
                await cell.wait_phase(deployment, "HEALTHY")
            together = await asyncio.gather(*(wake(cell, watch, each) for each in deployments[wakes:]))
        finally:
            watching.cancel()
            await asyncio.wait({watching})
    return [report("alone", alone), report(f"{PARALLEL} at once", list(together))]


async def main(wakes: int) -> None:
    with tempfile.TemporaryDirectory(prefix="rmp-bench-") as folder:
        root = Path(folder)
        cluster = Kubernetes(root / "cluster", is_durable=False)
        kubeconfig = cluster.start()
        try:
            api = KubernetesApi(kubeconfig, {name: cluster.kubeconfig(name) for name in IDENTITIES}, root)
            with running_redis(root) as (redis_url, _):
                async with make_cell(api, redis_url, root / "state") as cell:
                    results = await bench(cell, wakes)
        finally:
            cluster.stop()
    print(
        json.dumps(
            {
                "bench": "wake",
                "nodes": "simulated",
                "etcd": "without fsync",
                "cpus": os.cpu_count(),
                "load_average": os.getloadavg()[0],
                "goal_p99_create_call_ms": GOAL_MS,
                "results": results,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else WAKES))
