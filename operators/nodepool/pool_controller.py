"""Keeps a pool's claims equal to what the rules want, and its status equal to its claims."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from operators.apis.v1alpha1 import NodeAction
from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.clock import wire_time
from operators.lib.conditions import NEGATIVE, find_condition
from operators.lib.controller import Result, World
from operators.lib.errors import AlreadyExists, ApiError, Conflict, is_transient
from operators.lib.objects import GPU_NODE_POOLS, NODE_CLAIMS, Obj, ObjectKey, is_deleting, key_of, uid_of
from operators.lib.phases import elapsed_s
from operators.lib.store import Change
from operators.nodepool.caches import Caches
from operators.nodepool.domain import CLAIMS_FINALIZER, MANAGER
from operators.nodepool.metrics import NodePoolMetrics
from operators.nodepool.order_rules import order_of
from operators.nodepool.pool_rules import (
    ClaimPlan,
    ClaimSummary,
    PoolFacts,
    decide_claims,
    is_outdated,
    next_look_s,
    pool_status,
)
from operators.nodepool.providers.base import Provider
from operators.nodepool.resources import build_claim
from operators.nodepool.views import node_facts

log = structlog.get_logger(__name__)

# Every claim wakes its pool several times on its way; one look this often is enough for all of them.
POOL_PERIOD_S = 0.25
# Heartbeats of nodes come every 10 s to 40 s: a node is not lost sooner than this, whatever the spec says.
NOT_READY_MIN_S = 60.0
NAMES_TOLD_MAX = 5
# Claims that the API server refused are asked for again.
REFUSED_RETRY_S = 30.0
# Enough to hide the round trip, few enough to leave the API server to others.
WRITES_IN_FLIGHT_MAX = 16


def pool_of(claim: Obj) -> Iterable[str]:
    """Indexer: the pool that a claim belongs to."""
    return (claim["spec"]["poolRef"],)


def summary_of(claim: Obj, pool: Obj, node: Obj | None, now: datetime) -> ClaimSummary:
    """What a pool wants to know of one of its claims. `node` is the claim's own."""
    status = claim.get("status") or {}
    ready = find_condition(status.get("conditions") or [], "Ready")
    is_usable = ready is not None and ready["status"] == "True"
    is_accepted = bool((status.get("acceptance") or {}).get("passedAt"))
    # Read of few: a claim whose node is silent is not usable.
    order = order_of(claim, pool)
    seen = node_facts(node) if node is not None and is_accepted and not is_usable else None
    return ClaimSummary(
        name=claim["metadata"]["name"],
        ordinal=claim["spec"]["ordinal"],
        phase=Phase(status.get("phase") or "Pending"),
        is_usable=is_usable,
        is_deleting=is_deleting(claim),
        ready_reason=ready["reason"] if ready is not None else "",
        ready_message=str(ready.get("message") or "") if ready is not None else "",
        is_outdated=is_outdated(claim["spec"], pool["spec"]),
        is_ordered_out=order is not None and order.action == NodeAction.REPLACE,
        lost_s=elapsed_s(seen.not_ready_since, now) if seen is not None and not seen.is_ready else None,
    )


def facts_of(pool: Obj, *, is_simulated: bool, hosts_set_aside: int = 0) -> PoolFacts:
    """A GPUNodePool's facts; what its spec leaves out has the defaults of PoolFacts."""
    spec = pool["spec"]
    rollout, repair = spec.get("rollout") or {}, spec.get("repair") or {}
    not_ready_s = float(repair.get("notReadySeconds", 900))
    return PoolFacts(
        name=pool["metadata"]["name"],
        generation=pool["metadata"]["generation"],
        replicas=spec["replicas"],
        is_paused=bool(spec.get("paused")),
        is_deleting=is_deleting(pool),
        is_simulated=is_simulated,
        max_unavailable=int(rollout.get("maxUnavailable", 1)),
        not_ready_s=max(not_ready_s, NOT_READY_MIN_S) if not_ready_s > 0 else 0.0,
        max_unhealthy_percent=int(repair.get("maxUnhealthyPercent", 20)),
        hosts_set_aside=hosts_set_aside,
    )


class PoolController:
    """`reconcile` is the controller's; the stores are the manager's."""

    def __init__(self, caches: Caches, providers: Mapping[str, Provider], metrics: NodePoolMetrics) -> None:
        self._caches = caches
        self._providers = providers
        self._metrics = metrics
        self._looked_at: dict[ObjectKey, float] = {}

    def keys_of_claim(self, change: Change) -> Iterable[ObjectKey]:
        """A claim wakes its pool."""
        claim = change.new or change.old
        assert claim is not None
        return (ObjectKey("", claim["spec"]["poolRef"]),)

    def keys_of_quarantine(self, change: Change) -> Iterable[ObjectKey]:
        """A host's record wakes the pool that it counts for."""
        record = change.new or change.old
        assert record is not None
        return (ObjectKey("", record["spec"]["pool"]),)

    async def reconcile(self, key: ObjectKey, world: World) -> Result:
        """Create and delete claims, then write the status if it changed."""
        pool = self._caches.pools.get(key)
        if pool is None:
            self._looked_at.pop(key, None)
            return Result()
        wait_s = self._looked_at.get(key, -POOL_PERIOD_S) + POOL_PERIOD_S - world.clock.monotonic()
        if wait_s > 0:
            return Result(wait_s)
        self._looked_at[key] = world.clock.monotonic()
        finalizers = pool["metadata"].get("finalizers") or []
        if not is_deleting(pool) and CLAIMS_FINALIZER not in finalizers:
            pool = await self._set_finalizers(pool, [*finalizers, CLAIMS_FINALIZER], world)
        facts = self._facts(pool)
        now = world.clock.now()
        refusal = await self._carry_out(pool, decide_claims(facts, self._summaries(pool, now)), world)
        facts = replace(facts, refusal=refusal)
        claims = self._summaries(pool, now)
        if facts.is_deleting and not claims:
            if CLAIMS_FINALIZER in finalizers:
                left = [name for name in finalizers if name != CLAIMS_FINALIZER]
                await self._set_finalizers(pool, left, world)
            return Result()
        old = pool.get("status") or {}
        status = pool_status(facts, claims, old, wire_time(now))
        answer = await world.client.patch_status(GPU_NODE_POOLS, pool, status, manager=MANAGER)
        if answer is not None:
            self._caches.pools.observe_write(answer)
            tell_changes(pool, status, world)
        return Result(REFUSED_RETRY_S if refusal else next_look_s(facts, claims))

    def _summaries(self, pool: Obj, now: datetime) -> list[ClaimSummary]:
        claims = self._caches.claims_of(pool["metadata"]["name"])
        return [summary_of(claim, pool, self._caches.own_node(claim), now) for claim in claims]

    def _facts(self, pool: Obj) -> PoolFacts:
        kind = pool["spec"]["provider"]["kind"]
        provider = self._providers.get(kind)
        return facts_of(
            pool,
            is_simulated=provider is not None and provider.is_simulated,
            hosts_set_aside=len(self._caches.hosts_set_aside(kind, pool["metadata"]["name"])),
        )

    async def _carry_out(self, pool: Obj, plan: ClaimPlan, world: World) -> str:
        """Create and delete; the API server's first refusal as a sentence, empty if there was none."""
        steps = [self._create(pool, ordinal, world) for ordinal in plan.create]
        steps += [self._delete(name, world) for name in plan.delete]
        answers: list[ApiError | None] = []
        for start in range(0, len(steps), WRITES_IN_FLIGHT_MAX):
            answers += await asyncio.gather(*steps[start : start + WRITES_IN_FLIGHT_MAX])
        refusals = [answer.message for answer in answers if answer is not None]
        if len(refusals) < len(steps):
            name = pool["metadata"]["name"]
            log.info(
                "pool_scaled", pool=name, created=len(plan.create), deleted=len(plan.delete), why=plan.why
            )
            if plan.create:
                world.events.record(pool, "ScalingUp", f"asked for {len(plan.create)} machines")
            if plan.delete and plan.why:
                text = f"replaces {plan.why} nodes: {', '.join(plan.delete[:NAMES_TOLD_MAX])}"
                world.events.record(pool, "Replacing", text, is_warning=plan.why == "unhealthy")
                self._metrics.replaced.labels(name, plan.why).inc(len(plan.delete))
            elif plan.delete:
                world.events.record(pool, "ScalingDown", f"gives {len(plan.delete)} machines back")
        return refusals[0] if refusals else ""

    async def _create(self, pool: Obj, ordinal: int, world: World) -> ApiError | None:
        try:
            created = await world.client.create(NODE_CLAIMS, build_claim(pool, ordinal), manager=MANAGER)
        except AlreadyExists:
            # The name is the idempotency key: whoever made it, it is this pool's claim.
            return None
        except ApiError as err:
            if is_transient(err):
                raise
            return err
        self._caches.claims.observe_write(created)
        return None

    async def _delete(self, name: str, world: World) -> ApiError | None:
        claim = self._caches.claims.find(name)
        if claim is None:
            return None
        try:
            left = await world.client.delete(NODE_CLAIMS, key_of(claim), uid=uid_of(claim))
        except Conflict:
            # Another claim has the name now: the cache is about to show it.
            return None
        except ApiError as err:
            if is_transient(err):
                raise
            return err
        if left is not None:
            self._caches.claims.observe_write(left)
        return None

    async def _set_finalizers(self, pool: Obj, finalizers: list[str], world: World) -> Obj:
        metadata = {"resourceVersion": pool["metadata"]["resourceVersion"], "finalizers": finalizers}
        answer = await world.client.patch(
            GPU_NODE_POOLS, key_of(pool), {"metadata": metadata}, manager=MANAGER
        )
        if is_deleting(pool) and not finalizers:
            self._caches.pools.remove(answer, "write")
        else:
            self._caches.pools.observe_write(answer)
        return answer


def tell_changes(pool: Obj, status: Obj, world: World) -> None:
    """An Event for each condition of the pool that flipped, and for each new reason of a bad one."""
    old = {known["type"]: known for known in (pool.get("status") or {}).get("conditions") or []}
    for new in status["conditions"]:
        before = old.get(new["type"], {})
        if (before.get("status"), before.get("reason")) == (new["status"], new["reason"]):
            continue
        is_bad = new["status"] == ("True" if new["type"] in NEGATIVE else "False")
        if before or is_bad:
            text = f"{new['type']} is {new['status']}: {new['message']}"
            world.events.record(pool, new["reason"], text, is_warning=is_bad)
