"""kill -9 of the operator at its worst moments: nothing doubled, nothing lost, no replica stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from controlplane.spool.segments import list_segments, read_segment, segment_path
from operators.lib.objects import PODS, ObjectKey
from tests.operators.inference.world import Cell, eventually

REPOSITORY = Path(__file__).parents[3]


@contextlib.asynccontextmanager
async def operator_process(cell: Cell) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        **os.environ,
        "KUBECONFIG": str(cell.api.kubeconfigs["rempart-operators"]),
        "REDIS_URL": cell.redis_url,
        "REMPART_STATE_DIR": str(cell.state_dir),
        "REMPART_ENVIRONMENT": "local",
        "REMPART_OPERATOR_LEADER_ELECTION": "false",
        "REMPART_CELL": "cell-1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "operators", cwd=REPOSITORY, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), 20)


async def kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


class TestKill:
    async def test_killed_while_waking_leaves_one_pod_and_its_successor_finishes(self, cell: Cell) -> None:
        deployment = cell.deployment()
        async with operator_process(cell) as first:
            await cell.apply(deployment)
            await cell.wait_phase(deployment, "SLEEPING")
            await cell.demand(deployment, waiting=1)

            async def is_created() -> bool:
                return bool(await cell.pods())

            await eventually(is_created, "a pod")
            await kill(first)
        (pod,) = await cell.pods()
        async with operator_process(cell), cell.under_demand(deployment, waiting=1):
            (endpoint,) = await cell.wait_endpoints(deployment, 1)
            await cell.wait_phase(deployment, "HEALTHY")
            assert [each["metadata"]["uid"] for each in await cell.pods()] == [pod["metadata"]["uid"]]
            assert endpoint["instance"] == pod["metadata"]["name"]

    async def test_killed_while_gpus_are_held_keeps_one_interval_per_gpu(self, cell: Cell) -> None:
        deployment = cell.deployment(
            replicas={"min": 1, "max": 1}, accelerator={"sku": "b300", "count": 8}, drainSeconds=0
        )
        directory = cell.state_dir / "spool" / "allocation"

        async def spooled(phase: str, count: int) -> list[str] | None:
            if not directory.exists():
                return None  # The operator has not started; to list a folder that is gone is an error.
            events = [
                event
                for number in list_segments(directory)
                for event in read_segment(segment_path(directory, number))
            ]
            mine = [each for each in events if each["data"]["node"] == f"node-{cell.suffix}"]
            ids = [each["id"] for each in mine if each["data"]["phase"] == phase]
            return ids if len(ids) >= count else None

        async with operator_process(cell) as first:
            await cell.apply(deployment)
            await eventually(lambda: spooled("open", 8), "8 open intervals")
            await cell.wait_phase(deployment, "HEALTHY")
            await kill(first)
        (pod,) = await cell.pods()
        with segment_path(directory, list_segments(directory)[-1]).open("ab") as segment:
            segment.write(b'{"specversion":"1.0","id":"torn')
        async with operator_process(cell):
            key = ObjectKey(cell.namespace, pod["metadata"]["name"])
            await cell.client.delete(PODS, key, grace_s=0)
            closed = await eventually(lambda: spooled("close", 8), "8 closed intervals")
            opened = await eventually(lambda: spooled("open", 16), "8 intervals of the replacement")
        uid = pod["metadata"]["uid"]
        assert sorted(closed) == sorted(f"{uid}/{index}/close/0" for index in range(8))
        assert len(opened) == len(set(opened)) == 16
