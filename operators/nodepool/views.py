"""Raw objects → the facts that the rules reason about. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from operators.apis.v1alpha1 import NodeClaimPhase
from operators.lib.clock import parse_time
from operators.lib.conditions import find_condition
from operators.lib.objects import Obj, is_deleting, key_of, labels_of, uid_of
from operators.lib.tenant_pods import tolerated_taints
from operators.nodepool.domain import (
    ANNOTATION_ACCEPTED,
    GPU_RESOURCE,
    LABEL_ACCELERATOR,
    LABEL_ACCEPTANCE,
    LABEL_CELL,
    LABEL_DATACENTER,
    LABEL_INSTANCE_TYPE,
    LABEL_NODE_CLAIM,
    LABEL_NODE_POOL,
    LABEL_SIMULATED,
    LABEL_TENANT,
    LABEL_ZONE,
    SIMULATED,
    UNVALIDATED,
    Check,
    ClaimFacts,
    MachineOrder,
    NodeFacts,
    PodFacts,
    Proof,
    Taint,
)
from operators.nodepool.drain_rules import BudgetFacts
from operators.nodepool.usable_rules import PRESSURES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
GRACE_DEFAULT_S = 30
POD_METADATA = (
    "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "labels",
    "ownerReferences",
)  # fmt: skip
# In a slim pod: whether any container asks for a GPU.
SLIM_GPUS = "needsGpu"


def _time(text: str | None) -> datetime | None:
    return parse_time(text) if text else None


def claim_facts(claim: Obj) -> ClaimFacts:
    """A NodeClaim's facts."""
    metadata, spec, status = claim["metadata"], claim["spec"], claim.get("status") or {}
    conditions = status.get("conditions") or []
    ready, launched = find_condition(conditions, "Ready"), find_condition(conditions, "Launched")
    return ClaimFacts(
        name=metadata["name"],
        uid=uid_of(claim),
        phase=NodeClaimPhase(status.get("phase") or "Pending"),
        phase_since=_time(status.get("phaseSince")),
        created_at=_time(metadata.get("creationTimestamp")) or EPOCH,
        deleting_since=_time(metadata.get("deletionTimestamp")),
        ready_reason=ready["reason"] if ready else "",
        ready_message=str(ready.get("message") or "") if ready else "",
        launched_reason=launched["reason"] if launched else "",
        proof=_proof(status.get("acceptance")),
        gpus=_gpus(spec),
        tolerated=tuple(_taint(taint) for taint in tolerated_taints(spec.get("nodeTaints") or [])),
    )


def node_facts(node: Obj) -> NodeFacts:
    """A Node's facts."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    conditions = status.get("conditions") or []
    ready = find_condition(conditions, "Ready")
    is_ready = ready is not None and ready["status"] == "True"
    allocatable = status.get("allocatable") or {}
    return NodeFacts(
        name=node["metadata"]["name"],
        uid=uid_of(node),
        provider_id=spec.get("providerID") or "",
        is_ready=is_ready,
        not_ready_message=str(ready.get("message") or "") if ready else "the node has not reported yet",
        is_cordoned=bool(spec.get("unschedulable")),
        is_deleting=is_deleting(node),
        labels=labels_of(node),
        taints=tuple(_taint(taint) for taint in spec.get("taints") or []),
        pressures=tuple(
            condition["type"]
            for condition in conditions
            if condition["type"] in PRESSURES and condition["status"] == "True"
        ),
        gpus=_whole(allocatable.get(GPU_RESOURCE)),
        pods=_whole(allocatable.get("pods")),
        proof=_annotated_proof(node),
        not_ready_since=_time(ready.get("lastTransitionTime")) if ready and not is_ready else None,
    )


def _whole(quantity: Any) -> int:
    # Extended resources and pods are whole numbers by Kubernetes' own validation; "1k" is legal and unused.
    text = str(quantity or "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _gpus(spec: Obj) -> int:
    return int((spec.get("accelerator") or {}).get("count", 0))


def _annotated_proof(node: Obj) -> Proof | None:
    text = (node["metadata"].get("annotations") or {}).get(ANNOTATION_ACCEPTED)
    if not text:
        return None
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return _proof(record)


def _proof(record: Any) -> Proof | None:
    """A passed run from a record; None from a failed one, or from what is no record."""
    if not isinstance(record, dict) or not isinstance(record.get("passedAt"), str) or not record["passedAt"]:
        return None
    entries = record.get("checks") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return None
    checks = tuple(
        Check(str(entry.get("name", "")), str(entry.get("result", "")), str(entry.get("detail", "")))
        for entry in entries
    )
    return Proof(str(record.get("nodeUID") or ""), record["passedAt"], checks)


def pod_facts(pod: Obj) -> PodFacts:
    """The facts of a pod that stands in the way of a drain."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    owners = metadata.get("ownerReferences") or []
    grace_s = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    return PodFacts(
        key=key_of(pod),
        uid=uid_of(pod),
        is_mirror=MIRROR_ANNOTATION in (metadata.get("annotations") or {}),
        is_daemon=any(owner["kind"] == "DaemonSet" and owner.get("controller") for owner in owners),
        is_finished=status.get("phase") in ("Succeeded", "Failed"),
        is_acceptance=labels_of(pod).get(LABEL_ACCEPTANCE) == "true",
        deleting_since=_time(metadata.get("deletionTimestamp")),
        grace_s=GRACE_DEFAULT_S if grace_s is None else int(grace_s),
        labels=tuple(sorted(labels_of(pod).items())),
        needs_gpu=bool((pod.get("spec") or {}).get(SLIM_GPUS)),
        node=(pod.get("spec") or {}).get("nodeName") or "",
    )


def budget_facts(budget: Obj) -> BudgetFacts:
    """A PodDisruptionBudget's facts."""
    status = budget.get("status") or {}
    selector = (budget.get("spec") or {}).get("selector")
    return BudgetFacts(key_of(budget), selector, int(status.get("disruptionsAllowed") or 0))


def slim_budget(budget: Obj) -> Obj:
    """What is read of a PodDisruptionBudget: its status also lists each pod that is leaving."""
    metadata = budget["metadata"]
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {key: metadata[key] for key in POD_METADATA if key in metadata},
        "spec": {"selector": (budget.get("spec") or {}).get("selector")},
        "status": {"disruptionsAllowed": (budget.get("status") or {}).get("disruptionsAllowed") or 0},
    }


def slim_pod(pod: Obj) -> Obj:
    """What a cache of every pod of the cell keeps of one: a twentieth of its bytes."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    mark = annotations.get(MIRROR_ANNOTATION)
    slim = {key: metadata[key] for key in POD_METADATA if key in metadata}
    slim["annotations"] = {MIRROR_ANNOTATION: mark} if mark is not None else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": slim,
        "spec": {
            "nodeName": spec.get("nodeName") or "",
            "terminationGracePeriodSeconds": spec.get("terminationGracePeriodSeconds"),
            SLIM_GPUS: any(
                GPU_RESOURCE in ((container.get("resources") or {}).get(part) or {})
                for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
                for part in ("requests", "limits")
            ),
        },
        "status": {"phase": (pod.get("status") or {}).get("phase")},
    }


def node_of_pod(pod: Obj) -> tuple[str, ...]:
    """Indexer: the node that a pod is bound to."""
    name = (pod.get("spec") or {}).get("nodeName")
    return (name,) if name else ()


def work_of(pods: Iterable[PodFacts]) -> tuple[str, ...]:
    """Pods at work: a tenant's, or one that holds a GPU. The node's own and ended ones are none."""
    return tuple(
        str(pod.key)
        for pod in pods
        if not (pod.is_mirror or pod.is_daemon or pod.is_finished or pod.is_acceptance)
        and (pod.needs_gpu or any(key == LABEL_TENANT for key, _ in pod.labels))
    )


def machine_order(claim: Obj, *, is_simulated: bool) -> MachineOrder:
    """What to ask the claim's provider for: the node's name is the claim's."""
    spec, name = claim["spec"], claim["metadata"]["name"]
    accelerator = spec.get("accelerator") or {}
    labels = dict(spec.get("nodeLabels") or {})
    labels |= {
        LABEL_DATACENTER: spec["datacenter"],
        LABEL_CELL: spec["cell"],
        LABEL_NODE_POOL: spec["poolRef"],
        LABEL_NODE_CLAIM: name,
        LABEL_INSTANCE_TYPE: spec["instanceType"],
        LABEL_ZONE: spec["datacenter"],
    }
    if accelerator:
        labels[LABEL_ACCELERATOR] = accelerator["sku"]
    taints = [_taint(taint) for taint in spec.get("nodeTaints") or []]
    if is_simulated:
        labels[LABEL_SIMULATED] = "true"
        taints.append(SIMULATED)
    return MachineOrder(
        claim_uid=uid_of(claim),
        claim_name=name,
        node_name=name,
        pool=spec["poolRef"],
        cpu_milli=spec["cpuMilli"],
        memory_mib=spec["memoryMiB"],
        gpus=_gpus(spec),
        labels=tuple(sorted(labels.items())),
        taints=(UNVALIDATED, *taints),
        ordered_at=_time(claim["metadata"].get("creationTimestamp")) or EPOCH,
    )


def _taint(taint: Obj) -> Taint:
    return Taint(taint["key"], taint.get("value") or "", taint["effect"])
