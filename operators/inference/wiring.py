"""Puts the inference controller into an operator process."""

from __future__ import annotations

from operators.inference.demand import DemandBoard, connect
from operators.inference.endpoints import EndpointPublisher
from operators.inference.owners import INDEX_OWNER, keys_of_owner, owner_keys
from operators.inference.reconcile import InferenceReconciler
from operators.inference.views import LABEL_TENANT
from operators.lib.controller import Controller
from operators.lib.manager import Manager
from operators.lib.objects import INFERENCE_DEPLOYMENTS, NODES, PODS
from operators.lib.settings import InvalidSettings

# Wakes wait for the API server, not for us: with fewer workers than services that wake together the last
# create would wait for the first answers. As many as the client has connections.
WORKERS_MIN = 64


def setup(manager: Manager) -> None:
    """Register the stores, the controller and the two Redis loops. Errors: InvalidSettings without REDIS_URL.

    Call before `manager.run`.
    """
    if not manager.settings.redis_url:
        raise InvalidSettings("REDIS_URL must be set: replicas are woken and published through Redis")
    deployments = manager.store(INFERENCE_DEPLOYMENTS)
    pods = manager.store(PODS, label_selector=LABEL_TENANT, indexers={INDEX_OWNER: owner_keys})
    board = DemandBoard(connect(manager.settings.redis_url), manager.clock, lambda: reconciler.known_ids())
    # A connection pool of its own: re-assertions must not hold up the poll, nor the poll them.
    publisher = EndpointPublisher(connect(manager.settings.redis_url), manager.clock)
    nodes = manager.store(NODES)
    reconciler = InferenceReconciler(deployments, pods, nodes, board, publisher)
    controller = Controller(
        "inference", reconciler.reconcile, deployments, workers=max(WORKERS_MIN, manager.settings.workers)
    ).watches(pods, keys_of_owner)

    def wake(regional_deployment_id: str) -> None:
        key = reconciler.find_key(regional_deployment_id)
        if key is not None:
            controller.enqueue(key)

    board.listen(wake)
    manager.add_controller(controller)
    manager.add_runnable("inference-demand", board.run)
    manager.add_runnable("inference-endpoints", publisher.run)
