"""What a cell reports, turned into values for rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controlplane.capacity.domain import Node
from operators.apis.v1alpha1 import GPUNodePool, NodeClaim

# Set by whoever must change a pool's custom resource by hand: the control plane leaves it alone meanwhile.
BREAK_GLASS = "rempart.eu/break-glass"


@dataclass(frozen=True, slots=True)
class PoolReport:
    """What a cell says of a pool: the wish that it was given, its machines, and how many of them take work.

    `is_reported`: its operator has spoken at all; `is_current`: of this very wish. `held_reason`: why somebody keeps it
    by hand, empty when nobody does.
    """

    wanted: int
    machines: int
    ready: int
    is_reported: bool
    is_current: bool
    held_reason: str


def read_pool(resource: Mapping[str, Any]) -> PoolReport:
    pool = GPUNodePool.model_validate(resource)
    status, generation = pool.status, pool.metadata.generation
    observed = 0 if status is None else status.observed_generation
    return PoolReport(
        wanted=pool.spec.replicas,
        machines=0 if status is None else status.replicas,
        ready=0 if status is None else status.ready_replicas,
        is_reported=observed > 0,
        is_current=observed > 0 and observed == generation,
        held_reason=read_held_reason(resource),
    )


def read_held_reason(resource: Mapping[str, Any] | None) -> str:
    """Why somebody keeps the object by hand; empty when nobody does."""
    annotations = {} if resource is None else resource["metadata"].get("annotations") or {}
    if BREAK_GLASS not in annotations:
        return ""
    return str(annotations[BREAK_GLASS]).strip()[:500] or "no reason given"


def read_node(resource: Mapping[str, Any], observed_at: datetime) -> Node:
    """A NodeClaim as the node that the platform operator sees."""
    claim = NodeClaim.model_validate(resource)
    status = claim.status
    acceptance = None if status is None else status.acceptance
    conditions = {each.type: each for each in (() if status is None else status.conditions)}
    ready, drained = conditions.get("Ready"), conditions.get("Drained")
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
        is_ready=ready is not None and ready.status == "True" and claim.metadata.deletion_timestamp is None,
        reason="" if ready is None else ready.reason,
        message="" if ready is None else ready.message,
        is_leaving=claim.metadata.deletion_timestamp is not None,
        gpus=0 if claim.spec.accelerator is None else claim.spec.accelerator.count,
        labels=dict(claim.spec.node_labels),
        taints=tuple(
            {"key": t.key, "value": t.value, "effect": str(t.effect)} for t in claim.spec.node_taints
        ),
        uid=claim.metadata.uid or "",
        is_drained=None if drained is None else drained.status == "True",
        drain_message="" if drained is None else drained.message,
    )
