"""A pool that the control plane keeps, with the guard in force: its operator works, other hands are refused."""

import json
from collections.abc import AsyncIterator

import pytest

from operators.lib.access import load_access
from operators.lib.client import KubernetesClient
from operators.lib.objects import GPU_NODE_POOLS, ObjectKey
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.harness import (
    Running,
    create_pool,
    nodes_of,
    pool_manifest,
    scale,
    until,
    until_ready,
)

KEPT = {"app.kubernetes.io/managed-by": "rempart"}


@pytest.fixture
async def control_plane(kubernetes_api: KubernetesApi) -> AsyncIterator[KubernetesClient]:
    """A client with the control plane's own identity."""
    async with KubernetesClient(
        load_access(str(kubernetes_api.kubeconfigs["rempart-controlplane"]))
    ) as client:
        yield client


@pytest.mark.case("F3")
async def test_the_guard_lets_the_operator_and_the_control_plane_do_their_work(
    operator: Running, control_plane: KubernetesClient, admin: KubernetesClient, kubernetes_api: KubernetesApi
) -> None:
    manifest = pool_manifest("kept", 2)
    manifest["metadata"]["labels"] = KEPT
    pool = await create_pool(control_plane, manifest)
    await until_ready(control_plane, pool, 2)

    async def refuses(*command: str) -> bool:
        done = kubernetes_api.try_kubectl(*command, "--dry-run=server")
        return done.returncode != 0 and "rempart admin pools" in done.stderr

    for command in (
        ("delete", "gnp/kept", "--wait=false"),
        ("delete", "gnp", "--all", "--wait=false"),
        ("delete", "gnp", "-l", "app.kubernetes.io/managed-by=rempart", "--wait=false"),
        ("scale", "gnp/kept", "--replicas=0"),
        ("patch", "gnp/kept", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":0}}'),
    ):
        await until(lambda command=command: refuses(*command), f"{command} is refused")  # type: ignore[misc]
    # One machine is replaced by kubectl as before. Without waiting: the operator runs in this very process.
    kubernetes_api.kubectl("delete", "nc/kept-1", "--wait=false")
    await until_ready(control_plane, pool, 2)
    await scale(control_plane, pool, 1)
    await until_ready(control_plane, pool, 1)
    await control_plane.delete(GPU_NODE_POOLS, pool)

    async def is_gone() -> bool:
        return await admin.find(GPU_NODE_POOLS, pool) is None and not await nodes_of(admin, pool)

    await until(is_gone, "the pool and its nodes are gone")


@pytest.mark.case("F3")
async def test_nobody_else_marks_a_pool_as_the_control_planes(
    admin: KubernetesClient, kubernetes_api: KubernetesApi
) -> None:
    own = await create_pool(admin, pool_manifest("unmarked", 0))
    label = ("label", "gnp/unmarked", "app.kubernetes.io/managed-by=rempart")
    made = pool_manifest("forged", 0)
    made["metadata"]["labels"] = KEPT
    make = ("create", "-f", "-")

    async def is_refused() -> bool:
        done = kubernetes_api.try_kubectl(*label, "--dry-run=server")
        return done.returncode != 0 and "rempart admin pools add" in done.stderr

    await until(is_refused, "the mark is refused")
    refused = kubernetes_api.try_kubectl(*make, stdin=json.dumps(made))
    assert refused.returncode
    assert "rempart admin pools add" in refused.stderr
    assert await admin.find(GPU_NODE_POOLS, ObjectKey("", "forged")) is None
    # Who restores such a pool by hand says so.
    made["metadata"]["annotations"] = {"rempart.eu/break-glass": "restore"}
    kubernetes_api.kubectl(*make, stdin=json.dumps(made))
    for pool in (own, ObjectKey("", "forged")):
        await admin.delete(GPU_NODE_POOLS, pool)
