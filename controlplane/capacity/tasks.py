"""Effects of the capacity room: what a pool's row says is applied to its cell."""

from __future__ import annotations

from controlplane.capacity import service
from controlplane.capacity.domain import PoolState
from controlplane.capacity.manifest import build_node_pool
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
        if pool is None or pool.state is PoolState.DELETING:
            context.clusters.delete("GPUNodePool", None, name)
            return
        try:
            context.clusters.apply(build_node_pool(pool))
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
