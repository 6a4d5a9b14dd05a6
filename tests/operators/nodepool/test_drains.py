"""Drains: no pod holds another up, what is waited for is said, and waiting costs next to nothing."""

import asyncio
import time

import pytest

from operators.lib.client import KubernetesClient
from operators.lib.objects import GPU_NODE_POOLS, NODE_CLAIMS, PODS, ObjectKey
from tests.operators.harness import (
    Running,
    claims_of,
    create_pool,
    delete_pool,
    pool_manifest,
    scale,
    until,
    until_ready,
)
from tests.operators.nodepool.things import (
    BUDGETS,
    budget,
    condition,
    events_about,
    guest,
    run_guest,
    until_condition,
    until_counted,
)


def requests_so_far(operator: Running) -> dict[str, float]:
    """Requests to the API server by verb and resource, Leases aside."""
    counts: dict[str, float] = {}
    for metric in operator.client.metrics.api_requests.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total") and sample.labels["resource"] != "leases":
                name = f"{sample.labels['verb']} {sample.labels['resource']}"
                counts[name] = counts.get(name, 0.0) + sample.value
    return counts


@pytest.mark.case("F15")
async def test_a_pod_with_two_budgets_holds_no_other_pod_up_and_is_named_with_them(
    operator: Running, admin: KubernetesClient
) -> None:
    pool = await create_pool(admin, pool_manifest("two", 1))
    await until_ready(admin, pool, 1)
    held = await run_guest(admin, guest("held", node="two-0", app="held"))
    free = [await run_guest(admin, guest(f"free-{number}", node="two-0", app="free")) for number in range(3)]
    # An eviction of a running pod with two budgets is refused for their number, whatever they count; and upstream
    # recounts only one of them when the pod changes, so there is no count to wait for.
    for name in ("first", "second"):
        await admin.create(BUDGETS, budget(name, 1, app="held"), manager="test")
    await scale(admin, pool, 0)

    async def are_gone() -> bool:
        return all([await admin.find(PODS, key) is None for key in free])

    await until(are_gone, "the free pods left", 20.0)
    assert await admin.find(PODS, held) is not None

    async def names_them() -> bool:
        text = (await condition(admin, "two-0", "Drained")).get("message", "")
        return all(word in text for word in ("default/held", "first, second", "1 pod is left"))

    await until(names_them, "the condition names pod and budgets")
    assert (await condition(admin, "two-0"))["status"] == "False"
    assert "EvictionRefused" in await events_about(admin, "two-0")
    for name in ("first", "second"):
        await admin.delete(BUDGETS, ObjectKey("default", name))
    await until_ready(admin, pool, 0)
    await delete_pool(admin, pool)


@pytest.mark.case("F15")
async def test_a_pools_own_drain_time_ends_a_drain(operator: Running, admin: KubernetesClient) -> None:
    pool = await create_pool(admin, pool_manifest("grace", 1, drainTimeoutSeconds=3600))
    await until_ready(admin, pool, 1)
    await admin.create(BUDGETS, budget("grace", 0, app="grace"), manager="test")
    pod = await run_guest(admin, guest("grace", node="grace-0", app="grace"))
    await until_counted(admin, "grace", 1)
    await scale(admin, pool, 0)
    await until_condition(admin, "grace-0", "False", "Draining", "Drained")
    await asyncio.sleep(3.0)
    assert await admin.find(PODS, pod) is not None
    # It counts for the drain that runs, too.
    await admin.patch(
        GPU_NODE_POOLS, ObjectKey("", "grace"), {"spec": {"drainTimeoutSeconds": 1}}, manager="person"
    )
    await until_ready(admin, pool, 0)
    assert await admin.find(PODS, pod) is None
    await admin.delete(BUDGETS, ObjectKey("default", "grace"))
    await delete_pool(admin, pool)


@pytest.mark.case("F16")
async def test_a_hundred_drains_that_wait_cost_less_than_a_request_each_in_ten_seconds(
    operator: Running, admin: KubernetesClient
) -> None:
    count = 100
    pool = await create_pool(admin, pool_manifest("crowd", count))
    await until_ready(admin, pool, count)
    await admin.create(BUDGETS, budget("crowd", 0, app="crowd"), manager="test")
    for number in range(count):
        await admin.create(
            PODS, guest(f"crowd-{number}", node=f"crowd-{number}", app="crowd"), manager="test"
        )
    await until_counted(admin, "crowd", count)
    await scale(admin, pool, 0)

    async def all_wait() -> bool:
        claims = await claims_of(admin, pool)
        drained = [
            each
            for claim in claims.values()
            for each in (claim.get("status") or {}).get("conditions") or []
            if each["type"] == "Drained" and "held by disruption budget crowd" in each["message"]
        ]
        return len(drained) == count

    await until(all_wait, "every drain waits for the budget", 60.0)
    # Past the first, quick questions.
    await asyncio.sleep(30.0)
    before, started = requests_so_far(operator), time.monotonic()
    await asyncio.sleep(20.0)
    after, seconds = requests_so_far(operator), time.monotonic() - started
    cost = {name: value - before.get(name, 0.0) for name, value in after.items() if value != before.get(name)}
    print(f"{count} waiting drains, {seconds:.0f} s: {cost}")
    assert sum(cost.values()) <= count * seconds / 10, cost
    assert cost.get("PATCH nodeclaims", 0.0) == 0, "a drain that waits writes nothing"
    # The budget gives way: every drain ends, none waits for its pause.
    await admin.delete(BUDGETS, ObjectKey("default", "crowd"))
    await until_ready(admin, pool, 0)
    assert not (await admin.list(NODE_CLAIMS, label_selector="rempart.eu/node-pool=crowd")).items
    await delete_pool(admin, pool)
