"""Changes of a pool, refusals on the way, claims outside the books, nodes that are lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from operators.lib.client import KubernetesClient
from operators.lib.objects import GPU_NODE_POOLS, NODE_CLAIMS, NODES, Obj, ObjectKey, Resource
from operators.nodepool.domain import FAILED_RETRY_S
from tests.operators.harness import (
    Running,
    claims_of,
    create_pool,
    delete_pool,
    nodes_of,
    pool_manifest,
    until,
    until_ready,
)
from tests.operators.nodepool.things import events_about, until_condition

POLICIES = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", False
)
BINDINGS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding", False,
)  # fmt: skip


async def pool_condition(admin: KubernetesClient, pool: ObjectKey, type_: str) -> dict[str, Any]:
    found = await admin.get(GPU_NODE_POOLS, pool)
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((dict(each) for each in conditions if each["type"] == type_), {})


async def until_rolled_out(admin: KubernetesClient, pool: ObjectKey, replicas: int) -> Obj:
    async def check() -> Obj | None:
        found = await admin.get(GPU_NODE_POOLS, pool)
        status = found.get("status") or {}
        is_current = status.get("observedGeneration") == found["metadata"]["generation"]
        counts = {status.get(key) for key in ("updatedReplicas", "readyReplicas", "replicas")}
        return found if is_current and counts == {replicas} else None

    result: Obj = await until(check, f"{pool} rolled out")
    return result


@pytest.mark.case("F13")
async def test_every_mutable_field_reaches_every_node_one_at_a_time_and_is_reported(
    operator: Running, admin: KubernetesClient
) -> None:
    pool = await create_pool(admin, pool_manifest("roll", 3))
    await until_ready(admin, pool, 3)
    least = 3
    watching = True

    async def watch() -> None:
        nonlocal least
        while watching:
            status = (await admin.get(GPU_NODE_POOLS, pool))["status"]
            least = min(least, status["readyReplicas"])
            await asyncio.sleep(0.05)

    watcher = asyncio.create_task(watch())
    taint = {"key": "example.org/confidential", "effect": "PreferNoSchedule", "value": "yes"}
    for change in (
        {"memoryMiB": 1_048_576},
        {"cpuMilli": 64_000},
        {"nodeLabels": {"example.org/rack": "r1"}},
        {"nodeTaints": [taint]},
    ):
        await admin.patch(GPU_NODE_POOLS, pool, {"spec": change}, manager="rempart-controlplane")

        async def is_told() -> bool:
            return (await pool_condition(admin, pool, "UpToDate")).get("status") == "False"

        await until(is_told, f"{change} makes the nodes outdated")
        await until_rolled_out(admin, pool, 3)
        assert (await pool_condition(admin, pool, "UpToDate"))["status"] == "True"
    watching = False
    await watcher
    assert least >= 2, "one node at a time"
    nodes = await nodes_of(admin, pool)
    assert set(nodes) == {"roll-0", "roll-1", "roll-2"}
    for node in nodes.values():
        assert node["status"]["allocatable"]["memory"] in ("1Ti", "1048576Mi")
        assert node["status"]["allocatable"]["cpu"] in ("64", "64000m")
        assert node["metadata"]["labels"]["example.org/rack"] == "r1"
        assert taint in node["spec"]["taints"]
    assert "Replacing" in await events_about(admin, "roll")
    await delete_pool(admin, pool)


SENTENCE = "not in this cluster"


@asynccontextmanager
async def refusing(
    admin: KubernetesClient, name: str, resource: str, group: str, operation: str, expression: str
) -> AsyncIterator[None]:
    """A policy of the cluster that refuses something: no rule of ours can know it beforehand."""
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": [operation], "resources": [resource]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": expression, "message": SENTENCE}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    await admin.create(POLICIES, policy, manager="person")
    await admin.create(BINDINGS, binding, manager="person")
    # The API server picks policies up a moment later, and has no condition that says so.
    await asyncio.sleep(3.0)
    try:
        yield
    finally:
        await admin.delete(BINDINGS, ObjectKey("", name))
        await admin.delete(POLICIES, ObjectKey("", name))


@pytest.mark.case("F14")
@pytest.mark.parametrize(
    ("name", "resource", "group", "operation", "expression", "reason"),
    [
        ("norun", "pods", "", "CREATE", "!object.metadata.name.startsWith('acceptance-norun-')",
         "AcceptanceRefused"),
        ("nonode", "nodes", "", "CREATE", "!object.metadata.name.startsWith('nonode-')", "LaunchRefused"),
        ("notaint", "nodes", "", "UPDATE",
         "!(object.metadata.name.startsWith('notaint-') && 'rempart.eu/accepted' in object.metadata.annotations)",
         "NodeChangeRefused"),
    ],
)  # fmt: skip
async def test_what_the_api_server_refuses_is_said_by_claim_and_pool_in_its_words_and_heals(
    operator: Running, admin: KubernetesClient, name: str,
    resource: str, group: str, operation: str, expression: str, reason: str,
) -> None:  # fmt: skip
    async with refusing(admin, name, resource, group, operation, expression):
        pool = await create_pool(admin, pool_manifest(name, 1))
        found = await until_condition(admin, f"{name}-0", "False", reason)
        assert SENTENCE in found["message"]

        async def is_told_by_the_pool() -> bool:
            degraded = await pool_condition(admin, pool, "Degraded")
            return degraded.get("status") == "True" and SENTENCE in degraded["message"]

        await until(is_told_by_the_pool, "the pool says why")
        if reason == "LaunchRefused":
            capacity = await pool_condition(admin, pool, "CapacitySatisfied")
            assert (capacity["status"], SENTENCE in capacity["message"]) == ("False", True)
        assert reason in await events_about(admin, f"{name}-0")
    await until_ready(admin, pool, 1)
    await delete_pool(admin, pool)


@pytest.mark.case("F14")
@pytest.mark.case("F15")
async def test_a_pool_whose_claims_are_refused_and_a_drain_that_is_refused_say_so(
    operator: Running, admin: KubernetesClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.nodepool.pool_controller.REFUSED_RETRY_S", 1.0)
    async with refusing(
        admin, "noclaim", "nodeclaims", "rempart.eu", "CREATE", "!object.metadata.name.startsWith('noclaim-')"
    ):
        pool = await create_pool(admin, pool_manifest("noclaim", 1))

        async def says_why() -> bool:
            found = await pool_condition(admin, pool, "CapacitySatisfied")
            return found.get("reason") == "ClaimsRefused" and SENTENCE in found["message"]

        await until(says_why, "the pool says that its claims are refused")
    await until_ready(admin, pool, 1)
    expression = "!object.metadata.name.startsWith('noclaim-') || !has(object.spec.unschedulable)"
    async with refusing(admin, "nocordon", "nodes", "", "UPDATE", expression):
        await admin.patch(GPU_NODE_POOLS, pool, {"spec": {"replicas": 0}}, manager="person")
        found = await until_condition(admin, "noclaim-0", "False", "Draining", "Drained")
        assert SENTENCE in found["message"]
        await until_condition(admin, "noclaim-0", "False", "Draining")
    await until_ready(admin, pool, 0)
    await delete_pool(admin, pool)


@pytest.mark.case("F22")
async def test_a_launch_that_failed_of_a_node_in_the_way_is_tried_again(
    operator: Running, admin: KubernetesClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.nodepool.claim_rules.FAILED_RETRY_S", 2.0)
    assert FAILED_RETRY_S > 2.0
    await admin.create(NODES, {"metadata": {"name": "inway-0"}}, manager="person")
    pool = await create_pool(admin, pool_manifest("inway", 1))
    await until_condition(admin, "inway-0", "False", "LaunchFailed")
    await admin.delete(NODES, ObjectKey("", "inway-0"))
    await until_ready(admin, pool, 1)
    await delete_pool(admin, pool)


@pytest.mark.case("F23")
async def test_a_claim_outside_every_pool_gets_no_machine_and_goes_when_asked(
    operator: Running, admin: KubernetesClient
) -> None:
    pool = await create_pool(admin, pool_manifest("books", 1))
    await until_ready(admin, pool, 1)
    shape = {k: v for k, v in pool_manifest("x", 0)["spec"].items() if k != "replicas"}
    strays = {
        "stray-0": {"poolRef": "stray", "ordinal": 0, **shape},
        # It names a pool, and is not what the pool would ask for.
        "books-7": {"poolRef": "books", "ordinal": 7, **shape, "instanceType": "gpu-72x-other"},
    }
    # Otherwise the pool deletes what it has too much of before anybody sees it.
    await admin.patch(GPU_NODE_POOLS, pool, {"spec": {"paused": True}}, manager="person")
    for name, spec in strays.items():
        claim = {
            "metadata": {"name": name},
            "spec": spec,
            "kind": "NodeClaim",
            "apiVersion": "rempart.eu/v1alpha1",
        }
        await admin.create(NODE_CLAIMS, claim, manager="person")
        await until_condition(admin, name, "False", "NotInPool")
        assert await admin.find(NODES, ObjectKey("", name)) is None
        await admin.delete(NODE_CLAIMS, ObjectKey("", name))

        async def is_gone(stray: str = name) -> bool:
            return await admin.find(NODE_CLAIMS, ObjectKey("", stray)) is None

        await until(is_gone, f"{name} gone")
    await delete_pool(admin, pool)


@pytest.mark.case("F31")
async def test_a_claim_whose_provider_is_missing_is_drained_and_goes(
    operator: Running, admin: KubernetesClient
) -> None:
    pool = await create_pool(admin, pool_manifest("orphan", 1))
    await until_ready(admin, pool, 1)
    # The same operator in a version that does not have the provider.
    (claims,) = [each for each in operator.manager.controllers if each.name == "nodepool.claims"]
    providers = claims._reconcile.__self__._providers  # type: ignore[attr-defined]
    providers.pop("kwok")
    await admin.delete(GPU_NODE_POOLS, pool)

    async def is_gone() -> bool:
        return not await claims_of(admin, pool) and await admin.find(GPU_NODE_POOLS, pool) is None

    await until(is_gone, "the claim and its pool gone")
    assert await nodes_of(admin, pool) == {}
    told = (await events_about(admin, "orphan-0"))["ProviderUnsupported"]
    assert "no provider kwok" in told["message"]
    assert told["type"] == "Warning"


@pytest.mark.case("F17")
async def test_a_node_that_stays_silent_is_replaced(
    operator: Running, admin: KubernetesClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.nodepool.pool_controller.NOT_READY_MIN_S", 2.0)
    manifest = pool_manifest("silent", 2, repair={"notReadySeconds": 2, "maxUnhealthyPercent": 50})
    pool = await create_pool(admin, manifest)
    await until_ready(admin, pool, 2)
    old = (await nodes_of(admin, pool))["silent-0"]
    since = "2026-01-01T00:00:00Z"
    lost = [
        {**c, "status": "Unknown", "lastTransitionTime": since} if c["type"] == "Ready" else c
        for c in old["status"]["conditions"]
    ]
    # Its simulator lets go of it: otherwise it would report at once that it is well.
    silenced = {"metadata": {"annotations": {"kwok.x-k8s.io/node": None}}}
    await admin.patch(NODES, ObjectKey("", "silent-0"), silenced, manager="x")
    await admin.patch(
        NODES, ObjectKey("", "silent-0"), {"status": {"conditions": lost}}, manager="x", subresource="status"
    )

    async def is_replaced() -> bool:
        node = (await nodes_of(admin, pool)).get("silent-0")
        return node is not None and node["metadata"]["uid"] != old["metadata"]["uid"]

    await until(is_replaced, "another node has the name")
    await until_ready(admin, pool, 2)
    assert (await events_about(admin, "silent"))["Replacing"]["type"] == "Warning"
    await delete_pool(admin, pool)
