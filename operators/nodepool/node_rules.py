"""What a Node of ours carries. Pure."""

from operators.nodepool.domain import SIMULATED, UNVALIDATED, MachineOrder, NodeFacts, Taint


def wanted_taints(order: MachineOrder, node: NodeFacts, *, is_accepted: bool) -> tuple[Taint, ...]:
    """The taints the node shall carry: those that are not ours stay as they are.

    A node that was not accepted carries `unvalidated`, whoever removed it.
    """
    ours = {(taint.key, taint.effect): taint for taint in order.taints if taint != UNVALIDATED}
    kept = [
        taint
        for taint in node.taints
        if taint.key not in (UNVALIDATED.key, SIMULATED.key) and (taint.key, taint.effect) not in ours
    ]
    wanted = [*kept, *ours.values()]
    return tuple(wanted if is_accepted else [UNVALIDATED, *wanted])


def missing_labels(order: MachineOrder, node: NodeFacts) -> dict[str, str]:
    """Labels that the node lacks or that somebody changed."""
    return {key: value for key, value in order.labels if node.labels.get(key) != value}
