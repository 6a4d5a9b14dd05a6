"""What a cell reports, turned into values for rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.capacity.domain import Node
from operators.apis.v1alpha1 import GPUNodePool, NodeClaim


def read_ready_nodes(resource: Mapping[str, Any]) -> int:
    """How many nodes of a GPUNodePool take work."""
    status = GPUNodePool.model_validate(resource).status
    return 0 if status is None else status.ready_replicas


def read_node(resource: Mapping[str, Any], observed_at: datetime) -> Node:
    """A NodeClaim as the node that the platform operator sees."""
    claim = NodeClaim.model_validate(resource)
    status = claim.status
    acceptance = None if status is None else status.acceptance
    return Node(
        name=claim.metadata.name,
        pool_name=claim.spec.pool_ref,
        node_name="" if status is None else status.node_name,
        phase="Pending" if status is None or not status.phase else str(status.phase),
        is_simulated=False if status is None else status.simulated,
        accepted_at=None
        if acceptance is None or not acceptance.passed_at
        else datetime.fromisoformat(acceptance.passed_at),
        acceptance=[]
        if acceptance is None
        else [{"name": c.name, "result": str(c.result), "detail": c.detail} for c in acceptance.checks],
        observed_at=observed_at,
    )
