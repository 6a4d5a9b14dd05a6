"""Puts the allocation controller into an operator process."""

from __future__ import annotations

from controlplane.spool.shipper import Counts, IngestTarget, Shipper
from operators.allocation.reconcile import (
    INDEX_NODE,
    SEGMENTS_KEPT,
    SPOOL,
    AllocationLedger,
    AllocationReconciler,
    keys_of_node,
    node_of_pod,
    run_ledger,
)
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
    settings, metrics = manager.settings, manager.world.client.metrics
    folder = settings.state_dir / "spool" / SPOOL
    ledger = AllocationLedger(folder, manager.clock, metrics)
    reconciler = AllocationReconciler(nodes, pods, ledger, settings.cell)
    controller = Controller("allocation", reconciler.reconcile, nodes).watches(pods, keys_of_node)
    manager.add_controller(controller)
    manager.add_runnable(
        "allocation-spool", lambda: run_ledger(ledger, lambda node: controller.enqueue(ObjectKey("", node)))
    )
    if settings.ingest_url:
        shipper = Shipper(
            folder,
            settings.state_dir / "shipper",
            SPOOL,
            IngestTarget(settings.ingest_url, settings.ingest_key, settings.ingest_key_file),
            lambda: ledger.durable,
            counts=Counts(
                metrics.usage_shipped.labels(SPOOL),
                metrics.usage_set_aside.labels(SPOOL),
                metrics.usage_not_taken.labels(SPOOL),
            ),
            kept=SEGMENTS_KEPT,
        )
        manager.add_runnable("allocation-shipper", shipper.run)
