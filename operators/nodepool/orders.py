"""Carries out what is asked for single machines that live: cordon, uncordon, drain. A replacement is their pool's."""

from dataclasses import replace

import structlog

from operators.apis.v1alpha1 import NodeAction
from operators.lib.clock import wire_time
from operators.lib.conditions import find_condition
from operators.lib.controller import World
from operators.lib.objects import NODES, Obj, key_of
from operators.nodepool.caches import Caches
from operators.nodepool.claim_rules import Decision
from operators.nodepool.domain import ANNOTATION_ORDER, MANAGER, ClaimFacts, NodeFacts, Order
from operators.nodepool.order_rules import next_step, with_order
from operators.nodepool.teardown import Teardown

log = structlog.get_logger(__name__)


class Orders:
    """The part of the claim controller that obeys the pool's `nodeOrders`."""

    def __init__(self, caches: Caches, teardown: Teardown) -> None:
        self._caches = caches
        self._teardown = teardown

    async def carry_out(
        self, claim: Obj, facts: ClaimFacts, node: Obj, seen: NodeFacts, decision: Decision, world: World
    ) -> Decision:
        """One step of the claim's order; the decision with what it means for the claim's conditions."""
        order = self._caches.order_of(claim)
        if order is None:
            return decision
        await self._mark(claim, node, seen, order, world)
        if order.action != NodeAction.DRAIN:
            return with_order(decision, order, None)
        drained = find_condition((claim.get("status") or {}).get("conditions") or [], "Drained")
        was_empty = drained is not None and drained["status"] == "True"
        left, wait_s = await self._teardown.drain_living(node, facts, order.since, world, was_empty=was_empty)
        decision = with_order(decision, order, left)
        waits_s = [value for value in (decision.requeue_after_s, wait_s) if value is not None]
        return replace(decision, requeue_after_s=min(waits_s, default=None))

    async def _mark(self, claim: Obj, node: Obj, seen: NodeFacts, order: Order, world: World) -> None:
        done = (node["metadata"].get("annotations") or {}).get(ANNOTATION_ORDER, "")
        step = next_step(order, is_cordoned=seen.is_cordoned, done=done)
        if step is None:
            return
        patch: Obj = {
            "metadata": {"annotations": {ANNOTATION_ORDER: order.since_text}},
            "spec": {"unschedulable": True if step.is_cordoned else None},
        }
        answer = await world.client.patch(NODES, key_of(node), patch, manager=MANAGER)
        self._caches.nodes.observe_write(answer)
        log.info("node_order_carried_out", claim=seen.name, action=order.action, again=step.is_undone)
        if step.is_undone:
            text = (
                f"it was opened by hand and cordoned again, as REST wants it cordoned since {wire_time(order.since)}:"
                f" rempart admin nodes uncordon {seen.name} (POST /v1/admin/nodes/{seen.name}/uncordon) opens it"
            )
            world.events.record(claim, "CordonKept", text, is_warning=True)
        else:
            world.events.record(
                claim, "OrderCarriedOut", f"{order.action}, asked for at {wire_time(order.since)}"
            )
