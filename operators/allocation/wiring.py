"""Puts the allocation controller into an operator process."""

from __future__ import annotations

from operators.allocation.reconcile import (
    INDEX_NODE,
    AllocationLedger,
    AllocationReconciler,
    keys_of_node,
    node_of_pod,
    run_ledger,
)
from operators.allocation.shipper import SPOOL, AllocationShipper
from operators.allocation.views import LABEL_TENANT
from operators.lib.controller import Controller
from operators.lib.manager import Manager
from operators.lib.objects import NODES, PODS, ObjectKey


def setup(manager: Manager) -> None:
    """Register the stores, the controller, the spool (`<state dir>/spool/allocation`) and its shipper.

    Call before `manager.run`.
    """
    nodes = manager.store(NODES)
    pods = manager.store(PODS, label_selector=LABEL_TENANT, indexers={INDEX_NODE: node_of_pod})
    ledger = AllocationLedger(manager.settings.state_dir / "spool" / SPOOL, manager.clock)
    reconciler = AllocationReconciler(nodes, pods, ledger, manager.settings.cell)
    controller = Controller("allocation", reconciler.reconcile, nodes).watches(pods, keys_of_node)
    manager.add_controller(controller)
    manager.add_runnable(
        "allocation-spool", lambda: run_ledger(ledger, lambda node: controller.enqueue(ObjectKey("", node)))
    )
    settings = manager.settings
    if settings.ingest_url:
        shipper = AllocationShipper(
            settings.state_dir / "spool" / SPOOL,
            settings.state_dir / "shipper",
            settings.ingest_url,
            settings.read_ingest_key,
            lambda: ledger.durable,
            manager.world.client.metrics,
        )
        manager.add_runnable("allocation-shipper", shipper.run)
