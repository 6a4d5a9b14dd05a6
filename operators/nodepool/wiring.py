"""Puts the node-pool controllers into a manager."""

from operators.apis.v1alpha1 import ProviderKind
from operators.lib.controller import Controller
from operators.lib.manager import Manager
from operators.lib.objects import GPU_NODE_POOLS, NODE_CLAIMS, NODES, PODS
from operators.nodepool.claim_controller import ClaimController
from operators.nodepool.domain import LABEL_ACCEPTANCE
from operators.nodepool.pool_controller import POOL_INDEX, PoolController, pool_of
from operators.nodepool.providers.base import Provider
from operators.nodepool.providers.kwok import KwokProvider
from operators.nodepool.providers.process import ProcessProvider
from operators.nodepool.sweep import Sweep


def setup(manager: Manager, *, kwok_seed: int = 0, kwok_latency_max_s: float = 0.0) -> None:
    """Register caches, controllers and the sweep. Units: seconds of simulated launch latency."""
    pools = manager.store(GPU_NODE_POOLS)
    claims = manager.store(NODE_CLAIMS, indexers={POOL_INDEX: pool_of})
    nodes = manager.store(NODES)
    system = manager.settings.system_namespace
    acceptances = manager.store(PODS, namespace=system, label_selector=f"{LABEL_ACCEPTANCE}=true")
    providers: dict[str, Provider] = {
        ProviderKind.KWOK.value: KwokProvider(
            manager.client, nodes, manager.clock.now, seed=kwok_seed, latency_max_s=kwok_latency_max_s
        ),
        ProviderKind.PROCESS.value: ProcessProvider(manager.settings.process_hosts_dir, nodes),
    }
    workers = manager.settings.workers
    pool = PoolController(pools, claims, providers)
    manager.add_controller(
        Controller("nodepool.pools", pool.reconcile, pools, workers=min(workers, 4)).watches(
            claims, pool.keys_of_claim
        )
    )
    claim = ClaimController(claims, nodes, acceptances, providers, system)
    manager.add_controller(
        Controller("nodepool.claims", claim.reconcile, claims, workers=workers)
        .watches(nodes, claim.keys_of_node)
        .watches(acceptances, claim.keys_of_acceptance)
    )
    manager.add_runnable("nodepool.sweep", Sweep(claims, providers.values(), manager.world).run)
