"""GPUNodePool → NodeClaim → Node on a real API server with nodes that KWOK plays."""

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from operators.lib.objects import GPU_NODE_POOLS, NODE_CLAIMS, NODES, PODS, ObjectKey, Resource
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.harness import (
    Running,
    claims_of,
    create_pool,
    delete_pool,
    nodes_of,
    pool_manifest,
    running,
    scale,
    settings_for,
    until,
    until_quiet,
    until_ready,
)

SYSTEM = "rempart-system"


async def test_a_pool_of_four_simulated_nodes_reaches_ready_and_leaves_nothing(
    operator: Running, admin: Any
) -> None:
    pool = await create_pool(admin, pool_manifest("four", 4))
    ready = await until_ready(admin, pool, 4)
    assert ready["status"]["simulated"] is True
    assert ready["status"]["phases"] == {"Ready": 4}
    assert {c["type"]: c["status"] for c in ready["status"]["conditions"]} == {
        "CapacitySatisfied": "True", "UpToDate": "True", "Degraded": "False", "Ready": "True",
    }  # fmt: skip
    claims, nodes = await claims_of(admin, pool), await nodes_of(admin, pool)
    assert set(claims) == set(nodes) == {"four-0", "four-1", "four-2", "four-3"}
    for name, node in nodes.items():
        labels, taints = node["metadata"]["labels"], node["spec"]["taints"]
        assert labels["rempart.eu/simulated"] == "true"
        assert labels["topology.kubernetes.io/zone"] == "essonne-1"
        assert labels["rempart.eu/accelerator"] == "b300"
        assert {"key": "rempart.eu/simulated", "value": "true", "effect": "NoSchedule"} in taints
        assert not [taint for taint in taints if taint["key"] == "rempart.eu/unvalidated"]
        assert node["status"]["allocatable"]["nvidia.com/gpu"] == "8"
        status = claims[name]["status"]
        assert status["acceptance"]["checks"][0]["result"] == "simulated"
        assert status["providerID"] == node["spec"]["providerID"] == f"kwok://{name}"
    await delete_pool(admin, pool)
    pods = await admin.list(PODS, namespace=SYSTEM, label_selector="rempart.eu/node-pool=four")
    assert pods.items == []


async def test_idle_operator_makes_no_writes(operator: Running, admin: Any) -> None:
    pool = await create_pool(admin, pool_manifest("idle", 3))
    await until_ready(admin, pool, 3)
    writes = await until_quiet(operator)
    for controller in operator.manager.controllers:
        for key in controller.primary.keys():  # noqa: SIM118
            controller.enqueue(key)
    assert await until_quiet(operator) == writes
    await delete_pool(admin, pool)


async def test_a_claim_costs_at_most_eight_writes_up(operator: Running, admin: Any) -> None:
    await until_quiet(operator)
    before = operator.client.metrics.writes_total(has_events=False)
    pool = await create_pool(admin, pool_manifest("cost", 10))
    await until_ready(admin, pool, 10)
    await until_quiet(operator)
    writes = operator.client.metrics.writes_total(has_events=False) - before
    assert writes <= 8 * 10 + 10, writes
    await delete_pool(admin, pool)


async def test_scaling_down_keeps_the_lowest_ordinals_and_drains_first(operator: Running, admin: Any) -> None:
    pool = await create_pool(admin, pool_manifest("shrink", 3))
    await until_ready(admin, pool, 3)
    labels = {"app": "shrink-guest"}
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "shrink-guest", "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
    }
    budgets = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True)
    await admin.create(budgets, budget, manager="test")
    guest = {
        "metadata": {"name": "guest", "namespace": "default", "labels": labels},
        "spec": {
            "nodeName": "shrink-2",
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "c", "image": "example.org/c:1"}],
        },
    }
    guest_key = ObjectKey("default", "guest")
    await admin.create(PODS, guest, manager="test")

    async def is_running() -> bool:
        return (await admin.get(PODS, guest_key))["status"].get("phase") == "Running"

    async def is_budget_known() -> bool:
        status = (await admin.get(budgets, ObjectKey("default", "shrink-guest"))).get("status") or {}
        return bool(status.get("currentHealthy") == 1)

    await until(is_running, "guest running")
    await until(is_budget_known, "the budget counts the guest")
    await scale(admin, pool, 2)

    async def is_draining() -> bool:
        claim = (await claims_of(admin, pool)).get("shrink-2")
        return claim is not None and (claim.get("status") or {}).get("phase") == "Draining"

    await until(is_draining, "shrink-2 draining")
    node = await admin.get(NODES, ObjectKey("", "shrink-2"))
    assert node["spec"]["unschedulable"] is True
    # The budget still protects the guest: it runs, and its node stays.
    assert await is_running()
    await admin.delete(budgets, ObjectKey("default", "shrink-guest"))
    await until_ready(admin, pool, 2)
    assert set(await claims_of(admin, pool)) == {"shrink-0", "shrink-1"}
    assert await admin.find(PODS, guest_key) is None
    await delete_pool(admin, pool)


async def test_a_claim_a_node_a_taint_and_labels_changed_by_hand_heal(operator: Running, admin: Any) -> None:
    pool = await create_pool(admin, pool_manifest("heal", 2))
    await until_ready(admin, pool, 2)
    old_claim = (await claims_of(admin, pool))["heal-0"]
    await admin.delete(NODE_CLAIMS, ObjectKey("", "heal-0"))

    async def has_new_claim() -> bool:
        claim = (await claims_of(admin, pool)).get("heal-0")
        return claim is not None and claim["metadata"]["uid"] != old_claim["metadata"]["uid"]

    await until(has_new_claim, "the claim made again")
    await until_ready(admin, pool, 2)

    old_node = (await nodes_of(admin, pool))["heal-1"]
    await admin.delete(NODES, ObjectKey("", "heal-1"))

    async def has_new_node() -> bool:
        node = (await nodes_of(admin, pool)).get("heal-1")
        if node is None or node["metadata"]["uid"] == old_node["metadata"]["uid"]:
            return False
        return not [taint for taint in node["spec"]["taints"] if taint["key"] == "rempart.eu/unvalidated"]

    await until(has_new_node, "the node made again and checked again")
    await until_ready(admin, pool, 2)

    patch = {"metadata": {"labels": {"rempart.eu/simulated": None}}, "spec": {"taints": None}}
    await admin.patch(NODES, ObjectKey("", "heal-0"), patch, manager="test")

    async def is_marked_again() -> bool:
        node = (await nodes_of(admin, pool))["heal-0"]
        marks = [taint["key"] for taint in node["spec"].get("taints") or []]
        return (
            "rempart.eu/simulated" in marks
            and node["metadata"]["labels"].get("rempart.eu/simulated") == "true"
        )

    await until(is_marked_again, "label and taint of a simulated node put back")
    await delete_pool(admin, pool)


async def test_a_failed_acceptance_keeps_the_node_out_and_says_why(operator: Running, admin: Any) -> None:
    # A taint that evicts everything but what tolerates all: the run itself still lands; we fail it by hand.
    pool = await create_pool(admin, pool_manifest("reject", 0))
    await until_ready(admin, pool, 0)
    await scale(admin, pool, 1)
    key = ObjectKey(SYSTEM, "acceptance-reject-0")

    async def is_failed() -> bool:
        pod = await admin.find(PODS, key)
        if pod is None:
            return False
        if pod["status"].get("phase") not in ("Succeeded", "Failed"):
            await admin.patch(
                PODS, key, {"status": {"phase": "Failed"}}, manager="test", subresource="status"
            )
        claim = (await claims_of(admin, pool))["reject-0"]
        return (claim.get("status") or {}).get("phase") == "Failed"

    await until(is_failed, "the claim failed")
    claim = (await claims_of(admin, pool))["reject-0"]
    reasons = {c["type"]: c["reason"] for c in claim["status"]["conditions"]}
    assert reasons["Accepted"] == reasons["Ready"] == "AcceptanceFailed"
    assert "passedAt" not in claim["status"]["acceptance"]
    node = (await nodes_of(admin, pool))["reject-0"]
    assert [taint for taint in node["spec"]["taints"] if taint["key"] == "rempart.eu/unvalidated"]

    async def is_degraded() -> bool:
        conditions = (await admin.get(GPU_NODE_POOLS, pool))["status"]["conditions"]
        return any(c["type"] == "Degraded" and c["status"] == "True" for c in conditions)

    await until(is_degraded, "the pool says that it is degraded")
    await delete_pool(admin, pool)


async def test_an_operator_killed_at_any_moment_converges(
    kubernetes_api: KubernetesApi, admin: Any, tmp_path: Path
) -> None:
    seed = 20261121
    moments = random.Random(seed)
    settings = settings_for(kubernetes_api.kubeconfigs["rempart-operators"], tmp_path)
    pool = await create_pool(admin, pool_manifest("crash", 6))
    for round_number in range(8):
        async with running(settings) as started:
            await asyncio.wait({started.task}, timeout=moments.uniform(0.05, 0.9))
            assert not started.task.done(), f"seed {seed} round {round_number}: the operator ended by itself"
            await started.kill()
        await scale(admin, pool, moments.choice([3, 5, 6]))
    await scale(admin, pool, 6)
    async with running(settings) as started:
        await until_ready(admin, pool, 6)
        claims, nodes = await claims_of(admin, pool), await nodes_of(admin, pool)
        assert set(claims) == set(nodes) == {f"crash-{number}" for number in range(6)}
        writes = await until_quiet(started)
        assert await until_quiet(started) == writes
        await delete_pool(admin, pool)


async def test_a_second_operator_waits_for_the_lease_and_takes_over(
    kubernetes_api: KubernetesApi, admin: Any, tmp_path: Path
) -> None:
    base = settings_for(kubernetes_api.kubeconfigs["rempart-operators"], tmp_path, is_leader_election_on=True)
    async with running(replace(base, identity="first")) as first:

        async def leads() -> bool:
            return first.manager.is_leading

        await until(leads, "the first leads")
        async with running(replace(base, identity="second")) as second:

            async def is_synced() -> bool:
                return second.manager.is_synced

            await until(is_synced, "the second has filled its caches")
            assert not second.manager.is_leading
            first.stop.set()

            async def has_taken_over() -> bool:
                return second.manager.is_leading

            await until(has_taken_over, "the second took over", 10.0)
            assert first.task.done() or not first.manager.is_leading


async def test_kubectl_shows_columns_and_waits(
    operator: Running, admin: Any, kubernetes_api: KubernetesApi
) -> None:
    pool = await create_pool(admin, pool_manifest("columns", 1))
    waited = await asyncio.to_thread(
        kubernetes_api.kubectl,
        "wait",
        "--for=condition=Ready",
        "--timeout=60s",
        "gpunodepool/columns",
        "nc/columns-0",
    )
    assert waited.count("condition met") == 2
    shown = await asyncio.to_thread(kubernetes_api.kubectl, "get", "gnp,nc,idp", "-A")
    header = shown.splitlines()[0].split()
    assert header == [
        "NAME",
        "DATACENTER",
        "TYPE",
        "GPU",
        "DESIRED",
        "NODES",
        "USABLE",
        "READY",
        "SIMULATED",
        "AGE",
    ]
    assert any(
        line.split()[:3] == ["nodeclaim.rempart.eu/columns-0", "columns", "Ready"]
        for line in shown.splitlines()
    )
    explained = await asyncio.to_thread(kubernetes_api.kubectl, "explain", "gnp.spec.replicas")
    assert "Number of nodes wanted." in explained
    await asyncio.to_thread(kubernetes_api.kubectl, "scale", "gnp/columns", "--replicas=2")
    await until_ready(admin, pool, 2)
    scaled = json.loads(
        await asyncio.to_thread(
            kubernetes_api.kubectl, "get", "--raw", "/apis/rempart.eu/v1alpha1/gpunodepools/columns/scale"
        )
    )
    assert (scaled["spec"]["replicas"], scaled["status"]["replicas"]) == (2, 2)
    assert scaled["status"]["selector"] == "rempart.eu/node-pool=columns"
    await delete_pool(admin, pool)
