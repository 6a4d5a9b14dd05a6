"""Process hosts are given to claims by two files."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from operators.lib.objects import NODES
from operators.lib.store import Store
from operators.nodepool.domain import ANNOTATION_CLAIM_UID, UNVALIDATED, MachineOrder
from operators.nodepool.providers.base import Machine, NoCapacity, Unsupported
from operators.nodepool.providers.kwok import seeded_latency_s
from operators.nodepool.providers.process import ProcessProvider


def order(uid: str = "uid-1", name: str = "cpu-0", cpu_milli: int = 1000, gpus: int = 0) -> MachineOrder:
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    labels = (("rempart.eu/node-pool", "cpu"),)
    return MachineOrder(uid, name, name, "cpu", cpu_milli, 512, gpus, labels, (UNVALIDATED,), moment)


NONE: frozenset[str] = frozenset()


def add_host(hosts: Path, name: str, cpu_milli: int = 2000, memory_mib: int = 4096) -> Path:
    folder = hosts / name
    folder.mkdir()
    offer = {"hostId": name, "cpuMilli": cpu_milli, "memoryMiB": memory_mib}
    (folder / "host.json").write_text(json.dumps(offer))
    return folder


async def test_a_free_host_is_assigned_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    folder = add_host(tmp_path, "a")
    add_host(tmp_path, "b")
    provider = ProcessProvider(tmp_path, Store(NODES))
    first = await provider.launch(order(), NONE)
    assert await provider.launch(order(), NONE) == first == Machine("uid-1", "cpu-0", "process://a")
    assert json.loads((folder / "assignment.json").read_text()) == {
        "claimUid": "uid-1",
        "nodeName": "cpu-0",
        "labels": {"rempart.eu/node-pool": "cpu"},
        "taints": [{"key": "rempart.eu/unvalidated", "effect": "NoSchedule"}],
        "providerID": "process://a",
    }
    assert sorted(path.name for path in folder.iterdir()) == ["assignment.json", "host.json"]
    assert (await provider.launch(order("uid-2", "cpu-1"), NONE)).provider_id == "process://b"
    assert len(await provider.list_machines()) == 2


async def test_no_free_or_no_large_enough_host_is_no_capacity(tmp_path: Path) -> None:
    provider = ProcessProvider(tmp_path, Store(NODES))
    with pytest.raises(NoCapacity):
        await provider.launch(order(), NONE)
    add_host(tmp_path, "a", cpu_milli=500)
    with pytest.raises(NoCapacity):
        await provider.launch(order(), NONE)


@pytest.mark.case("F17")
async def test_a_host_that_is_set_aside_is_given_to_nobody_but_who_has_it(tmp_path: Path) -> None:
    add_host(tmp_path, "a")
    provider = ProcessProvider(tmp_path, Store(NODES))
    mine = await provider.launch(order(), NONE)
    aside = frozenset({mine.provider_id})
    assert await provider.launch(order(), aside) == mine, "finding a machine again is no new one"
    await provider.release(mine)
    with pytest.raises(NoCapacity, match="1 failed their checks and are set aside"):
        await provider.launch(order("uid-2", "cpu-1"), aside)
    add_host(tmp_path, "b")
    assert (await provider.launch(order("uid-2", "cpu-1"), aside)).provider_id == "process://b"
    assert (await provider.launch(order("uid-3", "cpu-2"), NONE)).provider_id == "process://a"


async def test_a_host_with_an_unreadable_assignment_is_not_free(tmp_path: Path) -> None:
    folder = add_host(tmp_path, "a")
    (folder / "assignment.json").write_text("{")
    provider = ProcessProvider(tmp_path, Store(NODES))
    with pytest.raises(NoCapacity):
        await provider.launch(order(), NONE)


async def test_release_ends_when_the_node_is_gone_and_touches_no_other_claim(tmp_path: Path) -> None:
    folder = add_host(tmp_path, "a")
    nodes = Store(NODES)
    provider = ProcessProvider(tmp_path, nodes)
    machine = await provider.launch(order(), NONE)
    assert await provider.release(Machine("another", "cpu-9", "")) is True
    assert (folder / "assignment.json").exists()
    node = {
        "metadata": {
            "name": "cpu-0", "uid": "n", "resourceVersion": "1", "annotations": {ANNOTATION_CLAIM_UID: "uid-1"},
        }
    }  # fmt: skip
    nodes.upsert(node)
    assert await provider.release(machine) is False
    assert not (folder / "assignment.json").exists()
    nodes.remove(node)
    assert await provider.release(machine) is True


async def test_what_it_cannot_do_it_says(tmp_path: Path) -> None:
    with pytest.raises(Unsupported):
        await ProcessProvider(None, Store(NODES)).launch(order(), NONE)
    with pytest.raises(Unsupported):
        await ProcessProvider(tmp_path, Store(NODES)).launch(order(gpus=8), NONE)


def test_simulated_latency_is_the_same_for_the_same_seed() -> None:
    values = [seeded_latency_s(1, f"uid-{number}", 10.0) for number in range(100)]
    assert values == [seeded_latency_s(1, f"uid-{number}", 10.0) for number in range(100)]
    assert values != [seeded_latency_s(2, f"uid-{number}", 10.0) for number in range(100)]
    assert all(0 <= value < 10 for value in values)
    assert max(values) - min(values) > 5
