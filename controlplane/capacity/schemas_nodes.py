"""Wire shapes of single machines."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from controlplane.capacity.domain import Node, NodeAction
from controlplane.capacity.node_rules import shown_phase
from controlplane.capacity.schemas import TaintIn
from controlplane.plumbing.web import WireModel


class NodeOrderIn(WireModel):
    is_forced: bool = Field(
        default=False,
        description="True also takes the machine from under what deployments hold: what runs there waits for room.",
    )


class AcceptanceCheckOut(WireModel):
    name: str = Field(description="What was checked.")
    result: str = Field(description="How it ended: passed, failed, skipped or simulated.")
    detail: str = Field(description="What was measured.")


class NodeOut(WireModel):
    name: str = Field(description="Name of the claim for this machine.")
    pool: str = Field(description="Name of its pool.")
    node: str = Field(description="Name of its Kubernetes node; empty until it has one.")
    phase: str = Field(
        description="How it stands: Pending, Launching, Registering, Validating; Ready only while it takes work, else"
        " Cordoned, Draining, Drained or NotReady; Releasing, Failed."
    )
    is_ready: bool = Field(description="Whether tenants' work would be placed on it now.")
    reason: str = Field(description="Why it is ready, or why not, in one word.")
    message: str = Field(description="The same in a sentence; empty when its cell said nothing.")
    is_leaving: bool = Field(description="Whether it is being drained and given back.")
    gpus: int = Field(description="GPUs of the machine.")
    labels: dict[str, str] = Field(description="Labels that its pool gives it.")
    taints: list[TaintIn] = Field(description="Taints that its pool gives it.")
    is_simulated: bool = Field(description="Whether it is simulated.")
    accepted_at: datetime | None = Field(description="When it passed its acceptance check; null until then.")
    acceptance: list[AcceptanceCheckOut] = Field(description="The checks of its acceptance.")
    order: NodeAction | None = Field(
        description="What was asked for it last over REST; null when nothing was. Its cell keeps to it."
    )
    ordered_at: datetime | None = Field(description="When that was asked for; null when nothing was.")
    is_drained: bool | None = Field(
        description="Whether no pod is left on it; null while nobody drains it. The node's own pods do not count."
    )
    drain_message: str = Field(
        description="Which pods are left, what holds them and until when that counts; empty while nobody drains it."
    )
    observed_at: datetime = Field(description="When its cell last reported on it.")


class NodeReply(WireModel):
    node: NodeOut


class NodeList(WireModel):
    nodes: list[NodeOut]
    limit: int = Field(description="How many items a page holds.")
    has_next: bool = Field(description="Whether more follow.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")


def from_node(node: Node) -> NodeOut:
    return NodeOut(
        name=node.name,
        pool=node.pool_name,
        node=node.node_name,
        phase=shown_phase(node),
        is_ready=node.is_ready,
        reason=node.reason,
        message=node.message,
        is_leaving=node.is_leaving,
        gpus=node.gpus,
        labels=node.labels,
        taints=[TaintIn.model_validate(taint) for taint in node.taints],
        is_simulated=node.is_simulated,
        accepted_at=node.accepted_at,
        acceptance=[AcceptanceCheckOut(**check) for check in node.acceptance],
        order=node.order,
        ordered_at=node.ordered_at,
        is_drained=node.is_drained,
        drain_message=node.drain_message,
        observed_at=node.observed_at,
    )
