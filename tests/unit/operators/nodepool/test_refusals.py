"""What the API server refuses, at each step, is written to the status in its words. Over HTTP, scripted."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from operators.lib.access import Access
from operators.lib.client import KubernetesClient
from operators.lib.clock import SystemClock
from operators.lib.controller import World
from operators.lib.objects import (
    GPU_NODE_POOLS,
    HOST_QUARANTINES,
    NODE_CLAIMS,
    NODES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    Obj,
    ObjectKey,
)
from operators.lib.store import Store
from operators.nodepool.caches import NODE_INDEX, POOL_INDEX, Caches
from operators.nodepool.claim_controller import ClaimController
from operators.nodepool.metrics import NodePoolMetrics
from operators.nodepool.pool_controller import REFUSED_RETRY_S, PoolController, pool_of
from operators.nodepool.providers.kwok import KwokProvider
from operators.nodepool.teardown import Teardown
from operators.nodepool.views import node_of_pod

SENTENCE = "policy 'house' denied request: not in this cluster"
SPEC = {
    "datacenter": "d", "cell": "c", "provider": {"kind": "kwok"}, "instanceType": "t", "cpuMilli": 1000,
    "memoryMiB": 64, "accelerator": {"sku": "b300", "count": 8},
}  # fmt: skip
MOMENT = "2026-11-27T12:00:00Z"


class Refusing:
    """Stands in for an API server: refuses what begins with one method and path, takes everything else."""

    def __init__(self, method: str, path: str, status: int) -> None:
        self.refused = (method, path)
        self.status = status
        self.bodies: dict[str, Obj] = {}

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else {}
        method, path = self.refused
        if (
            request.method == method
            and request.path.startswith(path)
            and not request.path.endswith("/status")
        ):
            refusal = {"kind": "Status", "code": self.status, "reason": "x", "message": SENTENCE}
            return web.json_response(refusal, status=self.status)
        self.bodies[f"{request.method} {request.path}"] = body
        if request.method == "GET":
            return web.json_response({"metadata": {"resourceVersion": "9"}, "items": []})
        name = request.path.removesuffix("/status").rsplit("/", 1)[-1]
        metadata = {
            "name": name,
            "uid": "u",
            "resourceVersion": "9",
            "generation": 1,
            "creationTimestamp": MOMENT,
        }
        kept = {
            "apiVersion": "rempart.eu/v1alpha1",
            "kind": "NodeClaim",
            "spec": {"poolRef": "p", "ordinal": 0},
        }
        return web.json_response({**kept, **body, "metadata": metadata | body.get("metadata", {})})

    def conditions(self, path: str) -> dict[str, Any]:
        """The conditions of the last status written there, by type."""
        body = self.bodies[f"PATCH {path}/status"]
        return {each["type"]: each for each in body["status"]["conditions"]}


@asynccontextmanager
async def serving(server: Refusing) -> AsyncIterator[World]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    access = Access(f"http://127.0.0.1:{runner.addresses[0][1]}", None, lambda: None)
    try:
        async with KubernetesClient(access) as client:
            yield World(client, SystemClock(), client.metrics)
    finally:
        await runner.cleanup()


def pool(**metadata: Any) -> Obj:
    return {
        "apiVersion": "rempart.eu/v1alpha1",
        "kind": "GPUNodePool",
        "metadata": {
            "name": "p", "uid": "pool", "resourceVersion": "1", "generation": 1, "finalizers": ["rempart.eu/claims"],
            **metadata,
        },
        "spec": {**SPEC, "replicas": 1},
    }  # fmt: skip


def claim(**metadata: Any) -> Obj:
    return {
        "apiVersion": "rempart.eu/v1alpha1",
        "kind": "NodeClaim",
        "metadata": {
            "name": "p-0", "uid": "claim", "resourceVersion": "1", "generation": 1, "creationTimestamp": MOMENT,
            "finalizers": ["rempart.eu/drain"], **metadata,
        },
        "spec": {**SPEC, "poolRef": "p", "ordinal": 0},
    }  # fmt: skip


def node(*, is_checked: bool) -> Obj:
    taints = [] if is_checked else [{"key": "rempart.eu/unvalidated", "effect": "NoSchedule"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "p-0", "uid": "node", "resourceVersion": "1", "annotations": {"rempart.eu/claim-uid": "claim"},
        },
        "spec": {"taints": taints},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"nvidia.com/gpu": "8", "pods": "110"},
        },
    }  # fmt: skip


def caches(*objects: Obj) -> Caches:
    stores = {
        "GPUNodePool": Store(GPU_NODE_POOLS), "NodeClaim": Store(NODE_CLAIMS, {POOL_INDEX: pool_of}),
        "Node": Store(NODES),
    }  # fmt: skip
    for obj in objects:
        stores[obj["kind"]].upsert(obj)
    return Caches(
        pools=stores["GPUNodePool"], claims=stores["NodeClaim"], nodes=stores["Node"], acceptances=Store(PODS),
        pods=Store(PODS, {NODE_INDEX: node_of_pod}), budgets=Store(POD_DISRUPTION_BUDGETS),
        quarantines=Store(HOST_QUARANTINES), system_namespace="rempart-system",
    )  # fmt: skip


def controllers(world: World, found: Caches) -> tuple[PoolController, ClaimController]:
    metrics = NodePoolMetrics(world.metrics.registry)
    providers = {"kwok": KwokProvider(world.client, found.nodes, world.clock.now)}
    teardown = Teardown(found, metrics)
    return PoolController(found, providers, metrics), ClaimController(found, providers, teardown, metrics)


STATUSES = [400, 403, 422, 500, 503]
GROUP = "/apis/rempart.eu/v1alpha1"


def steps() -> Iterator[tuple[str, str, tuple[Obj, ...], str, str]]:
    """What is refused, in which world, and the condition of the claim that says so."""
    yield "POST", "/api/v1/nodes", (pool(), claim()), "Ready", "LaunchRefused"
    yield (
        "POST", "/api/v1/namespaces/rempart-system/pods", (pool(), claim(), node(is_checked=False)), "Ready",
        "AcceptanceRefused",
    )  # fmt: skip
    leaving = claim(deletionTimestamp=MOMENT)
    yield "PATCH", "/api/v1/nodes/p-0", (pool(), leaving, node(is_checked=True)), "Drained", "Draining"
    cordoned = node(is_checked=True)
    cordoned["spec"]["unschedulable"] = True
    yield "DELETE", "/api/v1/nodes/p-0", (pool(), leaving, cordoned), "Ready", "ReleaseFailed"


@pytest.mark.case("F14")
@pytest.mark.case("F15")
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(("method", "path", "objects", "kind", "reason"), list(steps()))
async def test_each_refusal_on_a_claims_way_is_in_its_status_and_tried_again(
    method: str, path: str, objects: tuple[Obj, ...], kind: str, reason: str, status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("operators.lib.client.RETRY_FIRST_S", 0.001)
    server = Refusing(method, path, status)
    async with serving(server) as world:
        _, claims = controllers(world, caches(*objects))
        result = await claims.reconcile(ObjectKey("", "p-0"), world)
    found = server.conditions(f"{GROUP}/nodeclaims/p-0")
    assert (found[kind]["status"], found[kind]["reason"]) == ("False", reason)
    assert SENTENCE in found[kind]["message"]
    assert found["Ready"]["status"] == "False"
    assert result.requeue_after_s is not None
    assert 0 < result.requeue_after_s <= 300


@pytest.mark.case("F14")
@pytest.mark.parametrize("status", STATUSES)
async def test_a_pool_says_why_its_claims_are_refused(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operators.lib.client.RETRY_FIRST_S", 0.001)
    server = Refusing("POST", f"{GROUP}/nodeclaims", status)
    async with serving(server) as world:
        pools, _ = controllers(world, caches(pool()))
        result = await pools.reconcile(ObjectKey("", "p"), world)
    found = server.conditions(f"{GROUP}/gpunodepools/p")
    for kind, expected in (("CapacitySatisfied", "False"), ("Degraded", "True"), ("Ready", "False")):
        assert found[kind]["status"] == expected
    assert found["CapacitySatisfied"]["message"] == found["Degraded"]["message"] == SENTENCE
    assert result.requeue_after_s == REFUSED_RETRY_S
