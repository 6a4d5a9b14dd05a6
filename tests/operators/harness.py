"""Runs operators against the session's real API server, and waits on what the API server says."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from operators import nodepool
from operators.lib.access import load_access
from operators.lib.client import KubernetesClient
from operators.lib.manager import Manager
from operators.lib.objects import GPU_NODE_POOLS, NODE_CLAIMS, NODES, Obj, ObjectKey
from operators.lib.settings import OperatorSettings, read_settings

# A loaded machine is slow; a test that waits longer than this has found a defect.
DEADLINE_S = 60.0
POLL_S = 0.1
# Nothing may be written for this long before an operator counts as idle.
QUIET_S = 2.0


def settings_for(kubeconfig: Path, state_dir: Path, **changes: Any) -> OperatorSettings:
    """Settings of an operator under test, without election unless asked for."""
    settings = read_settings({"REMPART_ENVIRONMENT": "local", "KUBECONFIG": str(kubeconfig)})
    return replace(settings, **{"state_dir": state_dir, "is_leader_election_on": False, **changes})


@dataclass
class Running:
    """A started operator. `kill` cancels it between two awaits, as a crash would."""

    manager: Manager
    client: KubernetesClient
    task: "asyncio.Task[None]"
    stop: asyncio.Event

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


@asynccontextmanager
async def running(
    settings: OperatorSettings, setup: Callable[[Manager], None] = nodepool.setup
) -> AsyncIterator[Running]:
    """An operator that runs inside the block."""
    async with KubernetesClient(load_access(settings.kubeconfig), qps=settings.qps) as client:
        manager = Manager(client, settings)
        setup(manager)
        stop = asyncio.Event()
        task = asyncio.create_task(manager.run(stop))
        try:
            yield Running(manager, client, task, stop)
        finally:
            stop.set()
            done, _ = await asyncio.wait({task}, timeout=DEADLINE_S)
            assert done, "the operator did not stop"
            if not task.cancelled():
                task.result()


async def until(check: Callable[[], Awaitable[Any]], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until `check` returns something true and return it."""
    end = time.monotonic() + deadline_s
    while True:
        value = await check()
        if value:
            return value
        assert time.monotonic() < end, f"not within {deadline_s:.0f} s: {what}"
        await asyncio.sleep(POLL_S)


async def until_quiet(operator: Running) -> float:
    """Wait until the operator has written nothing for QUIET_S; writes so far."""
    end = time.monotonic() + DEADLINE_S
    writes, since = operator.client.metrics.writes_total(), time.monotonic()
    while time.monotonic() - since < QUIET_S or not operator.manager.is_idle:
        assert time.monotonic() < end, "the operator never came to rest"
        await asyncio.sleep(POLL_S)
        current = operator.client.metrics.writes_total()
        if current != writes:
            writes, since = current, time.monotonic()
    return writes


def pool_manifest(name: str, replicas: int, **spec: Any) -> Obj:
    """A pool of simulated eight-GPU nodes."""
    return {
        "apiVersion": "rempart.eu/v1alpha1",
        "kind": "GPUNodePool",
        "metadata": {"name": name},
        "spec": {
            "datacenter": "essonne-1",
            "cell": "essonne-1a",
            "provider": {"kind": "kwok"},
            "instanceType": "gpu-8x-b300",
            "accelerator": {"sku": "b300", "count": 8},
            "cpuMilli": 128_000,
            "memoryMiB": 2_097_152,
            "replicas": replicas,
            **spec,
        },
    }


async def create_pool(client: KubernetesClient, manifest: Obj) -> ObjectKey:
    """Create the pool as the control plane would."""
    await client.create(GPU_NODE_POOLS, manifest, manager="rempart-controlplane")
    return ObjectKey("", manifest["metadata"]["name"])


async def scale(client: KubernetesClient, pool: ObjectKey, replicas: int) -> None:
    """Change how many nodes are wanted."""
    await client.patch(GPU_NODE_POOLS, pool, {"spec": {"replicas": replicas}}, manager="rempart-controlplane")


async def until_ready(client: KubernetesClient, pool: ObjectKey, replicas: int) -> Obj:
    """Wait until the pool says that exactly `replicas` nodes take work."""

    async def check() -> Obj | None:
        found = await client.get(GPU_NODE_POOLS, pool)
        status = found.get("status") or {}
        is_current = status.get("observedGeneration") == found["metadata"]["generation"]
        is_there = (status.get("readyReplicas"), status.get("replicas")) == (replicas, replicas)
        return found if is_current and is_there else None

    result: Obj = await until(check, f"{pool} ready with {replicas}")
    return result


async def claims_of(client: KubernetesClient, pool: ObjectKey) -> dict[str, Obj]:
    """The pool's claims by name."""
    found = await client.list(NODE_CLAIMS, label_selector=f"rempart.eu/node-pool={pool.name}")
    return {claim["metadata"]["name"]: claim for claim in found.items}


async def nodes_of(client: KubernetesClient, pool: ObjectKey) -> dict[str, Obj]:
    """The pool's nodes by name."""
    found = await client.list(NODES, label_selector=f"rempart.eu/node-pool={pool.name}")
    return {node["metadata"]["name"]: node for node in found.items}


async def delete_pool(client: KubernetesClient, pool: ObjectKey) -> None:
    """Delete the pool and wait until nothing of it is left. An operator must be running."""
    await client.delete(GPU_NODE_POOLS, pool)

    async def is_gone() -> bool:
        return (
            await client.find(GPU_NODE_POOLS, pool) is None
            and not await claims_of(client, pool)
            and not await nodes_of(client, pool)
        )

    await until(is_gone, f"{pool} and all of its claims and nodes gone")
