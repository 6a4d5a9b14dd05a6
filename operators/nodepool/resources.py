"""Builders of the objects that the node-pool operator creates. Pure."""

import hashlib
import re

from operators.lib.objects import HOST_QUARANTINES, NODE_CLAIMS, NODES, Obj, owner_reference, uid_of
from operators.nodepool.acceptance_rules import DETAIL_LENGTH_MAX
from operators.nodepool.domain import (
    ACCEPTANCE_IMAGE,
    ANNOTATION_CLAIM_UID,
    ANNOTATION_NODE_UID,
    DRAIN_FINALIZER,
    GPU_RESOURCE,
    LABEL_ACCEPTANCE,
    LABEL_NODE_CLAIM,
    LABEL_NODE_POOL,
    Check,
    MachineOrder,
    Taint,
)
from operators.nodepool.pool_rules import claim_template

NAME_PART_MAX = 50
PODS_PER_NODE = 110
# What the acceptance run itself needs, besides the GPUs it exercises.
ACCEPTANCE_CPU = "10m"
ACCEPTANCE_MEMORY = "32Mi"
ACCEPTANCE_USER = 65_532


def claim_name(pool: str, ordinal: int) -> str:
    """The one name of the pool's claim `ordinal`."""
    return f"{pool}-{ordinal}"


def acceptance_name(claim: str) -> str:
    """The one name of the claim's acceptance pod."""
    return f"acceptance-{claim}"


def build_claim(pool: Obj, ordinal: int) -> Obj:
    """The pool's claim `ordinal`, with its finalizer: nothing is made before the way back is sure."""
    name, spec = pool["metadata"]["name"], pool["spec"]
    return {
        "apiVersion": NODE_CLAIMS.api_version,
        "kind": NODE_CLAIMS.kind,
        "metadata": {
            "name": claim_name(name, ordinal),
            "labels": {LABEL_NODE_POOL: name},
            "finalizers": [DRAIN_FINALIZER],
            "ownerReferences": [owner_reference(pool)],
        },
        "spec": {
            "poolRef": name,
            "ordinal": ordinal,
            **claim_template(spec),
        },
    }


def quarantine_name(provider_id: str) -> str:
    """The one name of a host's record: readable, and no other host's."""
    readable = re.sub(r"[^a-z0-9]+", "-", provider_id.lower()).strip("-")[:NAME_PART_MAX].strip("-")
    digest = hashlib.blake2b(provider_id.encode(), digest_size=4).hexdigest()
    return f"{readable}-{digest}" if readable else digest


def build_quarantine(claim: Obj, provider_id: str, message: str, checks: tuple[Check, ...]) -> Obj:
    """The record of a host that failed its checks. It has no owner: it outlives claim and pool."""
    spec = claim["spec"]
    return {
        "apiVersion": HOST_QUARANTINES.api_version,
        "kind": HOST_QUARANTINES.kind,
        "metadata": {"name": quarantine_name(provider_id), "labels": {LABEL_NODE_POOL: spec["poolRef"]}},
        "spec": {
            "provider": spec["provider"],
            "providerID": provider_id,
            "pool": spec["poolRef"],
            "claim": claim["metadata"]["name"],
            "message": message[:DETAIL_LENGTH_MAX],
            "checks": [
                {"name": check.name, "result": check.result, "detail": check.detail} for check in checks
            ],
        },
    }


def build_fake_node(order: MachineOrder, provider_id: str) -> Obj:
    """A Node that KWOK plays, owned by its claim so that it cannot outlive it."""
    resources = {"cpu": f"{order.cpu_milli}m", "memory": f"{order.memory_mib}Mi", "pods": str(PODS_PER_NODE)}
    if order.gpus:
        resources[GPU_RESOURCE] = str(order.gpus)
    claim = {
        "apiVersion": NODE_CLAIMS.api_version,
        "kind": NODE_CLAIMS.kind,
        "metadata": {"name": order.claim_name, "uid": order.claim_uid},
    }
    labels = {
        "kubernetes.io/hostname": order.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "type": "kwok",
        **dict(order.labels),
    }
    return {
        "apiVersion": "v1",
        "kind": NODES.kind,
        "metadata": {
            "name": order.node_name,
            "labels": labels,
            "annotations": {"kwok.x-k8s.io/node": "fake", ANNOTATION_CLAIM_UID: order.claim_uid},
            "ownerReferences": [owner_reference(claim, is_blocking=False)],
        },
        "spec": {"providerID": provider_id, "taints": [wire_taint(taint) for taint in order.taints]},
        "status": {"capacity": resources, "allocatable": resources},
    }


def build_acceptance_pod(claim: Obj, node: Obj, order: MachineOrder, namespace: str) -> Obj:
    """The run that must pass before the node takes work: bound to the node, holding all its GPUs."""
    resources = {"cpu": ACCEPTANCE_CPU, "memory": ACCEPTANCE_MEMORY}
    if order.gpus:
        resources[GPU_RESOURCE] = str(order.gpus)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": acceptance_name(order.claim_name),
            "namespace": namespace,
            "labels": {
                LABEL_ACCEPTANCE: "true",
                LABEL_NODE_CLAIM: order.claim_name,
                LABEL_NODE_POOL: order.pool,
            },
            "annotations": {ANNOTATION_NODE_UID: uid_of(node), ANNOTATION_CLAIM_UID: order.claim_uid},
            "ownerReferences": [owner_reference(claim, is_blocking=False)],
        },
        "spec": {
            # Named, not scheduled: it goes to this node whatever taints the node has.
            "nodeName": order.node_name,
            "tolerations": [{"operator": "Exists"}],
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": ACCEPTANCE_USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "acceptance",
                    "image": ACCEPTANCE_IMAGE,
                    # What the machine was ordered with, held against what it turns out to have.
                    "env": [
                        {"name": "REMPART_EXPECTED_CPU_MILLI", "value": str(order.cpu_milli)},
                        {"name": "REMPART_EXPECTED_MEMORY_MIB", "value": str(order.memory_mib)},
                    ],
                    "resources": {"requests": resources, "limits": resources},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                }
            ],
        },
    }


def wire_taint(taint: Taint) -> Obj:
    """A taint as a Node's spec writes it."""
    result = {"key": taint.key, "effect": taint.effect}
    return {**result, "value": taint.value} if taint.value else result
