"""Use cases of single machines: shown as their cells report them, cordoned, drained and replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.audit import service as audit
from controlplane.capacity import repository
from controlplane.capacity.domain import Node, NodeAction, PoolState
from controlplane.capacity.events import NodePoolChanged
from controlplane.capacity.models import NodePoolRow
from controlplane.capacity.node_rules import PoolAround, find_refusal
from controlplane.capacity.projection import read_node
from controlplane.capacity.site_rules import nodes_needed
from controlplane.kernel.errors import Conflict, NotFound
from controlplane.kernel.events import JsonValue
from controlplane.plumbing.database import UnitOfWork

PAST = {
    NodeAction.CORDON: "node.cordoned",
    NodeAction.UNCORDON: "node.uncordoned",
    NodeAction.DRAIN: "node.drained",
    NodeAction.REPLACE: "node.replaced",
}


def list_nodes(uow: UnitOfWork, *, pool_name: str | None, after: str | None, limit: int) -> list[Node]:
    return repository.list_nodes(uow, pool_name=pool_name, after=after, limit=limit)


def get_node(uow: UnitOfWork, name: str) -> Node:
    node = repository.find_node(uow, name)
    if node is None:
        raise NotFound(f"There is no machine '{name}'.")
    return node


def order_node(
    uow: UnitOfWork, name: str, *, actor: str, action: NodeAction, is_forced: bool = False
) -> Node:
    """Ask for something of one machine; asking again for what is asked changes nothing.

    The order is a field of its pool's custom resource, so that the cell keeps to it until the machine is gone or
    something else is asked. Errors: NotFound; Conflict where it cannot be given, with what to do instead.
    """
    pool = repository.find_pool_row(uow, get_node(uow, name).pool_name, is_locked=True)
    # Read again under the pool's lock: two orders are weighed one after the other.
    node = get_node(uow, name)
    refusal = find_refusal(
        node, action, None if pool is None else _around(uow, pool, node), is_forced=is_forced
    )
    if pool is None or refusal is not None:
        raise Conflict(refusal or f"There is no node pool '{node.pool_name}'.")
    if node.order is action:
        return node
    order = {
        "claim": name,
        "uid": node.uid,
        "action": action.value,
        "since": uow.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    pool.node_orders = [*(each for each in pool.node_orders if each["claim"] != name), order]
    uow.session.flush()
    detail: dict[str, JsonValue] = {"node": name, "node_pool": pool.name, "is_forced": is_forced}
    audit.record(uow, tenant_id=None, actor=actor, action=PAST[action], target=str(pool.id), detail=detail)
    uow.emit(NodePoolChanged(pool.name))
    return get_node(uow, name)


def _around(uow: UnitOfWork, pool: NodePoolRow, node: Node) -> PoolAround:
    others = [
        each
        for each in repository.list_nodes(uow, pool_name=pool.name, after=None, limit=None)
        if each.name != node.name and each.is_ready and each.order in (None, NodeAction.UNCORDON)
    ]
    return PoolAround(
        others_ready=len(others),
        needed=nodes_needed(repository.size_of(pool), repository.list_held(uow, pool.id)),
        is_paused=pool.is_paused,
        is_going=pool.state == PoolState.DELETING,
        held_reason=pool.held_reason,
    )


def observe_node_claim(uow: UnitOfWork, resource: Mapping[str, Any]) -> None:
    """Take over what a cell reports of a machine; an order for an earlier machine of its name has ended."""
    node = read_node(resource, uow.now)
    repository.upsert_node(uow, node)
    if repository.has_order_of_another(uow, node.pool_name, node.name, node.uid):
        _end_orders(uow, node.pool_name)


def observe_node_claim_gone(uow: UnitOfWork, name: str) -> None:
    node = repository.find_node(uow, name)
    repository.delete_node(uow, name)
    if node is not None and node.order is not None:
        _end_orders(uow, node.pool_name)


def settle_node_claims(uow: UnitOfWork, present: frozenset[str]) -> None:
    """Forget machines whose claims a whole list of the cell no longer has, and what was asked for them."""
    repository.delete_nodes_except(uow, present)
    for name in repository.list_names_with_orders(uow):
        _end_orders(uow, name)


def _end_orders(uow: UnitOfWork, pool_name: str) -> None:
    """Drop the orders for machines that are gone."""
    row = repository.find_pool_row(uow, pool_name, is_locked=True)
    if row is None:
        return
    known = repository.list_claim_uids(uow, pool_name)
    kept = [order for order in row.node_orders if order["uid"] in known]
    if len(kept) < len(row.node_orders):
        row.node_orders = kept
        uow.emit(NodePoolChanged(pool_name))
