"""What is asked for single machines, over what the claim's rules say. Pure."""

from dataclasses import dataclass, replace

from operators.apis.v1alpha1 import NodeAction
from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.clock import parse_time, wire_time
from operators.lib.conditions import ConditionValue
from operators.lib.objects import Obj, uid_of
from operators.nodepool.claim_rules import Decision
from operators.nodepool.domain import Order, Reason

SHUT = frozenset({NodeAction.CORDON.value, NodeAction.DRAIN.value})


@dataclass(frozen=True, slots=True)
class NodeStep:
    """What to write to the Node. `is_undone`: somebody took back what had been carried out."""

    is_cordoned: bool
    is_undone: bool


def order_of(claim: Obj, pool: Obj) -> Order | None:
    """The order for this very claim; one for an earlier machine of its name is none."""
    name, uid = claim["metadata"]["name"], uid_of(claim)
    for each in pool["spec"].get("nodeOrders") or []:
        if each["claim"] == name and each["uid"] == uid:
            return Order(each["action"], each["since"], parse_time(each["since"]))
    return None


def next_step(order: Order, *, is_cordoned: bool, done: str) -> NodeStep | None:
    """What the Node lacks; `done` is the order that was carried out on it last. None: nothing to do.

    A cordon lasts; an uncordon opens the node once, so that whoever cordons it later in the cell is not undone.
    """
    is_done = done == order.since_text
    if order.action in SHUT:
        return None if is_cordoned and is_done else NodeStep(True, is_done)
    if order.action == NodeAction.UNCORDON and not is_done:
        return NodeStep(False, False)
    return None


def with_order(decision: Decision, order: Order, left: str | None) -> Decision:
    """The decision's conditions with what is asked for the machine; other troubles of the node come first.

    Shapes: `left` is what a drain still waits for, empty once no pod is left, None where nothing is drained.
    """
    if order.action not in SHUT or not decision.conditions:
        return decision
    ready = next(value for value in decision.conditions if value.type == "Ready")
    others = tuple(value for value in decision.conditions if value.type != "Ready")
    if left is not None:
        others = (*others, _drained(left))
    if decision.phase is Phase.READY and (ready.status == "True" or ready.reason == Reason.CORDONED):
        ready = _closed(order, left)
    return replace(decision, conditions=(*others, ready))


def _drained(left: str) -> ConditionValue:
    if left:
        return ConditionValue("Drained", "False", Reason.DRAINING, left)
    return ConditionValue("Drained", "True", Reason.DRAINED, "no pod is left on the node")


def _closed(order: Order, left: str | None) -> ConditionValue:
    if left:
        return ConditionValue("Ready", "False", Reason.DRAINING, left)
    how = "rempart admin nodes uncordon lets it take work again"
    if left is not None:
        return ConditionValue("Ready", "False", Reason.DRAINED, f"no pod is left on the node; {how}")
    return ConditionValue(
        "Ready", "False", Reason.CORDONED, f"it is cordoned since {wire_time(order.since)}; {how}"
    )
