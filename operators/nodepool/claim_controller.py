"""Reads the world around one claim, asks the rules, does the one effect, writes the status if it changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson
import structlog

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.controller import Result, World
from operators.lib.errors import AlreadyExists, ApiError, NotFound, is_transient
from operators.lib.objects import (
    HOST_QUARANTINES,
    NODE_CLAIMS,
    NODES,
    PODS,
    Obj,
    ObjectKey,
    is_deleting,
    key_of,
    uid_of,
)
from operators.lib.phases import elapsed_s
from operators.nodepool.acceptance_rules import read_acceptance
from operators.nodepool.caches import Caches
from operators.nodepool.claim_rules import (
    Action,
    Decision,
    contradiction,
    decide_claim,
    failed,
    held_back,
    outside_pool,
    refused,
    registering,
)
from operators.nodepool.domain import (
    ANNOTATION_ACCEPTED,
    DRAIN_FINALIZER,
    FOLD_S,
    MANAGER,
    REGISTRATION_TIMEOUT_S,
    AcceptanceFacts,
    ClaimFacts,
    MachineOrder,
    NodeFacts,
    Proof,
    Reason,
)
from operators.nodepool.metrics import NodePoolMetrics
from operators.nodepool.node_rules import missing_labels, wanted_taints
from operators.nodepool.orders import Orders
from operators.nodepool.pool_rules import why_outside
from operators.nodepool.providers.base import Machine, NoCapacity, Provider, Terminal, Transient, Unsupported
from operators.nodepool.resources import acceptance_name, build_acceptance_pod, build_quarantine, wire_taint
from operators.nodepool.status_rules import acceptance_record, claim_status
from operators.nodepool.teardown import Teardown
from operators.nodepool.views import claim_facts, machine_order, node_facts, work_of

log = structlog.get_logger(__name__)
# A node takes no work for one of these because somebody wants it so, or because it is on its way.
EXPECTED = frozenset({Reason.LAUNCHING, Reason.WAITING_FOR_NODE, Reason.DRAINING, Reason.DRAINED})


@dataclass(frozen=True, slots=True)
class Scene:
    """One claim with everything around it, read once."""

    claim: Obj
    facts: ClaimFacts
    order: MachineOrder
    provider: Provider
    node: Obj | None
    seen: NodeFacts | None
    acceptance: AcceptanceFacts | None
    now: datetime


class ClaimController:
    """`reconcile` is the controller's; the stores are the manager's."""

    def __init__(
        self, caches: Caches, providers: Mapping[str, Provider], teardown: Teardown, metrics: NodePoolMetrics
    ) -> None:
        self._caches = caches
        self._providers = providers
        self._teardown = teardown
        self._orders = Orders(caches, teardown)
        self._metrics = metrics

    async def reconcile(self, key: ObjectKey, world: World) -> Result:
        """One step of one claim towards what its spec, or its deletion, asks for."""
        claim = self._caches.claims.get(key)
        if claim is None:
            return Result()
        provider = self._providers.get(claim["spec"]["provider"]["kind"])
        node = self._caches.own_node(claim)
        if is_deleting(claim):
            # Before anything that may be missing: giving back needs neither provider nor pool.
            return await self._teardown.step(claim, node, provider, world)
        if DRAIN_FINALIZER not in (claim["metadata"].get("finalizers") or []):
            claim = await self._add_finalizer(claim, world)
        if provider is None:
            decision = failed(Reason.PROVIDER_UNSUPPORTED, "this operator has no such provider")
            await self._write_status(claim, decision, None, None, is_simulated=False, world=world)
            return Result(decision.requeue_after_s)
        return await self._advance(self._scene(claim, node, provider, world), world)

    def _scene(self, claim: Obj, node: Obj | None, provider: Provider, world: World) -> Scene:
        pod = self._caches.acceptance(claim["metadata"]["name"])
        return Scene(
            claim=claim,
            facts=claim_facts(claim),
            order=machine_order(claim, is_simulated=provider.is_simulated),
            provider=provider,
            node=node,
            seen=node_facts(node) if node is not None else None,
            acceptance=read_acceptance(pod, is_simulated=provider.is_simulated) if pod is not None else None,
            now=world.clock.now(),
        )

    async def _advance(self, scene: Scene, world: World) -> Result:
        work = work_of(self._caches.pods_on(scene.order.node_name)) if scene.node is not None else ()
        decision = decide_claim(scene.facts, scene.seen, scene.acceptance, scene.now, work)
        note = contradiction(scene.facts, decision)
        machine: Machine | None = None
        try:
            decision, machine = await self._act(scene, decision, world)
        except ApiError as err:
            if is_transient(err):
                raise
            decision = refused(scene.facts, decision, err.message, scene.now)
        if note:
            self._metrics.repaired_statuses.inc()
            world.events.record(scene.claim, "StatusRepaired", f"{note}: it was set right", is_warning=True)
            log.warning("claim_status_repaired", claim=scene.facts.name, was=note)
        if not decision.is_folded:
            await self._write_status(
                scene.claim, decision, scene.seen, machine, is_simulated=scene.provider.is_simulated,
                world=world,
            )  # fmt: skip
            self._tell(scene, decision, world)
        if decision.action in (Action.ACCEPT, Action.REMOVE_ACCEPTANCE):
            await self._remove_acceptance(scene.claim, world)
        return Result(decision.requeue_after_s)

    async def _act(self, scene: Scene, decision: Decision, world: World) -> tuple[Decision, Machine | None]:
        """Do the effect; the decision that came of it."""
        if decision.action is Action.LAUNCH:
            siblings = self._caches.claims_of(scene.order.pool)
            why = why_outside(scene.claim, self._caches.pool_of(scene.claim), siblings)
            if why:
                return outside_pool(scene.facts, why), None
            kind = scene.claim["spec"]["provider"]["kind"]
            return await _launch(scene, self._caches.hosts_set_aside(kind))
        if scene.node is not None and scene.seen is not None and not scene.seen.is_deleting:
            await self._repair_node(scene, decision.proof, world)
            if decision.action is Action.START_ACCEPTANCE:
                await self._start_acceptance(scene, world)
            elif is_new_failure(scene.facts, decision) and scene.provider.has_hosts:
                await self._set_host_aside(scene, decision, world)
            decision = await self._orders.carry_out(
                scene.claim, scene.facts, scene.node, scene.seen, decision, world
            )
        return decision, None

    async def _set_host_aside(self, scene: Scene, decision: Decision, world: World) -> None:
        """Remember the host beyond the life of this claim, before anything can give it to another one."""
        assert scene.seen is not None
        if not scene.seen.provider_id:
            return
        text = next(value.message for value in decision.conditions if value.type == "Ready")
        record = build_quarantine(scene.claim, scene.seen.provider_id, text, decision.checks or ())
        try:
            made = await world.client.create(HOST_QUARANTINES, record, manager=MANAGER)
        except AlreadyExists:
            return
        self._caches.quarantines.observe_write(made)
        told = (
            f"host {scene.seen.provider_id} is set aside until kubectl delete hq/{record['metadata']['name']}"
        )
        world.events.record(scene.claim, "HostSetAside", f"{told}: {text}", is_warning=True)
        log.warning("host_set_aside", claim=scene.facts.name, provider_id=scene.seen.provider_id)

    def _tell(self, scene: Scene, decision: Decision, world: World) -> None:
        """Events and counts for what just changed."""
        pool = scene.order.pool
        ready = next((value for value in decision.conditions if value.type == "Ready"), None)
        if decision.action is Action.ACCEPT:
            self._metrics.acceptances.labels(pool, "passed").inc()
            self._metrics.ready_seconds.labels(pool).observe(elapsed_s(scene.facts.created_at, scene.now))
            world.events.record(
                scene.claim, Reason.ACCEPTANCE_PASSED, f"node {scene.order.node_name} is accepted"
            )
        elif ready is not None and ready.status != "True" and ready.reason != scene.facts.ready_reason:
            if is_new_failure(scene.facts, decision):
                self._metrics.acceptances.labels(pool, "failed").inc()
            if ready.reason != Reason.ACCEPTANCE_RUNNING:
                is_bad = ready.reason not in EXPECTED
                world.events.record(scene.claim, ready.reason, ready.message, is_warning=is_bad)
        elif ready is not None and ready.status == "True" and scene.facts.ready_reason != Reason.NODE_READY:
            world.events.record(scene.claim, Reason.NODE_READY, ready.message)

    async def _add_finalizer(self, claim: Obj, world: World) -> Obj:
        finalizers = [*(claim["metadata"].get("finalizers") or []), DRAIN_FINALIZER]
        metadata = {"resourceVersion": claim["metadata"]["resourceVersion"], "finalizers": finalizers}
        answer = await world.client.patch(NODE_CLAIMS, key_of(claim), {"metadata": metadata}, manager=MANAGER)
        self._caches.claims.observe_write(answer)
        return answer

    async def _repair_node(self, scene: Scene, proof: Proof | None, world: World) -> None:
        """Put back what is ours of the Node; with `proof` it is accepted, and carries the record."""
        assert scene.node is not None
        assert scene.seen is not None
        node, seen = scene.node, scene.seen
        labels = missing_labels(scene.order, seen)
        taints = wanted_taints(scene.order, seen, is_accepted=proof is not None)
        patch: Obj = {"metadata": {"labels": labels}} if labels else {}
        if proof is not None and seen.proof != proof:
            record = orjson.dumps(acceptance_record(proof)).decode()
            patch.setdefault("metadata", {})["annotations"] = {ANNOTATION_ACCEPTED: record}
        if set(taints) != set(seen.taints):
            # Kubernetes' own controllers change this list too: the guard refuses a lost update.
            metadata = patch.setdefault("metadata", {})
            metadata["resourceVersion"] = node["metadata"]["resourceVersion"]
            patch["spec"] = {"taints": [wire_taint(taint) for taint in taints]}
        if patch:
            answer = await world.client.patch(NODES, key_of(node), patch, manager=MANAGER)
            self._caches.nodes.observe_write(answer)

    async def _start_acceptance(self, scene: Scene, world: World) -> None:
        assert scene.node is not None
        pod = build_acceptance_pod(scene.claim, scene.node, scene.order, self._caches.system_namespace)
        try:
            self._caches.acceptances.observe_write(await world.client.create(PODS, pod, manager=MANAGER))
        except AlreadyExists:
            # Made before a crash, or by an earlier claim of this name: the cache is about to show it.
            log.debug("acceptance_exists", claim=scene.order.claim_name)
        except NotFound as err:
            # Not a world that moved on: the namespace of the runs is missing.
            raise ApiError(err.status, err.reason, err.message) from err

    async def _remove_acceptance(self, claim: Obj, world: World) -> None:
        key = ObjectKey(self._caches.system_namespace, acceptance_name(claim["metadata"]["name"]))
        pod = self._caches.acceptances.get(key)
        if pod is not None and not is_deleting(pod):
            left = await world.client.delete(PODS, key, uid=uid_of(pod), grace_s=0)
            if left is None:
                self._caches.acceptances.remove(pod, "write")
            else:
                self._caches.acceptances.observe_write(left)

    async def _write_status(
        self,
        claim: Obj,
        decision: Decision,
        node: NodeFacts | None,
        machine: Machine | None,
        *,
        is_simulated: bool,
        world: World,
    ) -> None:
        old = claim.get("status") or {}
        provider_id = node.provider_id if node is not None else machine.provider_id if machine else ""
        status = claim_status(
            old,
            decision,
            generation=claim["metadata"]["generation"],
            now=world.clock.now(),
            provider_id=provider_id,
            node_name=node.name if node is not None else machine.node_name if machine else "",
            is_simulated=is_simulated,
        )
        answer = await world.client.patch_status(NODE_CLAIMS, claim, status, manager=MANAGER)
        if answer is not None:
            self._caches.claims.observe_write(answer)
            if old.get("phase") != status["phase"]:
                log.info("claim_phase", claim=claim["metadata"]["name"], phase=status["phase"])


def is_new_failure(facts: ClaimFacts, decision: Decision) -> bool:
    """Whether the claim's machine has just failed its checks."""
    return decision.checks is not None and facts.ready_reason != Reason.ACCEPTANCE_FAILED


async def _launch(scene: Scene, set_aside: frozenset[str]) -> tuple[Decision, Machine | None]:
    """Ask the provider, and put its answer into a decision."""
    facts = scene.facts
    try:
        machine = await scene.provider.launch(scene.order, set_aside)
    except NoCapacity as err:
        return held_back(Reason.NO_CAPACITY, str(err), err.retry_after_s), None
    except Transient as err:
        return held_back(Reason.LAUNCHING, str(err), err.retry_after_s), None
    except Terminal as err:
        return failed(Reason.LAUNCH_FAILED, str(err)), None
    except Unsupported as err:
        return failed(Reason.PROVIDER_UNSUPPORTED, str(err)), None
    except NotFound as err:
        # Not a world that moved on: what the machine needs is missing.
        raise ApiError(err.status, err.reason, err.message) from err
    age_s = elapsed_s(facts.created_at, scene.now)
    if facts.phase is Phase.PENDING and age_s < FOLD_S:
        return Decision(Action.NONE, Phase.PENDING, requeue_after_s=FOLD_S - age_s, is_folded=True), machine
    waited_s = elapsed_s(facts.phase_since, scene.now) if facts.phase is Phase.REGISTERING else 0.0
    return registering(REGISTRATION_TIMEOUT_S - waited_s), machine
