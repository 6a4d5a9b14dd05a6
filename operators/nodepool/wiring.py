"""Puts the node-pool controllers into a manager."""

from operators.apis.v1alpha1 import ProviderKind
from operators.lib.controller import Controller
from operators.lib.manager import Manager
from operators.lib.objects import (
    GPU_NODE_POOLS,
    HOST_QUARANTINES,
    NODE_CLAIMS,
    NODES,
    POD_DISRUPTION_BUDGETS,
    PODS,
)
from operators.nodepool.caches import NODE_INDEX, POOL_INDEX, Caches
from operators.nodepool.claim_controller import ClaimController
from operators.nodepool.domain import LABEL_ACCEPTANCE
from operators.nodepool.metrics import NodePoolMetrics
from operators.nodepool.pool_controller import PoolController, pool_of
from operators.nodepool.providers.base import Provider
from operators.nodepool.providers.kwok import KwokProvider
from operators.nodepool.providers.process import ProcessProvider
from operators.nodepool.sweep import Sweep
from operators.nodepool.teardown import Teardown
from operators.nodepool.views import node_of_pod, slim_budget, slim_pod


def caches_of(manager: Manager) -> Caches:
    """The caches of this operator, in the manager."""
    namespace = manager.settings.system_namespace
    return Caches(
        pools=manager.store(GPU_NODE_POOLS),
        claims=manager.store(NODE_CLAIMS, indexers={POOL_INDEX: pool_of}),
        nodes=manager.store(NODES),
        acceptances=manager.store(PODS, namespace=namespace, label_selector=f"{LABEL_ACCEPTANCE}=true"),
        pods=manager.store(PODS, indexers={NODE_INDEX: node_of_pod}, transform=slim_pod),
        budgets=manager.store(POD_DISRUPTION_BUDGETS, transform=slim_budget),
        quarantines=manager.store(HOST_QUARANTINES),
        system_namespace=namespace,
    )


def setup(manager: Manager, *, kwok_seed: int = 0, kwok_latency_max_s: float = 0.0) -> None:
    """Register caches, controllers and the sweep. Units: seconds of simulated launch latency."""
    caches = caches_of(manager)
    metrics = NodePoolMetrics(manager.client.metrics.registry)
    metrics.watch_fleet(caches.pools, caches.claims, caches.quarantines)
    providers: dict[str, Provider] = {
        ProviderKind.KWOK.value: KwokProvider(
            manager.client, caches.nodes, manager.clock.now, seed=kwok_seed, latency_max_s=kwok_latency_max_s
        ),
        ProviderKind.PROCESS.value: ProcessProvider(manager.settings.process_hosts_dir, caches.nodes),
    }
    workers = manager.settings.workers
    pool = PoolController(caches, providers, metrics)
    manager.add_controller(
        Controller("nodepool.pools", pool.reconcile, caches.pools, workers=min(workers, 4))
        .watches(caches.claims, pool.keys_of_claim)
        .watches(caches.quarantines, pool.keys_of_quarantine)
    )
    teardown = Teardown(caches, metrics)
    claim = ClaimController(caches, providers, teardown, metrics)
    manager.add_controller(
        Controller("nodepool.claims", claim.reconcile, caches.claims, workers=workers)
        .watches(caches.pools, caches.keys_of_orders)
        .watches(caches.nodes, caches.keys_of_node)
        .watches(caches.acceptances, caches.keys_of_acceptance)
        .watches(caches.pods, caches.keys_of_pod)
        .watches(caches.budgets, teardown.keys_of_budget)
    )
    manager.add_runnable("nodepool.sweep", Sweep(caches.claims, providers.values(), manager.world).run)
