"""What may be asked for one machine, and how a machine is shown. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.capacity.domain import Node, NodeAction

CLAIM_READY = "Ready"
# Reasons of a claim that takes no work, as phases that say so; any other one is trouble of the node.
SHOWN = {"Cordoned": "Cordoned", "Draining": "Draining", "Drained": "Drained"}
NOT_READY = "NotReady"


@dataclass(frozen=True, slots=True)
class PoolAround:
    """What stands around a machine. `others_ready`: machines of its pool that take work and are asked nothing.

    `needed`: machines that what deployments hold of the pool needs. `held_reason`: why somebody keeps it by hand.
    """

    others_ready: int
    needed: int
    is_paused: bool = False
    is_going: bool = False
    held_reason: str = ""


def shown_phase(node: Node) -> str:
    """The phase that people read: Ready only while the machine takes work."""
    if node.is_leaving:
        return node.phase if node.phase in ("Draining", "Releasing") else "Draining"
    if node.phase != CLAIM_READY or node.is_ready:
        return node.phase
    return SHOWN.get(node.reason, NOT_READY)


def find_refusal(node: Node, action: NodeAction, around: PoolAround | None, *, is_forced: bool) -> str | None:
    """Why an order is refused, in a sentence; None when it may be given.

    Shapes: `around` is None where REST knows no such pool. `is_forced` gives up the room of what is placed there.
    """
    name = node.name
    if around is None:
        return (
            f"The pool '{node.pool_name}' of '{name}' was made in its cell, so its machines are kept there, too:"
            f" kubectl cordon, uncordon or drain {name}, or kubectl delete nc/{name} to replace it."
        )
    if around.is_going or (node.is_leaving and node.order is not NodeAction.REPLACE):
        return f"'{name}' is being drained and given back already."
    if node.is_leaving or node.order is NodeAction.REPLACE:
        return None if action is NodeAction.REPLACE else f"'{name}' is being replaced already."
    if around.held_reason:
        return (
            f"The pool '{node.pool_name}' is kept by hand in its cell ({around.held_reason}), where no order of REST is"
            f" read: use kubectl, or take the annotation rempart.eu/break-glass away first."
        )
    if not node.uid:
        return f"The cell has not told which machine '{name}' is yet: try again in a minute."
    if action is NodeAction.REPLACE and around.is_paused:
        return f"The pool '{node.pool_name}' is paused and makes no machine: resume it first."
    return None if is_forced else _find_harm(node, action, around)


def _find_harm(node: Node, action: NodeAction, around: PoolAround) -> str | None:
    if action not in (NodeAction.DRAIN, NodeAction.REPLACE) or not node.is_ready:
        return None
    hint = "add a machine to the pool first, move or delete them, or force it"
    if around.others_ready < around.needed:
        return (
            f"Deployments hold capacity of '{node.pool_name}' that needs {around.needed} machines, and without"
            f" '{node.name}' {around.others_ready} take work: {hint}."
        )
    if action is NodeAction.REPLACE and around.others_ready == 0:
        return (
            f"'{node.name}' is the last machine of '{node.pool_name}' that takes work, and its replacement comes only"
            f" once it is gone: {hint}."
        )
    return None
