"""Keeps a pool's claims equal to what the rules want, and its status equal to its claims."""

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from operators.apis.v1alpha1 import NodeClaimPhase as Phase
from operators.lib.clock import wire_time
from operators.lib.conditions import find_condition
from operators.lib.controller import Result, World
from operators.lib.errors import AlreadyExists, Conflict
from operators.lib.objects import GPU_NODE_POOLS, NODE_CLAIMS, Obj, ObjectKey, is_deleting, key_of, uid_of
from operators.lib.store import Change, Store
from operators.nodepool.domain import CLAIMS_FINALIZER, MANAGER
from operators.nodepool.pool_rules import ClaimPlan, ClaimSummary, PoolFacts, decide_claims, pool_status
from operators.nodepool.providers.base import Provider
from operators.nodepool.resources import build_claim

log = structlog.get_logger(__name__)

POOL_INDEX = "pool"
# Every claim wakes its pool several times on its way; one look this often is enough for all of them.
POOL_PERIOD_S = 0.25
# Enough to hide the round trip, few enough to leave the API server to others.
WRITES_IN_FLIGHT_MAX = 16


def pool_of(claim: Obj) -> Iterable[str]:
    """Indexer: the pool that a claim belongs to."""
    return (claim["spec"]["poolRef"],)


def summary_of(claim: Obj) -> ClaimSummary:
    """What a pool wants to know of one of its claims."""
    status = claim.get("status") or {}
    ready = find_condition(status.get("conditions") or [], "Ready")
    return ClaimSummary(
        name=claim["metadata"]["name"],
        ordinal=claim["spec"]["ordinal"],
        phase=Phase(status.get("phase") or "Pending"),
        is_usable=ready is not None and ready["status"] == "True",
        is_deleting=is_deleting(claim),
        ready_reason=ready["reason"] if ready is not None else "",
    )


class PoolController:
    """`reconcile` is the controller's; the stores are the manager's."""

    def __init__(self, pools: Store, claims: Store, providers: Mapping[str, Provider]) -> None:
        self._pools = pools
        self._claims = claims
        self._providers = providers
        self._looked_at: dict[ObjectKey, float] = {}

    def keys_of_claim(self, change: Change) -> Iterable[ObjectKey]:
        """A claim wakes its pool."""
        claim = change.new or change.old
        assert claim is not None
        return (ObjectKey("", claim["spec"]["poolRef"]),)

    async def reconcile(self, key: ObjectKey, world: World) -> Result:
        """Create and delete claims, then write the status if it changed."""
        pool = self._pools.get(key)
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
        await self._carry_out(pool, decide_claims(facts, self._summaries(facts.name)), world)
        claims = self._summaries(facts.name)
        if facts.is_deleting and not claims:
            if CLAIMS_FINALIZER in finalizers:
                left = [name for name in finalizers if name != CLAIMS_FINALIZER]
                await self._set_finalizers(pool, left, world)
            return Result()
        old = pool.get("status") or {}
        status = pool_status(facts, claims, old, wire_time(world.clock.now()))
        answer = await world.client.patch_status(GPU_NODE_POOLS, pool, status, manager=MANAGER)
        if answer is not None:
            self._pools.observe_write(answer)
        return Result()

    def _summaries(self, pool: str) -> list[ClaimSummary]:
        return [summary_of(claim) for claim in self._claims.by_index(POOL_INDEX, pool)]

    def _facts(self, pool: Obj) -> PoolFacts:
        spec = pool["spec"]
        provider = self._providers.get(spec["provider"]["kind"])
        return PoolFacts(
            name=pool["metadata"]["name"],
            generation=pool["metadata"]["generation"],
            replicas=spec["replicas"],
            is_paused=bool(spec.get("paused")),
            is_deleting=is_deleting(pool),
            is_simulated=provider is not None and provider.is_simulated,
        )

    async def _carry_out(self, pool: Obj, plan: ClaimPlan, world: World) -> None:
        steps = [self._create(pool, ordinal, world) for ordinal in plan.create]
        steps += [self._delete(name, world) for name in plan.delete]
        for start in range(0, len(steps), WRITES_IN_FLIGHT_MAX):
            await asyncio.gather(*steps[start : start + WRITES_IN_FLIGHT_MAX])
        if steps:
            name = pool["metadata"]["name"]
            log.info("pool_scaled", pool=name, created=len(plan.create), deleted=len(plan.delete))

    async def _create(self, pool: Obj, ordinal: int, world: World) -> None:
        try:
            created = await world.client.create(NODE_CLAIMS, build_claim(pool, ordinal), manager=MANAGER)
        except AlreadyExists:
            # The name is the idempotency key: whoever made it, it is this pool's claim.
            return
        self._claims.observe_write(created)

    async def _delete(self, name: str, world: World) -> None:
        claim = self._claims.find(name)
        if claim is None:
            return
        try:
            left = await world.client.delete(NODE_CLAIMS, key_of(claim), uid=uid_of(claim))
        except Conflict:
            # Another claim has the name now: the cache is about to show it.
            return
        if left is not None:
            self._claims.observe_write(left)

    async def _set_finalizers(self, pool: Obj, finalizers: list[str], world: World) -> Obj:
        metadata = {"resourceVersion": pool["metadata"]["resourceVersion"], "finalizers": finalizers}
        answer = await world.client.patch(
            GPU_NODE_POOLS, key_of(pool), {"metadata": metadata}, manager=MANAGER
        )
        if is_deleting(pool) and not finalizers:
            self._pools.remove(answer, "write")
        else:
            self._pools.observe_write(answer)
        return answer
