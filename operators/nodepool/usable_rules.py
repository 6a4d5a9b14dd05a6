"""Whether the scheduler would put a tenant's pod on a node. Pure.

The tests are those of kube-scheduler's filter plugins that look at the node alone: NodeUnschedulable,
TaintToleration, NodeResourcesFit (whether the node offers its GPUs and any pod at all). The conditions
of the kubelet come before the taints that Kubernetes derives from them, so they count by themselves.
Source: https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins
"""

from dataclasses import dataclass

from operators.nodepool.domain import UNVALIDATED, NodeFacts, Reason, Taint

KEEPS_AWAY = frozenset({"NoSchedule", "NoExecute"})
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a node takes no tenant's pod, for programs and for people."""

    reason: Reason
    message: str


def why_unusable(node: NodeFacts, tolerated: tuple[Taint, ...], gpus: int) -> Trouble | None:
    """The first reason that keeps tenants' pods away; None when the node takes work.

    Shapes: `tolerated` are the taints that every pod of a tenant on this pool tolerates, `gpus` the
    number that the machine was ordered with.
    """
    if node.is_deleting:
        return Trouble(Reason.NODE_DELETING, "the node is being deleted")
    if not node.is_ready:
        return Trouble(Reason.NODE_NOT_READY, node.not_ready_message or "the node is not ready")
    if node.is_cordoned:
        return Trouble(Reason.CORDONED, f"the node is cordoned: kubectl uncordon {node.name}")
    if node.pressures:
        return Trouble(Reason.NODE_PRESSURE, f"the node reports {', '.join(node.pressures)}")
    shut = [taint for taint in foreign_taints(node, tolerated) if taint != UNVALIDATED]
    if shut:
        names = ", ".join(sorted(f"{taint.key}:{taint.effect}" for taint in shut))
        return Trouble(Reason.NODE_TAINTED, f"tenants' pods do not tolerate {names}")
    if node.gpus < gpus:
        return Trouble(Reason.GPUS_MISSING, f"the node offers {node.gpus} of {gpus} GPUs")
    if node.pods < 1:
        return Trouble(Reason.NODE_PRESSURE, "the node offers no room for pods")
    return None


def foreign_taints(node: NodeFacts, tolerated: tuple[Taint, ...]) -> tuple[Taint, ...]:
    """Taints that keep away what tolerates `tolerated` and nothing else."""
    return tuple(
        taint for taint in node.taints if taint.effect in KEEPS_AWAY and not _is_tolerated(taint, tolerated)
    )


def _is_tolerated(taint: Taint, tolerated: tuple[Taint, ...]) -> bool:
    # A toleration with the operator Equal: key, value and effect.
    return any(
        (taint.key, taint.value, taint.effect) == (known.key, known.value, known.effect)
        for known in tolerated
    )
