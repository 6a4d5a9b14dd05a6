"""The Node object and the files of a process host."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from infra.local.processnode.domain import HostOffer, Taint
from infra.local.processnode.node_rules import (
    AssignmentUnreadable,
    HostFacts,
    build_lease,
    build_node,
    build_node_status,
    format_host,
    is_node_ready,
    read_assignment,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OFFER = HostOffer("h1", 2000, 4096)
FACTS = HostFacts("m", "b", "6.1", "Linux", "amd64")
TEXT = json.dumps(
    {
        "claimUid": "c-1",
        "nodeName": "pool-0",
        "providerID": "process://h1",
        "labels": {"rempart.eu/node-pool": "pool"},
        "taints": [{"key": "rempart.eu/unvalidated", "effect": "NoSchedule"}],
        "unknown": "ignored",
    }
)


def test_an_assignment_is_read_as_the_contract_has_it() -> None:
    assignment = read_assignment(TEXT)
    assert (assignment.claim_uid, assignment.node_name, assignment.provider_id) == (
        "c-1",
        "pool-0",
        "process://h1",
    )
    assert assignment.taints == (Taint("rempart.eu/unvalidated", "", "NoSchedule"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "{",
        TEXT.replace("pool-0", "Bad Name"),
        TEXT.replace('"c-1"', "null"),
        TEXT.replace("key", "k"),
    ],
)
def test_an_unreadable_assignment_says_so(text: str) -> None:
    with pytest.raises(AssignmentUnreadable):
        read_assignment(text)


def test_a_node_carries_labels_taints_and_what_the_host_offers() -> None:
    node = build_node(read_assignment(TEXT), OFFER, FACTS, 10250, NOW)
    assert node["metadata"]["labels"]["rempart.eu/node-pool"] == "pool"
    assert node["spec"] == {
        "providerID": "process://h1",
        "taints": [{"key": "rempart.eu/unvalidated", "effect": "NoSchedule"}],
    }
    assert node["status"]["capacity"] == {"cpu": "2000m", "memory": "4096Mi", "pods": "32"}
    assert node["status"]["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 10250}}
    assert is_node_ready(node["status"])


def test_a_heartbeat_moves_only_the_heartbeat() -> None:
    first = build_node_status({}, OFFER, FACTS, 1, NOW)
    later = build_node_status(first, OFFER, FACTS, 1, NOW + timedelta(minutes=5))
    for before, after in zip(first["conditions"], later["conditions"], strict=True):
        assert after["lastTransitionTime"] == before["lastTransitionTime"]
        assert after["lastHeartbeatTime"] != before["lastHeartbeatTime"]


def test_a_stopped_node_is_not_ready() -> None:
    first = build_node_status({}, OFFER, FACTS, 1, NOW)
    assert not is_node_ready(build_node_status(first, OFFER, FACTS, 1, NOW, is_ready=False))


def test_the_lease_goes_with_its_node() -> None:
    lease = build_lease({"metadata": {"name": "n", "uid": "u"}}, NOW)
    assert lease["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert lease["spec"]["renewTime"] == "2026-03-01T12:00:00.000000Z"


def test_the_host_file_is_the_contracts() -> None:
    assert json.loads(format_host(OFFER)) == {"hostId": "h1", "cpuMilli": 2000, "memoryMiB": 4096}
