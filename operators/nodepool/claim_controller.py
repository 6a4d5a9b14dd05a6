"""Reads the world around one claim, asks the rules, does the one effect, writes the status if it changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import structlog

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.clock import wire_time
from operators.lib.controller import Result, World
from operators.lib.errors import AlreadyExists
from operators.lib.objects import (
    NODE_CLAIMS,
    NODES,
    PODS,
    Obj,
    ObjectKey,
    is_deleting,
    key_of,
    labels_of,
    uid_of,
)
from operators.lib.store import Change, Store
from operators.nodepool.acceptance_rules import read_acceptance
from operators.nodepool.claim_rules import (
    Action,
    Decision,
    decide_claim,
    failed_launch,
    held,
    missing_labels,
    registering,
    wanted_taints,
)
from operators.nodepool.domain import (
    ANNOTATION_CLAIM_UID,
    DRAIN_FINALIZER,
    FOLD_S,
    LABEL_NODE_CLAIM,
    MANAGER,
    REGISTRATION_TIMEOUT_S,
    AcceptanceFacts,
    ClaimFacts,
    MachineOrder,
    NodeFacts,
    Reason,
)
from operators.nodepool.providers.base import Machine, NoCapacity, Provider, Terminal, Transient, Unsupported
from operators.nodepool.resources import acceptance_name, build_acceptance_pod, wire_taint
from operators.nodepool.status_rules import claim_status
from operators.nodepool.teardown import Teardown
from operators.nodepool.views import claim_facts, machine_order, node_facts

log = structlog.get_logger(__name__)


class ClaimController:
    """`reconcile` is the controller's; the stores are the manager's."""

    def __init__(
        self,
        claims: Store,
        nodes: Store,
        acceptances: Store,
        providers: Mapping[str, Provider],
        system_namespace: str,
    ) -> None:
        self._claims = claims
        self._nodes = nodes
        self._acceptances = acceptances
        self._providers = providers
        # Where acceptance runs happen.
        self._namespace = system_namespace
        self._teardown = Teardown(claims, nodes, acceptances, system_namespace)

    def keys_of_node(self, change: Change) -> Iterable[ObjectKey]:
        """A node wakes the claim of its name."""
        key = ObjectKey("", change.key.name)
        return (key,) if self._claims.get(key) is not None else ()

    def keys_of_acceptance(self, change: Change) -> Iterable[ObjectKey]:
        """An acceptance pod wakes its claim."""
        pod = change.new or change.old
        assert pod is not None
        name = labels_of(pod).get(LABEL_NODE_CLAIM)
        return (ObjectKey("", name),) if name else ()

    async def reconcile(self, key: ObjectKey, world: World) -> Result:
        """One step of one claim towards what its spec, or its deletion, asks for."""
        claim = self._claims.get(key)
        if claim is None:
            return Result()
        provider = self._providers.get(claim["spec"]["provider"]["kind"])
        if provider is None:
            decision = failed_launch(Reason.PROVIDER_UNSUPPORTED, "this operator has no such provider")
            await self._write_status(claim, decision, None, None, is_simulated=False, world=world)
            return Result()
        order = machine_order(claim, is_simulated=provider.is_simulated)
        node = self._own_node(claim)
        if is_deleting(claim):
            return await self._teardown.step(claim, node, provider, world)
        if DRAIN_FINALIZER not in (claim["metadata"].get("finalizers") or []):
            claim = await self._add_finalizer(claim, world)
        return await self._advance(claim, node, order, provider, world)

    async def _advance(
        self, claim: Obj, node: Obj | None, order: MachineOrder, provider: Provider, world: World
    ) -> Result:
        facts = claim_facts(claim)
        seen = node_facts(node) if node is not None else None
        acceptance = self._acceptance(claim, is_simulated=provider.is_simulated)
        now = world.clock.now()
        decision = decide_claim(facts, seen, acceptance, now)
        machine: Machine | None = None
        if decision.action is Action.LAUNCH:
            decision, machine = await _launch(order, facts, provider, now)
        elif node is not None and seen is not None and not seen.is_deleting:
            is_clean = decision.action is Action.ACCEPT or (facts.is_accepted and not seen.is_unvalidated)
            await self._repair_node(node, seen, order, world, is_accepted=is_clean)
            if decision.action is Action.START_ACCEPTANCE:
                await self._start_acceptance(claim, node, order, world)
        if not decision.is_folded:
            await self._write_status(
                claim, decision, seen, machine, is_simulated=provider.is_simulated, world=world
            )
        if decision.action in (Action.ACCEPT, Action.REMOVE_ACCEPTANCE):
            await self._remove_acceptance(claim, world)
        return Result(decision.requeue_after_s)

    def _own_node(self, claim: Obj) -> Obj | None:
        node = self._nodes.find(claim["metadata"]["name"])
        if node is None:
            return None
        annotations = node["metadata"].get("annotations") or {}
        return node if annotations.get(ANNOTATION_CLAIM_UID) == uid_of(claim) else None

    def _acceptance(self, claim: Obj, *, is_simulated: bool) -> AcceptanceFacts | None:
        pod = self._acceptances.find(acceptance_name(claim["metadata"]["name"]), self._namespace)
        return read_acceptance(pod, is_simulated=is_simulated) if pod is not None else None

    async def _add_finalizer(self, claim: Obj, world: World) -> Obj:
        finalizers = [*(claim["metadata"].get("finalizers") or []), DRAIN_FINALIZER]
        metadata = {"resourceVersion": claim["metadata"]["resourceVersion"], "finalizers": finalizers}
        answer = await world.client.patch(NODE_CLAIMS, key_of(claim), {"metadata": metadata}, manager=MANAGER)
        self._claims.observe_write(answer)
        return answer

    async def _repair_node(
        self, node: Obj, seen: NodeFacts, order: MachineOrder, world: World, *, is_accepted: bool
    ) -> None:
        labels = missing_labels(order, seen)
        taints = wanted_taints(order, seen, is_accepted=is_accepted)
        patch: Obj = {"metadata": {"labels": labels}} if labels else {}
        if set(taints) != set(seen.taints):
            # Kubernetes' own controllers change this list too: the guard refuses a lost update.
            metadata = patch.setdefault("metadata", {})
            metadata["resourceVersion"] = node["metadata"]["resourceVersion"]
            patch["spec"] = {"taints": [wire_taint(taint) for taint in taints]}
        if patch:
            self._nodes.observe_write(await world.client.patch(NODES, key_of(node), patch, manager=MANAGER))

    async def _start_acceptance(self, claim: Obj, node: Obj, order: MachineOrder, world: World) -> None:
        pod = build_acceptance_pod(claim, node, order, self._namespace)
        try:
            self._acceptances.observe_write(await world.client.create(PODS, pod, manager=MANAGER))
        except AlreadyExists:
            # Made before a crash, or by an earlier claim of this name: the cache is about to show it.
            log.debug("acceptance_exists", claim=order.claim_name)

    async def _remove_acceptance(self, claim: Obj, world: World) -> None:
        key = ObjectKey(self._namespace, acceptance_name(claim["metadata"]["name"]))
        pod = self._acceptances.get(key)
        if pod is not None and not is_deleting(pod):
            left = await world.client.delete(PODS, key, uid=uid_of(pod), grace_s=0)
            if left is None:
                self._acceptances.remove(pod, "write")
            else:
                self._acceptances.observe_write(left)

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
            now=wire_time(world.clock.now()),
            provider_id=provider_id,
            node_name=node.name if node is not None else machine.node_name if machine else "",
            is_simulated=is_simulated,
        )
        answer = await world.client.patch_status(NODE_CLAIMS, claim, status, manager=MANAGER)
        if answer is not None:
            self._claims.observe_write(answer)
            if old.get("phase") != status["phase"]:
                log.info("claim_phase", claim=claim["metadata"]["name"], phase=status["phase"])


async def _launch(
    order: MachineOrder, facts: ClaimFacts, provider: Provider, now: datetime
) -> tuple[Decision, Machine | None]:
    """Ask the provider, and put its answer into a decision."""
    try:
        machine = await provider.launch(order)
    except NoCapacity as err:
        return held(Reason.NO_CAPACITY, str(err), err.retry_after_s), None
    except Transient as err:
        return held(Reason.LAUNCHING, str(err), err.retry_after_s), None
    except Terminal as err:
        return failed_launch(Reason.LAUNCH_FAILED, str(err)), None
    except Unsupported as err:
        return failed_launch(Reason.PROVIDER_UNSUPPORTED, str(err)), None
    age_s = (now - facts.created_at).total_seconds()
    if facts.phase is Phase.PENDING and age_s < FOLD_S:
        return Decision(Action.NONE, Phase.PENDING, requeue_after_s=FOLD_S - age_s, is_folded=True), machine
    waited_s = (now - facts.phase_since).total_seconds() if facts.phase is Phase.REGISTERING else 0.0
    return registering(REGISTRATION_TIMEOUT_S - waited_s), machine
