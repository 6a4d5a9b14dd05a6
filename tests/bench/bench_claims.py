"""Claims from zero to Ready: wall time, CPU of the operator process, writes per claim. Prints JSON.

Run: `python -m tests.bench.bench_claims [--claims 200]`. The nodes are simulated by KWOK and etcd does not
wait for the disk: the figures compare versions of the operators on one machine, and nothing else.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from infra.local.kubernetes import Kubernetes
from operators.lib.access import load_access
from operators.lib.client import KubernetesClient
from operators.lib.objects import GPU_NODE_POOLS, ObjectKey
from tests.operators.harness import pool_manifest, running, settings_for, until, until_quiet

DEADLINE_S = 600.0


async def measure(kubeconfig: Path, claims: int) -> dict[str, Any]:
    """One pool of `claims` nodes, from its creation to its last node, in this process."""
    with tempfile.TemporaryDirectory() as state:
        settings = settings_for(kubeconfig, Path(state))
        async with running(settings) as operator:
            writes_before = await until_quiet(operator)
            cpu_before, started = time.process_time(), time.perf_counter()
            key = ObjectKey("", "bench")
            await operator.client.create(GPU_NODE_POOLS, pool_manifest("bench", claims), manager="bench")

            async def is_ready() -> bool:
                pool = operator.manager.controllers[0].primary.get(key)
                status = (pool or {}).get("status") or {}
                return bool(status.get("readyReplicas") == claims)

            await until(is_ready, "every claim ready", DEADLINE_S)
            wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_before
            writes = await until_quiet(operator) - writes_before
            by_kind = {
                f"{sample.labels['verb']} {sample.labels['resource']}": int(sample.value)
                for metric in operator.client.metrics.api_writes.collect()
                for sample in metric.samples
                if sample.name.endswith("_total")
            }
            idle_before = operator.client.metrics.writes_total()
            idle_cpu = time.process_time()
            for controller in operator.manager.controllers:
                for claim in controller.primary.keys():  # noqa: SIM118
                    controller.enqueue(claim)
            idle_writes = await until_quiet(operator) - idle_before
            resync_cpu_s = time.process_time() - idle_cpu
            await operator.client.delete(GPU_NODE_POOLS, key)

            async def is_gone() -> bool:
                return await operator.client.find(GPU_NODE_POOLS, key) is None

            await until(is_gone, "everything given back", DEADLINE_S)
    return {
        "bench": "claims_zero_to_ready",
        "simulated": True,
        "claims": claims,
        "wall_s": round(wall_s, 2),
        "claims_per_s": round(claims / wall_s, 1),
        "operator_cpu_s": round(cpu_s, 2),
        "operator_cpu_ms_per_claim": round(1000 * cpu_s / claims, 2),
        "writes_per_claim": round(writes / claims, 2),
        "writes": by_kind,
        "resync_writes": idle_writes,
        "resync_cpu_ms_per_key": round(1000 * resync_cpu_s / claims, 2),
        "operator_rss_max_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


async def leave_nothing(kubeconfig: Path) -> int:
    """How many pools are left."""
    async with KubernetesClient(load_access(str(kubeconfig))) as client:
        return len((await client.list(GPU_NODE_POOLS)).items)


def main() -> int:
    """Start a cluster of its own, or use KUBECONFIG; run; print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=int, default=200)
    parser.add_argument("--kubeconfig", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.kubeconfig is not None:
        # A process of its own, so that its CPU and memory are the operator's.
        print(json.dumps(asyncio.run(measure(arguments.kubeconfig, arguments.claims))))
        return asyncio.run(leave_nothing(arguments.kubeconfig))
    with tempfile.TemporaryDirectory() as folder:
        cluster = Kubernetes(Path(folder), is_durable=False)
        kubeconfig = cluster.start()
        try:
            command = [sys.executable, "-m", "tests.bench.bench_claims", f"--kubeconfig={kubeconfig}"]
            command.append(f"--claims={arguments.claims}")
            return subprocess.run(
                command, env=dict(os.environ), timeout=2 * DEADLINE_S, check=False
            ).returncode
        finally:
            cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
