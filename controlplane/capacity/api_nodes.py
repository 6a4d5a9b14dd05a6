"""REST of single machines: what their cells report of them, and what may be asked for one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from controlplane.capacity import service
from controlplane.capacity.domain import NodeAction
from controlplane.capacity.schemas_nodes import NodeList, NodeOrderIn, NodeReply, from_node
from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require
from controlplane.plumbing.web import Edge, EdgeDep

router = APIRouter(tags=["capacity"])
NodeName = Annotated[str, Path(max_length=63, description="Name of the machine.")]


@router.get(
    "/v1/admin/nodes", operation_id="list_nodes", summary="List machines by name", response_model=NodeList
)
def list_nodes(
    edge: EdgeDep,
    pool: Annotated[str | None, Query(max_length=50, description="Only those of this pool.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many items a page holds.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=63, description="`next_cursor` of the page before.")
    ] = None,
) -> NodeList:
    require(edge.principal, Resource.NODE, Action.READ)
    nodes = edge.read(lambda uow: service.list_nodes(uow, pool_name=pool, after=cursor, limit=limit + 1))
    kept = nodes[:limit]
    has_next = len(nodes) > limit
    return NodeList(
        nodes=[from_node(node) for node in kept],
        limit=limit,
        has_next=has_next,
        next_cursor=kept[-1].name if has_next else None,
    )


@router.get(
    "/v1/admin/nodes/{node_name}", operation_id="get_node", summary="Get a machine", response_model=NodeReply
)
def get_node(node_name: NodeName, edge: EdgeDep) -> NodeReply:
    require(edge.principal, Resource.NODE, Action.READ)
    return edge.read(lambda uow: NodeReply(node=from_node(service.get_node(uow, node_name))))


@router.post(
    "/v1/admin/nodes/{node_name}/cordon",
    operation_id="cordon_node",
    summary="Keep new work off a machine; what runs there stays",
    status_code=202,
    response_model=NodeReply,
)
def cordon_node(node_name: NodeName, edge: EdgeDep) -> Response:
    return _order(edge, node_name, NodeAction.CORDON)


@router.post(
    "/v1/admin/nodes/{node_name}/uncordon",
    operation_id="uncordon_node",
    summary="Let a machine take work again; ends a drain, too",
    status_code=202,
    response_model=NodeReply,
)
def uncordon_node(node_name: NodeName, edge: EdgeDep) -> Response:
    return _order(edge, node_name, NodeAction.UNCORDON)


@router.post(
    "/v1/admin/nodes/{node_name}/drain",
    operation_id="drain_node",
    summary="Keep new work off a machine and ask what runs there to leave, within its pool's drain time",
    status_code=202,
    response_model=NodeReply,
)
def drain_node(node_name: NodeName, edge: EdgeDep, body: NodeOrderIn | None = None) -> Response:
    return _order(edge, node_name, NodeAction.DRAIN, is_forced=body is not None and body.is_forced)


@router.post(
    "/v1/admin/nodes/{node_name}/replace",
    operation_id="replace_node",
    summary="Drain a machine, give it back and ask for another in its place",
    status_code=202,
    response_model=NodeReply,
)
def replace_node(node_name: NodeName, edge: EdgeDep, body: NodeOrderIn | None = None) -> Response:
    return _order(edge, node_name, NodeAction.REPLACE, is_forced=body is not None and body.is_forced)


def _order(edge: Edge, name: str, action: NodeAction, *, is_forced: bool = False) -> Response:
    require(edge.principal, Resource.NODE, Action.OPERATE)
    actor = edge.principal.actor
    return edge.write(
        lambda uow: NodeReply(
            node=from_node(service.order_node(uow, name, actor=actor, action=action, is_forced=is_forced))
        ),
        status=202,
    )
