"""The Node object, its lease, and the two files of a process host. Pure: no clock, no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.local.processnode.domain import Assignment, HostOffer, Taint
from infra.local.processnode.status_rules import HOST_ADDRESS, format_time

PODS_MAX = 32
"""Processes one laptop runs side by side; the scheduler respects it as the node's capacity."""

LEASE_SECONDS = 40
"""Kubelet's default: the node controller calls a node unknown when its lease is older."""

NODE_VERSION = "v0.1.0-process"
"""Shown in the VERSION column: this is no kubelet and does not claim to be one."""

_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class AssignmentUnreadable(Exception):
    """The assignment file does not hold what docs/contracts.md says; the message names what is wrong."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the operating system says about this machine, as Kubernetes' `nodeInfo` wants it."""

    machine_id: str
    boot_id: str
    kernel_version: str
    os_image: str
    architecture: str


def read_assignment(text: str) -> Assignment:
    """Read `assignment.json`. Errors: AssignmentUnreadable."""
    try:
        document = json.loads(text)
        assignment = Assignment(
            claim_uid=_text(document, "claimUid"),
            node_name=_text(document, "nodeName"),
            provider_id=_text(document, "providerID"),
            labels=tuple(sorted((str(k), str(v)) for k, v in (document.get("labels") or {}).items())),
            taints=tuple(_read_taint(taint) for taint in document.get("taints") or ()),
        )
    except (ValueError, AttributeError, TypeError) as error:
        raise AssignmentUnreadable(f"assignment.json is not what it should be: {error}") from error
    if not _NODE_NAME.fullmatch(assignment.node_name):
        raise AssignmentUnreadable(f"nodeName {assignment.node_name!r} is not a node's name")
    return assignment


def format_host(offer: HostOffer) -> str:
    """Format `host.json`."""
    document = {"hostId": offer.host_id, "cpuMilli": offer.cpu_milli, "memoryMiB": offer.memory_mib}
    return json.dumps(document, indent=2) + "\n"


def build_node(
    assignment: Assignment, offer: HostOffer, facts: HostFacts, port: int, now: datetime
) -> dict[str, Any]:
    """Build the Node that registers this host. Shapes: `port` is where `/containerLogs` is served."""
    labels = {
        "kubernetes.io/hostname": assignment.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture,
        **dict(assignment.labels),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": assignment.node_name,
            "labels": labels,
            "annotations": {"rempart.eu/claim-uid": assignment.claim_uid},
        },
        "spec": {
            "providerID": assignment.provider_id,
            "taints": [_taint(taint) for taint in assignment.taints],
        },
        "status": build_node_status({}, offer, facts, port, now),
    }


def build_node_status(
    status: Mapping[str, Any],
    offer: HostOffer,
    facts: HostFacts,
    port: int,
    now: datetime,
    *,
    is_ready: bool = True,
) -> dict[str, Any]:
    """Build the Node's status; conditions that did not change keep their transition time."""
    resources = {
        "cpu": f"{offer.cpu_milli}m",
        "memory": f"{offer.memory_mib}Mi",
        "pods": str(PODS_MAX),
    }
    before = {condition["type"]: condition for condition in status.get("conditions", ())}
    ready = ("True", "ProcessNodeReady", "the process node runs pods as local processes")
    stopped = ("False", "ProcessNodeStopped", "the process node was stopped")
    wanted = {
        "MemoryPressure": ("False", "ProcessNodeHasSufficientMemory", "the host's memory is not watched"),
        "DiskPressure": ("False", "ProcessNodeHasNoDiskPressure", "the host's disk is not watched"),
        "PIDPressure": ("False", "ProcessNodeHasSufficientPID", "the host's processes are not watched"),
        "Ready": ready if is_ready else stopped,
    }
    return {
        "capacity": resources,
        "allocatable": resources,
        "addresses": [{"type": "InternalIP", "address": HOST_ADDRESS}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "nodeInfo": {
            "machineID": facts.machine_id,
            "systemUUID": facts.machine_id,
            "bootID": facts.boot_id,
            "kernelVersion": facts.kernel_version,
            "osImage": facts.os_image,
            "containerRuntimeVersion": "process://1",
            "kubeletVersion": NODE_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": facts.architecture,
        },
        "conditions": [
            _condition(kind, values, before.get(kind, {}), now) for kind, values in wanted.items()
        ],
    }


def is_node_ready(status: Mapping[str, Any]) -> bool:
    """Say whether the API server holds this node as ready."""
    conditions = status.get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def build_lease(node: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Build the node's lease, owned by the Node so that it goes with it."""
    metadata = node["metadata"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": metadata["name"], "namespace": "kube-node-lease", "ownerReferences": [owner]},
        "spec": {
            "holderIdentity": metadata["name"],
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": format_micro_time(now),
        },
    }


def format_micro_time(at: datetime) -> str:
    """Format a time as Kubernetes' `MicroTime`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _condition(
    kind: str, values: tuple[str, str, str], before: Mapping[str, Any], now: datetime
) -> dict[str, str]:
    status, reason, message = values
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": format_time(now),
        "lastTransitionTime": since or format_time(now),
    }


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing")
    return value


def _read_taint(taint: Mapping[str, Any]) -> Taint:
    return Taint(key=_text(taint, "key"), value=str(taint.get("value") or ""), effect=_text(taint, "effect"))


def _taint(taint: Taint) -> dict[str, str]:
    document = {"key": taint.key, "effect": taint.effect}
    return document | ({"value": taint.value} if taint.value else {})
