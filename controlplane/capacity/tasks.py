"""Effects of the capacity room: what a pool's row says is applied to its cell."""

from __future__ import annotations

from controlplane.capacity import service
from controlplane.capacity.domain import PoolState
from controlplane.capacity.manifest import build_node_pool
from controlplane.capacity.projection import read_held_reason
from controlplane.capacity.site_rules import PoolDraw, replicas_to_start
from controlplane.plumbing.cluster import ClusterRefused
from controlplane.plumbing.consumers import Consumer, Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.schedule import Tick

# A pool that somebody changed or deleted in the cell is put right within this time, watch or no watch.
TICKS = (Tick("capacity.reconcile", 300),)


def consumers(context: Context) -> tuple[Consumer, ...]:
    def converge(name: str) -> None:
        with context.database.system(is_read_only=True) as uow:
            pool = service.find_node_pool(uow, name)
            is_over = pool is not None and service.is_overcommitted(uow, pool.datacenter_code)
        if read_held_reason(context.clusters.find("GPUNodePool", None, name)):
            # Somebody keeps it by hand: the watcher notes why, and it is put right once the annotation is gone.
            return
        if pool is not None and pool.state is PoolState.REMOVED:
            return
        if pool is None or pool.state is PoolState.DELETING:
            context.clusters.delete("GPUNodePool", None, name)
            return
        try:
            draw = PoolDraw(name, pool.replicas, pool.nodes_there, pool.watts_per_node, pool.nodes_seen)
            context.clusters.apply(build_node_pool(pool, replicas_to_start(draw, is_over)))
        except ClusterRefused as refused:
            with context.database.system() as uow:
                service.refuse_node_pool(uow, name, refused.message)

    def apply_pool(event: Event) -> None:
        converge(event.payload["pool_name"])

    def reconcile_all(_: Event) -> None:
        with context.database.system(is_read_only=True) as uow:
            names = [pool.name for pool in service.list_node_pools(uow)]
        for name in names:
            converge(name)

    return (
        Consumer("capacity.apply_pool", frozenset({"node_pool.changed"}), effect=apply_pool),
        Consumer("capacity.reconcile", frozenset({TICKS[0].topic}), effect=reconcile_all),
    )
