"""A pool of process hosts: the real node program joins, really runs the acceptance check, and goes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from operators.lib.access import load_access
from operators.lib.client import KubernetesClient
from operators.lib.objects import GPU_NODE_POOLS
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.harness import (
    claims_of,
    create_pool,
    delete_pool,
    nodes_of,
    pool_manifest,
    running,
    scale,
    settings_for,
    until,
    until_ready,
)

STOP_S = 20


@asynccontextmanager
async def process_host(kubernetes_api: KubernetesApi, hosts: Path, state: Path) -> AsyncIterator[None]:
    """One host program beside the test."""
    command = [
        sys.executable, "-m", "infra.local.processnode", "--host-id", "test-1",
        "--kubeconfig", str(kubernetes_api.kubeconfigs["process-node"]),
        "--hosts-dir", str(hosts), "--state-dir", str(state),
    ]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_S)
        finally:
            process.kill()
            process.wait()


async def test_a_process_host_is_checked_for_real_joins_and_is_given_back(
    kubernetes_api: KubernetesApi, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.mkdir()
    settings = settings_for(
        kubernetes_api.kubeconfigs["rempart-operators"], tmp_path, process_hosts_dir=hosts
    )
    shape = {
        "provider": {"kind": "process"}, "instanceType": "cpu-small", "cpuMilli": 500, "memoryMiB": 256,
    }  # fmt: skip
    manifest = pool_manifest("hosts", 2, **shape)
    del manifest["spec"]["accelerator"]
    async with (
        KubernetesClient(load_access(str(kubernetes_api.kubeconfig))) as admin,
        process_host(kubernetes_api, hosts, tmp_path / "state"),
        running(settings),
    ):
        pool = await create_pool(admin, manifest)

        async def waits_for_capacity() -> bool:
            status = (await admin.get(GPU_NODE_POOLS, pool)).get("status") or {}
            reasons = {c["type"]: c["reason"] for c in status.get("conditions") or []}
            return status.get("readyReplicas") == 1 and reasons.get("CapacitySatisfied") == "NoCapacity"

        await until(waits_for_capacity, "one host works, the second claim waits")
        await scale(admin, pool, 1)
        ready = await until_ready(admin, pool, 1)
        assert ready["status"]["simulated"] is False
        (claim,) = (await claims_of(admin, pool)).values()
        results = {check["name"]: check["result"] for check in claim["status"]["acceptance"]["checks"]}
        assert "passed" in results.values()
        assert "simulated" not in results.values()
        (node,) = (await nodes_of(admin, pool)).values()
        assert node["spec"]["providerID"] == claim["status"]["providerID"] == "process://test-1"
        assert not [taint for taint in node["spec"].get("taints") or [] if "rempart.eu/" in taint["key"]]
        await delete_pool(admin, pool)
        assert not list(hosts.glob("*/assignment.json"))
