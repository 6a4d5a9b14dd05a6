"""A cell per test: real API server, real scheduler, simulated nodes, real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.inference.world import Cell, make_cell


@pytest.fixture
async def cell(kubernetes_api: KubernetesApi, redis_url: str, tmp_path: Path) -> AsyncIterator[Cell]:
    async with make_cell(kubernetes_api, redis_url, tmp_path / "state") as made:
        await made.create_node(f"node-{made.suffix}")
        yield made
