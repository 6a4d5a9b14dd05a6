"""Status follows what is: hand-edited statuses, nodes that the scheduler would not use, work on nodes."""

import asyncio
from typing import Any

import pytest

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.client import KubernetesClient
from operators.lib.objects import GPU_NODE_POOLS, NODE_CLAIMS, NODES, PODS, ObjectKey
from tests.operators.harness import (
    Running,
    create_pool,
    delete_pool,
    nodes_of,
    pool_manifest,
    scale,
    until,
    until_quiet,
    until_ready,
)
from tests.operators.nodepool.things import BUDGETS as BUDGET_KIND
from tests.operators.nodepool.things import (
    budget,
    condition,
    events_about,
    guest,
    run_guest,
    until_condition,
    until_counted,
)

LIES: list[dict[str, Any]] = [
    *({"phase": phase.value} for phase in Phase),
    {"phase": "Failed", "conditions": [], "phaseSince": "2031-01-01T00:00:00Z"},
    {"acceptance": None, "nodeName": "elsewhere", "providerID": "wrong://", "simulated": False},
    {"phase": "Pending", "phaseSince": None, "conditions": [], "acceptance": None, "nodeName": None},
]


@pytest.mark.case("F20")
@pytest.mark.case("F51")
async def test_a_status_edited_emptied_or_restored_in_part_heals_and_is_reported(
    operator: Running, admin: KubernetesClient
) -> None:
    pool = await create_pool(admin, pool_manifest("lies", 1))
    await until_ready(admin, pool, 1)
    await until_quiet(operator)
    key = ObjectKey("", "lies-0")
    truth = (await admin.get(NODE_CLAIMS, key))["status"]
    for lie in LIES:
        await admin.patch(NODE_CLAIMS, key, {"status": lie}, manager="person", subresource="status")

        async def is_healed() -> bool:
            status = (await admin.get(NODE_CLAIMS, key))["status"]
            same = ("phase", "acceptance", "nodeName", "providerID", "simulated")
            verdicts = [
                {c["type"]: (c["status"], c["reason"]) for c in s["conditions"]} for s in (status, truth)
            ]
            return [status.get(k) for k in same] == [truth.get(k) for k in same] and verdicts[0] == verdicts[
                1
            ]

        await until(is_healed, f"healed of {lie}", 20.0)

    async def is_reported() -> bool:
        return "StatusRepaired" in await events_about(admin, "lies-0")

    await until(is_reported, "the repair is told")
    # No machine was lost on the way: the node is the first one.
    assert len(await nodes_of(admin, pool)) == 1
    assert (await admin.get(NODE_CLAIMS, key))["status"]["acceptance"] == truth["acceptance"]
    await delete_pool(admin, pool)


@pytest.mark.case("F20")
async def test_a_drain_is_never_skipped_whatever_the_status_says(
    operator: Running, admin: KubernetesClient
) -> None:
    pool = await create_pool(admin, pool_manifest("skip", 1))
    await until_ready(admin, pool, 1)
    await admin.create(BUDGET_KIND, budget("skip", 0, app="skip"), manager="test")
    pod = await run_guest(admin, guest("skip", node="skip-0", app="skip"))
    await until_counted(admin, "skip", 1)
    key = ObjectKey("", "skip-0")
    await admin.patch(NODE_CLAIMS, key, {"status": {"phase": "Releasing"}}, manager="x", subresource="status")
    await scale(admin, pool, 0)
    await until_condition(admin, "skip-0", "False", "Draining", "Drained")
    await admin.patch(NODE_CLAIMS, key, {"status": {"phase": "Releasing"}}, manager="x", subresource="status")
    await asyncio.sleep(2.0)
    assert await admin.find(PODS, pod) is not None, "the budget protects the pod"
    await until_condition(admin, "skip-0", "False", "Draining", "Drained")
    await admin.delete(BUDGET_KIND, ObjectKey("default", "skip"))
    await until_ready(admin, pool, 0)
    await delete_pool(admin, pool)


PRESSURE = {"type": "MemoryPressure", "status": "True", "reason": "t", "message": "t"}
FOREIGN = {"key": "example.org/kept-out", "effect": "NoSchedule"}


@pytest.mark.case("F4")
@pytest.mark.parametrize(
    ("name", "spec", "status", "reason"),
    [
        ("cordon", {"unschedulable": True}, {}, "Cordoned"),
        ("noschedule", {"taints": [FOREIGN]}, {}, "NodeTainted"),
        ("noexecute", {"taints": [{**FOREIGN, "effect": "NoExecute"}]}, {}, "NodeTainted"),
        ("gpus", {}, {"allocatable": {"nvidia.com/gpu": "7"}}, "GpusMissing"),
        ("pressure", {}, {"conditions": [PRESSURE]}, "NodePressure"),
        ("silence", {}, {"conditions": [{**PRESSURE, "type": "Ready", "status": "False"}]}, "NodeNotReady"),
    ],
)
async def test_what_the_scheduler_would_not_use_is_not_usable(
    operator: Running, admin: KubernetesClient, name: str,
    spec: dict[str, Any], status: dict[str, Any], reason: str,
) -> None:  # fmt: skip
    """The real scheduler is the judge: a pod for all GPUs stays away exactly while the claim is not Ready."""
    pool = await create_pool(admin, pool_manifest(name, 1))
    await until_ready(admin, pool, 1)
    key = ObjectKey("", f"{name}-0")
    before = await admin.get(NODES, key)
    if spec:
        taints = [*before["spec"]["taints"], *spec.get("taints", [])]
        change = {**spec, "taints": taints} if "taints" in spec else spec
        await admin.patch(NODES, key, {"spec": change}, manager="person")
    # The simulator lets go of the node: otherwise it would report at once that it is well.
    fake = before["metadata"]["annotations"]["kwok.x-k8s.io/node"]
    await admin.patch(
        NODES, key, {"metadata": {"annotations": {"kwok.x-k8s.io/node": None}}}, manager="person"
    )
    if status:
        changed = {c["type"] for c in status.get("conditions", [])}
        kept = [c for c in before["status"]["conditions"] if c["type"] not in changed]
        conditions = [*kept, *status.get("conditions", [])]
        change = {**status, "conditions": conditions} if "conditions" in status else status
        await admin.patch(NODES, key, {"status": change}, manager="person", subresource="status")
    await until_condition(admin, key.name, "False", reason)
    found = await until_ready_count(admin, pool, 0)
    degraded = {c["type"]: c for c in found["status"]["conditions"]}["Degraded"]
    assert (degraded["status"], degraded["reason"]) == ("True", reason)
    pod = ObjectKey("default", f"guest-{name}")
    await admin.create(PODS, guest(pod.name, pool=name, gpus=8), manager="test")

    async def is_refused() -> bool:
        conditions = (await admin.get(PODS, pod))["status"].get("conditions") or []
        return any(c["type"] == "PodScheduled" and c["status"] == "False" for c in conditions)

    await until(is_refused, "the scheduler found no node")
    await admin.patch(
        NODES, key, {"spec": {"unschedulable": None, "taints": before["spec"]["taints"]}}, manager="person"
    )
    back = {"allocatable": before["status"]["allocatable"], "conditions": before["status"]["conditions"]}
    await admin.patch(NODES, key, {"status": back}, manager="person", subresource="status")
    known = {"metadata": {"annotations": {"kwok.x-k8s.io/node": fake}}}
    await admin.patch(NODES, key, known, manager="person")
    await until_condition(admin, key.name, "True")

    async def is_bound() -> bool:
        return bool((await admin.get(PODS, pod))["spec"].get("nodeName"))

    await until(is_bound, "the scheduler uses the node again")
    await admin.delete(PODS, pod, grace_s=0)
    await delete_pool(admin, pool)


async def until_ready_count(admin: KubernetesClient, pool: ObjectKey, count: int) -> dict[str, Any]:
    async def check() -> dict[str, Any] | None:
        found = await admin.get(GPU_NODE_POOLS, pool)
        return found if found["status"].get("readyReplicas") == count else None

    result: dict[str, Any] = await until(check, f"{pool} has {count} usable nodes")
    return result


@pytest.mark.case("F30")
async def test_a_node_at_work_that_lost_its_records_is_checked_once_the_work_is_done(
    operator: Running, admin: KubernetesClient
) -> None:
    pool = await create_pool(admin, pool_manifest("work", 1))
    await until_ready(admin, pool, 1)
    pod = await run_guest(admin, guest("at-work", pool="work", gpus=8))
    key = ObjectKey("", "work-0")
    record = {"metadata": {"annotations": {"rempart.eu/accepted": None}}}
    # Both records at once, before the operator can put one back from the other: by a taint, then the status.
    node = await admin.get(NODES, key)
    unvalidated = {"key": "rempart.eu/unvalidated", "effect": "NoSchedule"}
    await admin.patch(
        NODES, key, {**record, "spec": {"taints": [*node["spec"]["taints"], unvalidated]}}, manager="person"
    )
    await admin.patch(NODE_CLAIMS, key, {"status": None}, manager="person", subresource="status")
    found = await until_condition(admin, "work-0", "False", "WorkOnNode")
    assert "default/at-work" in found["message"]
    runs = await admin.list(PODS, namespace="rempart-system", label_selector="rempart.eu/node-pool=work")
    assert runs.items == []
    assert (await admin.get(PODS, pod))["status"]["phase"] == "Running"
    await admin.delete(PODS, pod, grace_s=0)
    await until_condition(admin, "work-0", "True")
    await delete_pool(admin, pool)


@pytest.mark.case("F18")
async def test_a_claim_that_waits_is_not_written_again_and_again(
    operator: Running, admin: KubernetesClient
) -> None:
    """Every phase that can wait: without capacity, refused, at a failed check, and at work."""
    shape = {"provider": {"kind": "process"}, "instanceType": "cpu-small", "cpuMilli": 500, "memoryMiB": 256}
    manifest = pool_manifest("nowhere", 1, **shape)
    del manifest["spec"]["accelerator"]
    pool = await create_pool(admin, manifest)
    await until_condition(admin, "nowhere-0", "False", "ProviderUnsupported")
    writes = await until_quiet(operator)
    for _ in range(20):
        for controller in operator.manager.controllers:
            for key in controller.primary.keys():  # noqa: SIM118
                controller.enqueue(key)
        await asyncio.sleep(0.1)
    assert await until_quiet(operator) == writes
    assert (await condition(admin, "nowhere-0"))["message"]
    await delete_pool(admin, pool)
