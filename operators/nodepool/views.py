"""Raw objects → the facts that the rules reason about. Pure."""

from datetime import UTC, datetime

from operators.apis.v1alpha1 import NodeClaimPhase
from operators.lib.clock import parse_time
from operators.lib.conditions import find_condition
from operators.lib.objects import Obj, is_deleting, key_of, labels_of, uid_of
from operators.nodepool.domain import (
    LABEL_ACCELERATOR,
    LABEL_ACCEPTANCE,
    LABEL_CELL,
    LABEL_DATACENTER,
    LABEL_INSTANCE_TYPE,
    LABEL_NODE_CLAIM,
    LABEL_NODE_POOL,
    LABEL_SIMULATED,
    LABEL_ZONE,
    SIMULATED,
    UNVALIDATED,
    ClaimFacts,
    MachineOrder,
    NodeFacts,
    PodFacts,
    Taint,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
GRACE_DEFAULT_S = 30


def _time(text: str | None) -> datetime | None:
    return parse_time(text) if text else None


def claim_facts(claim: Obj) -> ClaimFacts:
    """A NodeClaim's facts."""
    metadata, status = claim["metadata"], claim.get("status") or {}
    conditions = status.get("conditions") or []
    ready, launched = find_condition(conditions, "Ready"), find_condition(conditions, "Launched")
    created_at = _time(metadata.get("creationTimestamp")) or EPOCH
    return ClaimFacts(
        name=metadata["name"],
        uid=uid_of(claim),
        phase=NodeClaimPhase(status.get("phase") or "Pending"),
        phase_since=_time(status.get("phaseSince")) or created_at,
        created_at=created_at,
        deleting_since=_time(metadata.get("deletionTimestamp")),
        ready_reason=ready["reason"] if ready else "",
        launched_reason=launched["reason"] if launched else "",
        is_accepted=bool((status.get("acceptance") or {}).get("passedAt")),
    )


def node_facts(node: Obj) -> NodeFacts:
    """A Node's facts."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    ready = find_condition(status.get("conditions") or [], "Ready")
    return NodeFacts(
        name=node["metadata"]["name"],
        uid=uid_of(node),
        provider_id=spec.get("providerID") or "",
        is_ready=ready is not None and ready["status"] == "True",
        not_ready_message=str(ready.get("message") or "") if ready else "the node has not reported yet",
        is_cordoned=bool(spec.get("unschedulable")),
        is_deleting=is_deleting(node),
        labels=labels_of(node),
        taints=tuple(_taint(taint) for taint in spec.get("taints") or []),
    )


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
        gpus=int(accelerator.get("count", 0)),
        labels=tuple(sorted(labels.items())),
        taints=(UNVALIDATED, *taints),
        ordered_at=_time(claim["metadata"].get("creationTimestamp")) or EPOCH,
    )


def _taint(taint: Obj) -> Taint:
    return Taint(taint["key"], taint.get("value") or "", taint["effect"])
