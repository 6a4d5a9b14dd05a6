"""Machines without a claim are given back; machines with one are left alone."""

import json
from datetime import UTC, datetime
from pathlib import Path

from operators.lib.access import load_access
from operators.lib.client import KubernetesClient
from operators.lib.clock import SystemClock
from operators.lib.controller import World
from operators.lib.objects import GPU_NODE_POOLS, NODE_CLAIMS, NODES, key_of, uid_of
from operators.lib.store import Store
from operators.nodepool.domain import MachineOrder
from operators.nodepool.providers.process import ProcessProvider
from operators.nodepool.resources import build_claim
from operators.nodepool.sweep import Sweep
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.harness import pool_manifest


def order(uid: str, name: str) -> MachineOrder:
    return MachineOrder(uid, name, name, "sweep", 100, 64, 0, (), (), datetime(2026, 11, 21, tzinfo=UTC))


async def test_only_machines_whose_claim_is_gone_are_swept(
    kubernetes_api: KubernetesApi, tmp_path: Path
) -> None:
    for host in ("a", "b"):
        (tmp_path / host).mkdir()
        offer = {"hostId": host, "cpuMilli": 1000, "memoryMiB": 1024}
        (tmp_path / host / "host.json").write_text(json.dumps(offer))
    async with KubernetesClient(load_access(str(kubernetes_api.kubeconfig))) as client:
        pool = await client.create(GPU_NODE_POOLS, pool_manifest("sweep", 0), manager="test")
        claim = await client.create(NODE_CLAIMS, build_claim(pool, 0), manager="test")
        try:
            provider = ProcessProvider(tmp_path, Store(NODES))
            kept = await provider.launch(order(uid_of(claim), "sweep-0"), frozenset())
            await provider.launch(order("a-claim-that-never-was", "sweep-1"), frozenset())
            # The cache has not seen the claim yet: the API server is asked before anything is taken back.
            sweep = Sweep(Store(NODE_CLAIMS), [provider], World(client, SystemClock(), client.metrics))
            assert await sweep.once(provider) == 1
            assert await provider.list_machines() == (kept,)
            assert await sweep.once(provider) == 0
        finally:
            await client.patch(NODE_CLAIMS, key_of(claim), {"metadata": {"finalizers": None}}, manager="test")
            await client.delete(NODE_CLAIMS, key_of(claim))
            await client.delete(GPU_NODE_POOLS, key_of(pool))
