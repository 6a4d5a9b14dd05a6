"""Gives one claim's machine back: cordon, drain, release, and only then let the claim go.

Waiting costs next to nothing: the cell's pods are cached, so a change wakes the drain it concerns; a pod
that was refused is asked again later and later, from a share of the request rate that is the drains' own.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.clock import wire_time
from operators.lib.conditions import ConditionValue
from operators.lib.controller import Result, World
from operators.lib.errors import ApiError, Conflict, is_transient
from operators.lib.objects import NODE_CLAIMS, NODES, PODS, Obj, ObjectKey, is_deleting, key_of, uid_of
from operators.lib.phases import elapsed_s
from operators.lib.store import Change
from operators.nodepool.caches import Caches
from operators.nodepool.claim_rules import Action, Decision, refused_retry_s
from operators.nodepool.domain import (
    DRAIN_FINALIZER,
    DRAIN_TIMEOUT_S,
    MANAGER,
    RELEASE_TIMEOUT_S,
    ClaimFacts,
    PodFacts,
    Reason,
)
from operators.nodepool.drain_rules import (
    DrainPlan,
    Refusal,
    decide_drain,
    describe,
    refused_again,
    released_by,
)
from operators.nodepool.metrics import NodePoolMetrics
from operators.nodepool.providers.base import Machine, Provider, ProviderError
from operators.nodepool.resources import acceptance_name
from operators.nodepool.status_rules import claim_status, draining, releasing
from operators.nodepool.views import budget_facts, claim_facts, pod_facts

log = structlog.get_logger(__name__)

RELEASE_POLL_FIRST_S = 1.0
RELEASE_POLL_MAX_S = 15.0
EVICTIONS_IN_FLIGHT_MAX = 8
HISTORY = ("Launched", "Registered", "Accepted")


class Teardown:
    """The part of the claim controller that runs once deletion was asked for."""

    def __init__(self, caches: Caches, metrics: NodePoolMetrics) -> None:
        self._caches = caches
        self._metrics = metrics
        # By the claim's uid, then the pod's. Lost with the process: then each pod is asked once more.
        self._refusals: dict[str, dict[str, Refusal]] = {}

    def keys_of_budget(self, change: Change) -> Iterable[ObjectKey]:
        """A budget that allows more wakes the drains of as many pods as it lets go."""
        new = budget_facts(change.new) if change.new is not None else None
        old = budget_facts(change.old) if change.old is not None else None
        refused = [each for mine in self._refusals.values() for each in mine.values()]
        names = set()
        for refusal in released_by(new, old, refused):
            for mine in self._refusals.values():
                if mine.pop(refusal.pod.uid, None) is not None:
                    names.add(refusal.pod.node)
        return [ObjectKey("", name) for name in sorted(names)]

    async def step(self, claim: Obj, node: Obj | None, provider: Provider | None, world: World) -> Result:
        """One step back. Without our finalizer there is nothing left to do here."""
        finalizers = claim["metadata"].get("finalizers") or []
        if DRAIN_FINALIZER not in finalizers:
            return Result()
        facts = claim_facts(claim)
        assert facts.deleting_since is not None
        if node is not None:
            # Whatever the status says: what is still there is drained first.
            try:
                plan = await self._drain(node, facts, facts.deleting_since, world)
            except ApiError as err:
                if is_transient(err):
                    raise
                return await self._say_refused(claim, facts, err.message, world)
            if plan is not None:
                return await self._wait_for_pods(claim, facts, plan, world)
        trouble, is_gone = await self._release(claim, node, facts, provider, world)
        if not is_gone:
            await self._write_status(claim, Phase.RELEASING, releasing(trouble), provider, world)
            if facts.phase is Phase.RELEASING:
                await self._give_up_waiting(node, facts, world)
            waited_s = elapsed_s(facts.phase_since, world.clock.now())
            return Result(min(max(waited_s / 4, RELEASE_POLL_FIRST_S), RELEASE_POLL_MAX_S))
        await self._let_go(claim, world)
        return Result()

    async def _say_refused(self, claim: Obj, facts: ClaimFacts, message: str, world: World) -> Result:
        """The API server, or a policy of the cluster, refused the drain itself."""
        text = f"the drain was refused: {message}"
        await self._write_status(claim, Phase.DRAINING, draining(text), None, world)
        world.events.record(claim, "DrainRefused", text, is_warning=True)
        return Result(refused_retry_s(facts, world.clock.now()))

    async def drain_living(
        self, node: Obj, facts: ClaimFacts, since: datetime, world: World, *, was_empty: bool
    ) -> tuple[str, float | None]:
        """One round on a node that stays; what is left on it, empty if nothing, and when to look again.

        A node that was found empty is not asked for again before the cache shows a pod.
        """
        pods = [pod for pod in self._caches.pods_on(node["metadata"]["name"]) if not pod.is_acceptance]
        plan = self._plan(pods, facts, since, world)
        if not plan.remaining and not was_empty:
            found = await world.client.list(PODS, field_selector=f"spec.nodeName={node['metadata']['name']}")
            pods = [pod for pod in map(pod_facts, found.items) if not pod.is_acceptance]
            plan = self._plan(pods, facts, since, world)
        if not plan.remaining:
            self._refusals.pop(facts.uid, None)
            return "", None
        await self._carry_out(plan, facts, world)
        refusals = self._refusals.setdefault(facts.uid, {})
        ends = since + timedelta(seconds=self._caches.drain_timeout_s(facts.name, DRAIN_TIMEOUT_S))
        text = describe(plan.remaining, refusals, self._caches.budget_facts())
        return f"{text}; budgets hold until {wire_time(ends)}", self._next_look_s(plan, refusals, world)

    async def _drain(self, node: Obj, facts: ClaimFacts, since: datetime, world: World) -> DrainPlan | None:
        """One round; None when nothing is left on the node."""
        name = node["metadata"]["name"]
        if not (node.get("spec") or {}).get("unschedulable"):
            cordoned = await world.client.patch(
                NODES, key_of(node), {"spec": {"unschedulable": True}}, manager=MANAGER
            )
            self._caches.nodes.observe_write(cordoned)
            self._metrics.drains.labels("started").inc()
        plan = self._plan(self._caches.pods_on(name), facts, since, world)
        if not plan.remaining:
            # The cache may lag behind a pod that was bound just before the cordon: ask once before the end.
            found = await world.client.list(PODS, field_selector=f"spec.nodeName={name}")
            plan = self._plan([pod_facts(pod) for pod in found.items], facts, since, world)
        if not plan.remaining:
            return None
        await self._carry_out(plan, facts, world)
        return plan

    def _plan(self, pods: Iterable[PodFacts], facts: ClaimFacts, since: datetime, world: World) -> DrainPlan:
        refusals = self._refusals.setdefault(facts.uid, {})
        return decide_drain(
            pods,
            since,
            self._caches.drain_timeout_s(facts.name, DRAIN_TIMEOUT_S),
            world.clock.now(),
            refusals,
            world.clock.monotonic(),
        )

    async def _wait_for_pods(self, claim: Obj, facts: ClaimFacts, plan: DrainPlan, world: World) -> Result:
        refusals = self._refusals.setdefault(facts.uid, {})
        text = describe(plan.remaining, refusals, self._caches.budget_facts())
        await self._write_status(claim, Phase.DRAINING, draining(text), None, world)
        if facts.phase is not Phase.DRAINING:
            world.events.record(claim, Reason.DRAINING, text)
        if refusals:
            world.events.record(claim, "EvictionRefused", text, is_warning=True)
        return Result(self._next_look_s(plan, refusals, world))

    def _next_look_s(self, plan: DrainPlan, refusals: dict[str, Refusal], world: World) -> float:
        now = world.clock.monotonic()
        waits_s = [refusal.next_at - now for refusal in refusals.values()]
        unasked = [pod for pod in plan.evict if pod.uid not in refusals and pod.deleting_since is None]
        if unasked and world.client.evictions.is_empty:
            waits_s.append(1.0)
        return max(min([plan.look_again_s, *waits_s]), 0.1)

    async def _carry_out(self, plan: DrainPlan, facts: ClaimFacts, world: World) -> None:
        refusals = self._refusals.setdefault(facts.uid, {})
        granted = []
        for pod in plan.evict:
            if world.client.evictions.try_take(world.clock.monotonic()) > 0:
                break
            granted.append(pod)
        for start in range(0, len(granted), EVICTIONS_IN_FLIGHT_MAX):
            batch = granted[start : start + EVICTIONS_IN_FLIGHT_MAX]
            await asyncio.gather(*(self._evict(pod, refusals, world) for pod in batch))
        for removal in plan.delete:
            try:
                await world.client.delete(PODS, removal.pod.key, uid=removal.pod.uid, grace_s=removal.grace_s)
                refusals.pop(removal.pod.uid, None)
            except Conflict:
                # Another pod has the name now; it is not on this node.
                log.debug("pod_replaced", pod=str(removal.pod.key))
            except ApiError as err:
                self._refuse(removal.pod, refusals, err, world)
        alive = {pod.uid for pod in plan.remaining}
        for uid in [uid for uid in refusals if uid not in alive]:
            del refusals[uid]

    async def _evict(self, pod: PodFacts, refusals: dict[str, Refusal], world: World) -> None:
        try:
            await world.client.evict(pod.key, uid=pod.uid)
        except Conflict:
            # Another pod has the name now, or the budget's count changed under the server: look again.
            log.debug("pod_replaced", pod=str(pod.key))
        except ApiError as err:
            self._refuse(pod, refusals, err, world)
            return
        refusals.pop(pod.uid, None)
        log.info("pod_evicted", pod=str(pod.key))

    def _refuse(self, pod: PodFacts, refusals: dict[str, Refusal], err: ApiError, world: World) -> None:
        refusals[pod.uid] = refused_again(pod, refusals.get(pod.uid), err.message, world.clock.monotonic())
        self._metrics.refused_evictions.labels(str(err.status)).inc()
        log.info("eviction_refused", pod=str(pod.key), status=err.status, error=err.message)

    async def _release(
        self, claim: Obj, node: Obj | None, facts: ClaimFacts, provider: Provider | None, world: World
    ) -> tuple[str, bool]:
        """What the provider complains of, and whether the machine is gone."""
        provider_id = (claim.get("status") or {}).get("providerID") or ""
        if provider is None:
            # Nobody here can give it back. Holding the claim for ever would help nobody either.
            if node is not None and not is_deleting(node):
                await world.client.delete(NODES, key_of(node), uid=uid_of(node))
            kind = claim["spec"]["provider"]["kind"]
            text = f"this operator has no provider {kind}: give the machine {provider_id or 'if any'} back by hand"
            await self._write_status(
                claim, Phase.RELEASING, releasing(text, Reason.PROVIDER_UNSUPPORTED), None, world
            )
            world.events.record(claim, Reason.PROVIDER_UNSUPPORTED, text, is_warning=True)
            log.warning("claim_released_without_provider", claim=facts.name, provider_id=provider_id)
            return text, True
        try:
            return "", await provider.release(Machine(facts.uid, facts.name, provider_id))
        except ApiError as err:
            if is_transient(err):
                raise
            text = err.message
        except ProviderError as err:
            text = str(err)
        world.events.record(claim, Reason.RELEASE_FAILED, text, is_warning=True)
        return text, False

    async def _give_up_waiting(self, node: Obj | None, facts: ClaimFacts, world: World) -> None:
        over_s = elapsed_s(facts.phase_since, world.clock.now()) - RELEASE_TIMEOUT_S
        if node is not None and over_s >= 0 and not is_deleting(node):
            log.warning("node_removed_unreported", node=node["metadata"]["name"])
            await world.client.delete(NODES, key_of(node), uid=uid_of(node))

    async def _let_go(self, claim: Obj, world: World) -> None:
        key = ObjectKey(self._caches.system_namespace, acceptance_name(claim["metadata"]["name"]))
        pod = self._caches.acceptances.get(key)
        if pod is not None and not is_deleting(pod):
            await world.client.delete(PODS, key, uid=uid_of(pod), grace_s=0)
        # This process may have written the status a moment ago.
        current = self._caches.claims.get(key_of(claim)) or claim
        finalizers = [name for name in current["metadata"].get("finalizers") or [] if name != DRAIN_FINALIZER]
        metadata = {"resourceVersion": current["metadata"]["resourceVersion"], "finalizers": finalizers}
        answer = await world.client.patch(NODE_CLAIMS, key_of(claim), {"metadata": metadata}, manager=MANAGER)
        if finalizers:
            self._caches.claims.observe_write(answer)
        else:
            # With its last finalizer the object is gone: the cache need not wait for the event.
            self._caches.claims.remove(answer, "write")
        self._refusals.pop(uid_of(claim), None)
        self._metrics.drains.labels("ended").inc()
        world.events.record(claim, "Released", "the machine was given back")
        log.info("claim_released", claim=claim["metadata"]["name"])

    async def _write_status(
        self,
        claim: Obj,
        phase: Phase,
        conditions: tuple[ConditionValue, ...],
        provider: Provider | None,
        world: World,
    ) -> None:
        old = claim.get("status") or {}
        history = tuple(
            ConditionValue(known["type"], known["status"], known["reason"], known.get("message") or "")
            for known in old.get("conditions") or []
            if known["type"] in HISTORY
        )
        status = claim_status(
            old,
            Decision(Action.NONE, phase, (*history, *conditions)),
            generation=claim["metadata"]["generation"],
            now=world.clock.now(),
            provider_id="",
            node_name="",
            is_simulated=bool(old.get("simulated")) if provider is None else provider.is_simulated,
        )
        answer = await world.client.patch_status(NODE_CLAIMS, claim, status, manager=MANAGER)
        if answer is not None:
            self._caches.claims.observe_write(answer)
