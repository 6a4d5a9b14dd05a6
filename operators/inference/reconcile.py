"""Makes each InferenceDeployment's pods what the rules decide, and writes what it sees into the status.

Level-triggered: every pass reads the caches, decides by pure rules, then acts in the order that loses no
request: create, publish the endpoints, mark drains, delete, status. Nothing changed = nothing written.
"""

from __future__ import annotations

from collections.abc import KeysView, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from operators.apis.v1alpha1 import InferenceDeployment
from operators.inference.demand import DemandBoard
from operators.inference.endpoints import Endpoint, EndpointPublisher
from operators.inference.milestone_rules import (
    Milestones,
    RecordedSteps,
    is_loading,
    observe_milestones,
    recorded_steps,
)
from operators.inference.owners import INDEX_OWNER
from operators.inference.replica_rules import PodToCreate, ReplicaPlan, decide_pods
from operators.inference.resources import PodStamps, build_pod, hash_template, selector_of
from operators.inference.scaling_rules import (
    ScalingDecision,
    ScalingLimits,
    ScalingMemory,
    ScalingState,
    decide_replicas,
)
from operators.inference.status_rules import Situation, build_status, decide_conditions, find_proof
from operators.inference.views import (
    ANNOTATION_DRAINING_SINCE,
    PodView,
    format_time,
    is_lost,
    observe_pod,
    parse_time,
)
from operators.lib.conditions import set_conditions
from operators.lib.controller import Result, World
from operators.lib.errors import AlreadyExists, ApiError, Forbidden, Invalid
from operators.lib.objects import INFERENCE_DEPLOYMENTS, PODS, Obj, ObjectKey, is_deleting, key_of, uid_of
from operators.lib.store import Change, Store

FIELD_MANAGER = "rempart-inference"
FINALIZER = "rempart.eu/inference"

# While a drain waits for requests to end, look this often whether they have.
DRAIN_POLL_SECONDS = 1.0

# A refused pod (quota, policy) is tried again soon at first: somebody may just be raising the quota.
REFUSAL_SECONDS_MIN = 1.0
REFUSAL_SECONDS_MAX = 60.0

# Deleting must end even if Redis is gone for good; the key it leaves names a service that has no route.
WITHDRAW_SECONDS_MAX = 300

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The custom resource read once per generation."""

    uid: str
    generation: int
    resource: InferenceDeployment
    template_hash: str
    limits: ScalingLimits

    @property
    def regional_deployment_id(self) -> str:
        return self.resource.spec.regional_deployment_id


@dataclass(slots=True)
class _Memory:
    """What is remembered of one deployment between passes; all of it may be lost."""

    uid: str
    regional_deployment_id: str
    scaling: ScalingMemory | None
    milestones: dict[str, Milestones]
    refusal: str = ""
    refusals: int = 0
    proven_at: datetime | None = None


class _NameTaken(Exception):
    """Somebody else made a pod with the name of our next replica."""


class InferenceReconciler:
    """The shell around the rules. Stores are read only; one pass per key at a time."""

    def __init__(
        self, deployments: Store, pods: Store, nodes: Store, board: DemandBoard, publisher: EndpointPublisher
    ) -> None:
        self._deployments = deployments
        self._pods = pods
        self._nodes = nodes
        self._board = board
        self._publisher = publisher
        self._wanted: dict[ObjectKey, _Wanted] = {}
        self._memories: dict[ObjectKey, _Memory] = {}
        self._keys: dict[str, ObjectKey] = {}
        deployments.add_listener(self._index)

    def known_ids(self) -> KeysView[str]:
        """Regional deployments whose demand matters here."""
        return self._keys.keys()

    def find_key(self, regional_deployment_id: str) -> ObjectKey | None:
        """The resource of a regional deployment, None if it is not here."""
        return self._keys.get(regional_deployment_id)

    async def reconcile(self, key: ObjectKey, world: World) -> Result:
        """One pass for one InferenceDeployment."""
        raw = self._deployments.get(key)
        if raw is None:
            return await self._forget(key)
        wanted = self._read(key, raw)
        if not is_deleting(raw) and FINALIZER not in (raw["metadata"].get("finalizers") or ()):
            raw = await self._add_finalizer(raw, world)
        now = world.clock.now()
        memory = self._remember(key, wanted)
        pods = self._observe_pods(key, wanted)
        self._observe_milestones(memory, raw, pods, now)
        memory.proven_at = memory.proven_at or find_proof(raw, pods, wanted.template_hash, now)
        decision = self._decide(raw, wanted, memory, pods, now)
        plan = self._plan(wanted, memory, decision, pods, now)
        await self._create(wanted, memory, plan, world)
        await self._publish(wanted, plan)
        await self._mark(plan, world, key.namespace)
        await self._delete(plan, world, key.namespace)
        pods = self._observe_pods(key, wanted)
        if is_deleting(raw) and not pods:
            return await self._finalise(raw, wanted, world)
        await self._write_status(raw, wanted, memory, decision, plan, pods, world)
        return self._next(memory, decision, plan, pods, now)

    def _index(self, change: Change) -> None:
        if change.new is not None:
            self._keys[change.new["spec"]["regionalDeploymentId"]] = change.key
        elif change.old is not None:
            self._keys.pop(change.old["spec"]["regionalDeploymentId"], None)

    def _read(self, key: ObjectKey, raw: Obj) -> _Wanted:
        uid, generation = uid_of(raw), int(raw["metadata"].get("generation", 0))
        known = self._wanted.get(key)
        if known is not None and (known.uid, known.generation) == (uid, generation):
            return known
        resource = InferenceDeployment.model_validate(raw)
        spec = resource.spec
        limits = ScalingLimits(
            replicas_min=spec.replicas.min,
            replicas_max=spec.replicas.max,
            concurrency_per_replica=spec.scaling.concurrency_per_replica,
            idle_seconds=spec.scaling.idle_seconds,
            is_paused=spec.paused,
        )
        wanted = _Wanted(uid, generation, resource, hash_template(resource), limits)
        self._wanted[key] = wanted
        return wanted

    def _remember(self, key: ObjectKey, wanted: _Wanted) -> _Memory:
        memory = self._memories.get(key)
        if memory is None or memory.uid != wanted.uid:
            memory = _Memory(wanted.uid, wanted.regional_deployment_id, None, {})
            self._memories[key] = memory
        return memory

    async def _forget(self, key: ObjectKey) -> Result:
        """The resource is gone; if that happened past the finalizer its endpoints are still to withdraw."""
        memory = self._memories.get(key)
        is_orphaned = memory is not None and memory.regional_deployment_id not in self._keys
        if memory is not None and is_orphaned:
            is_withdrawn = await self._publisher.withdraw(memory.regional_deployment_id)
            if not is_withdrawn:
                return Result(requeue_after_s=DRAIN_POLL_SECONDS)
        self._memories.pop(key, None)
        self._wanted.pop(key, None)
        return Result()

    async def _add_finalizer(self, raw: Obj, world: World) -> Obj:
        metadata = raw["metadata"]
        patch = {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": [*(metadata.get("finalizers") or ()), FINALIZER],
            }
        }
        written = await world.client.patch(INFERENCE_DEPLOYMENTS, key_of(raw), patch, manager=FIELD_MANAGER)
        self._deployments.observe_write(written)
        return written

    def _observe_pods(self, key: ObjectKey, wanted: _Wanted) -> tuple[PodView, ...]:
        port_name = wanted.resource.spec.engine.port_name
        owned = self._pods.by_index(INDEX_OWNER, str(key))
        return tuple(observe_pod(pod, port_name) for pod in owned)

    def _observe_milestones(self, memory: _Memory, raw: Obj, pods: Sequence[PodView], now: datetime) -> None:
        recorded = recorded_steps(raw) if any(pod.uid not in memory.milestones for pod in pods) else {}
        memory.milestones = {
            pod.uid: observe_milestones(
                memory.milestones.get(pod.uid), pod, recorded.get(pod.uid, RecordedSteps()), now
            )
            for pod in pods
        }

    def _decide(
        self, raw: Obj, wanted: _Wanted, memory: _Memory, pods: Sequence[PodView], now: datetime
    ) -> ScalingDecision:
        is_started_once = wanted.resource.spec.scaling.initial_replicas > 0
        state = ScalingState(
            replicas_current=len({pod.replica_index for pod in pods if pod.is_current}),
            replicas_loading=sum(is_loading(pod, memory.milestones[pod.uid], now) for pod in pods),
            demand=self._board.find(wanted.regional_deployment_id),
            is_demand_observable=self._board.is_observable,
            memory=memory.scaling,
            is_unproven=is_started_once and memory.proven_at is None,
            proven_at=memory.proven_at if is_started_once else None,
        )
        limits = wanted.limits
        if is_deleting(raw):
            limits = ScalingLimits(0, 0, limits.concurrency_per_replica, limits.idle_seconds, is_paused=True)
        decision = decide_replicas(limits, state, now)
        memory.scaling = decision.memory
        return decision

    def _plan(
        self,
        wanted: _Wanted,
        memory: _Memory,
        decision: ScalingDecision,
        pods: Sequence[PodView],
        now: datetime,
    ) -> ReplicaPlan:
        return decide_pods(
            decision.replicas_desired,
            wanted.template_hash,
            pods,
            now,
            drain_seconds=wanted.resource.spec.drain_seconds,
            is_quiet=self._board.is_quiet(wanted.regional_deployment_id, now),
            was_ready=frozenset(uid for uid, steps in memory.milestones.items() if steps.ready is not None),
        )

    async def _create(self, wanted: _Wanted, memory: _Memory, plan: ReplicaPlan, world: World) -> None:
        memory.refusal = ""
        wanted_at = None if plan.serving else self._wanted_at(wanted)
        for pod in plan.created:
            try:
                await self._create_one(wanted, pod, wanted_at, world)
            except (Forbidden, Invalid, _NameTaken) as error:
                memory.refusal = error.message if isinstance(error, ApiError) else str(error)
                log.warning("replica_refused", deployment=wanted.resource.metadata.name, error=memory.refusal)
                break
        memory.refusals = memory.refusals + 1 if memory.refusal else 0

    async def _create_one(
        self, wanted: _Wanted, pod: PodToCreate, wanted_at: datetime | None, world: World
    ) -> None:
        manifest = build_pod(wanted.resource, pod, PodStamps(world.clock.now(), wanted_at))
        try:
            written = await world.client.create(PODS, manifest, manager=FIELD_MANAGER)
        except AlreadyExists:
            # Created by a pass whose answer was lost, or a namesake that is still going: read which.
            written = await world.client.get(PODS, key_of(manifest))
            if wanted.uid not in [each["uid"] for each in written["metadata"].get("ownerReferences") or ()]:
                raise _NameTaken(
                    f"a pod named {written['metadata']['name']} exists and is not ours"
                ) from None
        self._pods.observe_write(written)
        log.info("replica_created", pod=written["metadata"]["name"], attempt=pod.attempt)

    def _wanted_at(self, wanted: _Wanted) -> datetime | None:
        """Since when somebody waits: what a start from zero is measured from; None without demand."""
        demand = self._board.find(wanted.regional_deployment_id)
        if demand is None or not demand.is_active:
            return None
        return demand.first_waiting_at or demand.reported_at

    async def _publish(self, wanted: _Wanted, plan: ReplicaPlan) -> None:
        endpoints = [
            Endpoint(pod.address, pod.port, pod.name) for pod in plan.serving if pod.address and pod.port
        ]
        await self._publisher.publish(
            wanted.regional_deployment_id, endpoints, is_simulated=wanted.resource.spec.simulated
        )

    async def _mark(self, plan: ReplicaPlan, world: World, namespace: str) -> None:
        since = format_time(world.clock.now())
        marks = [(pod, since) for pod in plan.draining] + [(pod, None) for pod in plan.retaken]
        for pod, value in marks:
            patch = {"metadata": {"uid": pod.uid, "annotations": {ANNOTATION_DRAINING_SINCE: value}}}
            key = ObjectKey(namespace, pod.name)
            self._pods.observe_write(await world.client.patch(PODS, key, patch, manager=FIELD_MANAGER))
            log.info("replica_draining" if value else "replica_retaken", pod=pod.name)

    async def _delete(self, plan: ReplicaPlan, world: World, namespace: str) -> None:
        for pod in plan.deleted:
            left = await world.client.delete(PODS, ObjectKey(namespace, pod.name), uid=pod.uid)
            if left is not None:
                self._pods.observe_write(left)
            log.info("replica_deleted", pod=pod.name, reason=pod.problem_reason)

    async def _finalise(self, raw: Obj, wanted: _Wanted, world: World) -> Result:
        """No pod is left: withdraw the endpoints, then let the resource go."""
        asked_at = parse_time(raw["metadata"].get("deletionTimestamp")) or world.clock.now()
        is_late = world.clock.now() - asked_at >= timedelta(seconds=WITHDRAW_SECONDS_MAX)
        if not await self._publisher.withdraw(wanted.regional_deployment_id) and not is_late:
            return Result(requeue_after_s=DRAIN_POLL_SECONDS)
        key, metadata = key_of(raw), raw["metadata"]
        left = [each for each in metadata.get("finalizers") or () if each != FINALIZER]
        if len(left) != len(metadata.get("finalizers") or ()):
            patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": left}}
            await world.client.patch(INFERENCE_DEPLOYMENTS, key, patch, manager=FIELD_MANAGER)
        self._memories.pop(key, None)
        self._wanted.pop(key, None)
        return Result()

    async def _write_status(
        self,
        raw: Obj,
        wanted: _Wanted,
        memory: _Memory,
        decision: ScalingDecision,
        plan: ReplicaPlan,
        pods: tuple[PodView, ...],
        world: World,
    ) -> None:
        situation = Situation(
            generation=wanted.generation,
            is_paused=wanted.limits.is_paused,
            is_deleting=is_deleting(raw),
            replicas_min=wanted.limits.replicas_min,
            selector=selector_of(wanted.resource.metadata.name),
            pods=pods,
            serving=frozenset(pod.name for pod in plan.serving),
            milestones=memory.milestones,
            decision=decision,
            is_settled=plan.is_settled,
            refusal=memory.refusal,
            proven_at=memory.proven_at,
            lost_nodes=self._lost_nodes(pods),
        )
        old = raw.get("status") or {}
        status = build_status(situation, old.get("lastColdStart"))
        status["conditions"] = set_conditions(
            old.get("conditions") or [],
            decide_conditions(situation),
            generation=wanted.generation,
            now=format_time(world.clock.now()),
        )
        written = await world.client.patch_status(INFERENCE_DEPLOYMENTS, raw, status, manager=FIELD_MANAGER)
        if written is not None:
            self._deployments.observe_write(written)

    def _lost_nodes(self, pods: Sequence[PodView]) -> frozenset[str]:
        """Machines of these pods that are gone or that nobody hears of."""
        names = {pod.node for pod in pods if pod.node}
        return frozenset(name for name in names if is_lost(self._nodes.get(ObjectKey("", name))))

    def _next(
        self,
        memory: _Memory,
        decision: ScalingDecision,
        plan: ReplicaPlan,
        pods: Sequence[PodView],
        now: datetime,
    ) -> Result:
        """When to look again without being woken."""
        delays = [
            max((at - now).total_seconds(), 0.0)
            for at in (decision.reconsider_at, plan.reconsider_at)
            if at is not None
        ]
        if any(pod.is_draining and not pod.is_terminating for pod in pods):
            delays.append(DRAIN_POLL_SECONDS)
        if memory.refusal:
            delays.append(min(REFUSAL_SECONDS_MIN * 2 ** min(memory.refusals, 16), REFUSAL_SECONDS_MAX))
        return Result(requeue_after_s=min(delays, default=None))
