"""Gives one claim's machine back: cordon, drain, release, and only then let the claim go."""

from datetime import datetime

import structlog

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.clock import wire_time
from operators.lib.controller import Result, World
from operators.lib.errors import Conflict
from operators.lib.objects import NODE_CLAIMS, NODES, PODS, Obj, ObjectKey, is_deleting, key_of, uid_of
from operators.lib.store import Store
from operators.nodepool.claim_rules import Action, Decision
from operators.nodepool.domain import DRAIN_FINALIZER, MANAGER, RELEASE_TIMEOUT_S
from operators.nodepool.drain_rules import DRAIN_POLL_S, DrainPlan, decide_drain
from operators.nodepool.providers.base import Machine, Provider
from operators.nodepool.resources import acceptance_name
from operators.nodepool.status_rules import claim_status, teardown_conditions
from operators.nodepool.views import claim_facts, pod_facts

log = structlog.get_logger(__name__)

RELEASE_POLL_S = 1.0


class Teardown:
    """The part of the claim controller that runs once deletion was asked for."""

    def __init__(self, claims: Store, nodes: Store, acceptances: Store, system_namespace: str) -> None:
        self._claims = claims
        self._nodes = nodes
        self._acceptances = acceptances
        self._namespace = system_namespace

    async def step(self, claim: Obj, node: Obj | None, provider: Provider, world: World) -> Result:
        """One step back. Without our finalizer there is nothing left to do here."""
        finalizers = claim["metadata"].get("finalizers") or []
        if DRAIN_FINALIZER not in finalizers:
            return Result()
        facts = claim_facts(claim)
        assert facts.deleting_since is not None
        if node is not None and facts.phase is not Phase.RELEASING:
            remaining = await self._drain(node, facts.deleting_since, world)
            if remaining:
                await self._write_status(claim, Phase.DRAINING, remaining, provider, world)
                return Result(DRAIN_POLL_S)
        machine = Machine(facts.uid, facts.name, (claim.get("status") or {}).get("providerID") or "")
        if not await provider.release(machine):
            await self._write_status(claim, Phase.RELEASING, 0, provider, world)
            if facts.phase is Phase.RELEASING:
                await self._give_up_waiting(node, facts.phase_since, world)
            return Result(RELEASE_POLL_S)
        await self._let_go(claim, [name for name in finalizers if name != DRAIN_FINALIZER], world)
        return Result()

    async def _drain(self, node: Obj, deleting_since: datetime, world: World) -> int:
        name = node["metadata"]["name"]
        if not (node.get("spec") or {}).get("unschedulable"):
            cordoned = await world.client.patch(
                NODES, key_of(node), {"spec": {"unschedulable": True}}, manager=MANAGER
            )
            self._nodes.observe_write(cordoned)
        pods = await world.client.list(PODS, field_selector=f"spec.nodeName={name}")
        plan = decide_drain(tuple(pod_facts(pod) for pod in pods.items), deleting_since, world.clock.now())
        await self._carry_out(plan, world)
        return plan.remaining

    async def _carry_out(self, plan: DrainPlan, world: World) -> None:
        for pod in plan.evict:
            is_evicted = await world.client.evict(pod.key, uid=pod.uid)
            log.info("pod_evicted" if is_evicted else "eviction_refused", pod=str(pod.key))
        for removal in plan.delete:
            try:
                await world.client.delete(PODS, removal.pod.key, uid=removal.pod.uid, grace_s=removal.grace_s)
            except Conflict:
                # Another pod has the name now; it is not on this node.
                log.debug("pod_replaced", pod=str(removal.pod.key))

    async def _give_up_waiting(self, node: Obj | None, since: datetime, world: World) -> None:
        over_s = (world.clock.now() - since).total_seconds() - RELEASE_TIMEOUT_S
        if node is not None and over_s >= 0 and not is_deleting(node):
            log.warning("node_removed_unreported", node=node["metadata"]["name"])
            await world.client.delete(NODES, key_of(node), uid=uid_of(node))

    async def _let_go(self, claim: Obj, finalizers: list[str], world: World) -> None:
        key = ObjectKey(self._namespace, acceptance_name(claim["metadata"]["name"]))
        pod = self._acceptances.get(key)
        if pod is not None and not is_deleting(pod):
            await world.client.delete(PODS, key, uid=uid_of(pod), grace_s=0)
        metadata = {"resourceVersion": claim["metadata"]["resourceVersion"], "finalizers": finalizers}
        answer = await world.client.patch(NODE_CLAIMS, key_of(claim), {"metadata": metadata}, manager=MANAGER)
        if finalizers:
            self._claims.observe_write(answer)
        else:
            # With its last finalizer the object is gone: the cache need not wait for the event.
            self._claims.remove(answer, "write")
        log.info("claim_released", claim=claim["metadata"]["name"])

    async def _write_status(
        self, claim: Obj, phase: Phase, remaining: int, provider: Provider, world: World
    ) -> None:
        decision = Decision(Action.NONE, phase, teardown_conditions(phase, remaining))
        status = claim_status(
            claim.get("status") or {},
            decision,
            generation=claim["metadata"]["generation"],
            now=wire_time(world.clock.now()),
            provider_id="",
            node_name="",
            is_simulated=provider.is_simulated,
        )
        answer = await world.client.patch_status(NODE_CLAIMS, claim, status, manager=MANAGER)
        if answer is not None:
            self._claims.observe_write(answer)
