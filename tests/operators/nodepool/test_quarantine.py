"""A host that failed its checks is remembered beyond its claim, until a person lets it be tried again."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from operators.lib.client import KubernetesClient
from operators.lib.objects import (
    GPU_NODE_POOLS,
    HOST_QUARANTINES,
    NODES,
    PODS,
    Obj,
    ObjectKey,
)
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.harness import (
    Running,
    create_pool,
    delete_pool,
    pool_manifest,
    running,
    settings_for,
    until,
    until_quiet,
)
from tests.operators.nodepool.things import condition, events_about, until_condition

SYSTEM = "rempart-system"


class Hosts:
    """Plays the node program of hosts that exist on paper: a Node for each assignment, by the file's words."""

    def __init__(self, folder: Path, admin: KubernetesClient) -> None:
        self.folder = folder
        self.admin = admin
        self.joined: dict[str, str] = {}

    def add(self, name: str) -> None:
        (self.folder / name).mkdir()
        offer = {"hostId": name, "cpuMilli": 2000, "memoryMiB": 4096}
        (self.folder / name / "host.json").write_text(json.dumps(offer))

    def assignment(self, name: str) -> Obj | None:
        path = self.folder / name / "assignment.json"
        document: Obj | None = json.loads(path.read_text()) if path.exists() else None
        return document

    async def turn(self) -> None:
        """One look at the files: join what is assigned, leave what is not."""
        for folder in sorted(self.folder.iterdir()):
            found = self.assignment(folder.name)
            if found is None:
                node = self.joined.pop(folder.name, "")
                if node:
                    await self.admin.delete(NODES, ObjectKey("", node))
            elif folder.name not in self.joined:
                await self.admin.create(NODES, self.node(found), manager="host")
                self.joined[folder.name] = found["nodeName"]

    def node(self, found: Obj) -> Obj:
        ready = {"type": "Ready", "status": "True", "reason": "t", "message": "t"}
        room = {"cpu": "2", "memory": "4Gi", "pods": "20"}
        return {
            "metadata": {
                "name": found["nodeName"],
                "labels": found["labels"],
                "annotations": {"rempart.eu/claim-uid": found["claimUid"]},
            },
            "spec": {"taints": found["taints"], "providerID": found["providerID"]},
            "status": {"conditions": [ready], "capacity": room, "allocatable": room},
        }

    async def end_run(self, claim: str, checks: list[Obj]) -> bool:
        """End the claim's acceptance run with these checks; whether there was one that had not ended."""
        key = ObjectKey(SYSTEM, f"acceptance-{claim}")
        pod = await self.admin.find(PODS, key)
        if pod is None or pod["status"].get("phase") in ("Succeeded", "Failed"):
            return False
        is_bad = any(check["result"] == "failed" for check in checks)
        ended = {
            "name": "acceptance", "ready": False, "restartCount": 0, "image": "i", "imageID": "i",
            "state": {"terminated": {"exitCode": int(is_bad), "message": json.dumps({"checks": checks})}},
        }  # fmt: skip
        status = {"phase": "Failed" if is_bad else "Succeeded", "containerStatuses": [ended]}
        await self.admin.patch(PODS, key, {"status": status}, manager="host", subresource="status")
        return True


@pytest.fixture
async def operator_with_hosts(
    kubernetes_api: KubernetesApi, tmp_path: Path
) -> AsyncIterator[tuple[Running, Path]]:
    """The operator with a folder of process hosts."""
    hosts = tmp_path / "hosts"
    hosts.mkdir()
    settings = settings_for(
        kubernetes_api.kubeconfigs["rempart-operators"], tmp_path, process_hosts_dir=hosts
    )
    async with running(settings) as started:
        yield started, hosts


@pytest.mark.case("F17")
async def test_a_host_that_failed_its_checks_is_given_to_no_claim_until_a_person_says_so(
    operator_with_hosts: tuple[Running, Path], admin: KubernetesClient
) -> None:
    hosts = Hosts(operator_with_hosts[1], admin)
    hosts.add("liar")
    shape = {"provider": {"kind": "process"}, "instanceType": "cpu-small", "cpuMilli": 500, "memoryMiB": 256}
    manifest = pool_manifest("aside", 1, **shape)
    del manifest["spec"]["accelerator"]
    pool = await create_pool(admin, manifest)
    bad = [{"name": "cores", "result": "failed", "detail": "1 of 2 cores"}]
    good = [{"name": "cores", "result": "passed", "detail": ""}]

    async def is_recorded() -> list[Obj]:
        await hosts.turn()
        await hosts.end_run("aside-0", bad)
        return (await admin.list(HOST_QUARANTINES, label_selector="rempart.eu/node-pool=aside")).items

    (record,) = await until(is_recorded, "the host is set aside")
    assert record["spec"]["providerID"] == "process://liar"
    assert record["spec"]["checks"] == bad

    async def is_left_out() -> bool:
        # The pool gives the machine back; the only host is the bad one.
        await hosts.turn()
        found = await condition(admin, "aside-0")
        return found.get("reason") == "NoCapacity" and "set aside" in found["message"]

    await until(is_left_out, "nobody gets the bad host")
    assert hosts.assignment("liar") is None
    hosts.add("sound")

    async def is_ready() -> bool:
        await hosts.turn()
        await hosts.end_run("aside-0", good)
        return (await condition(admin, "aside-0")).get("status") == "True"

    await until(is_ready, "another host takes its place")
    assert hosts.assignment("sound") is not None
    assert "Replacing" in await events_about(admin, "aside")
    await admin.patch(GPU_NODE_POOLS, pool, {"spec": {"replicas": 2}}, manager="person")
    await until_condition(admin, "aside-1", "False", "NoCapacity")
    # The word of a person: it was mended, test it again.
    await admin.delete(HOST_QUARANTINES, ObjectKey("", record["metadata"]["name"]))

    async def are_both_ready() -> bool:
        await hosts.turn()
        await hosts.end_run("aside-1", good)
        return (await condition(admin, "aside-1")).get("status") == "True"

    await until(are_both_ready, "the mended host passed its checks")
    await admin.delete(GPU_NODE_POOLS, pool)

    async def is_gone() -> bool:
        await hosts.turn()
        return await admin.find(GPU_NODE_POOLS, pool) is None

    await until(is_gone, "everything given back")
    await delete_pool(admin, pool)


@pytest.mark.case("F18")
async def test_claims_that_wait_for_capacity_write_nothing_while_they_wait(
    operator_with_hosts: tuple[Running, Path], admin: KubernetesClient
) -> None:
    shape = {"provider": {"kind": "process"}, "instanceType": "cpu-small", "cpuMilli": 500, "memoryMiB": 256}
    manifest = pool_manifest("waits", 1, **shape)
    del manifest["spec"]["accelerator"]
    pool = await create_pool(admin, manifest)
    await until_condition(admin, "waits-0", "False", "NoCapacity")
    operator = operator_with_hosts[0]
    before = await until_quiet(operator)
    asked = reconciles(operator)
    # It asks its provider again every 2 s: the answer is the same, so nothing is written.
    await asyncio.sleep(9.0)
    assert reconciles(operator) >= asked + 3
    assert operator.client.metrics.writes_total() == before
    await delete_pool(admin, pool)


def reconciles(operator: Running) -> float:
    return sum(
        sample.value
        for metric in operator.client.metrics.reconciles.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["controller"] == "nodepool.claims"
    )
