"""All SQL of the capacity room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from controlplane.capacity.domain import (
    Datacenter,
    Node,
    NodeAction,
    NodePool,
    PoolState,
    ProviderKind,
    SiteRole,
)
from controlplane.capacity.models import (
    CellRow,
    DatacenterRow,
    NodePoolRow,
    NodeRow,
    ReservationRow,
    SiteRoleRow,
)
from controlplane.capacity.site_rules import NodeSize
from controlplane.kernel.ids import DatacenterId, LegalEntityId, NodePoolId, RegionalDeploymentId
from controlplane.plumbing.database import UnitOfWork


def list_datacenters(uow: UnitOfWork) -> list[Datacenter]:
    """All sites with their cells, by code."""
    roles = list_roles(uow)
    cells: dict[DatacenterId, list[str]] = {}
    for cell in uow.session.scalars(select(CellRow).order_by(CellRow.name)):
        cells.setdefault(cell.datacenter_id, []).append(cell.name)
    rows = uow.session.scalars(select(DatacenterRow).order_by(DatacenterRow.code))
    return [
        _to_datacenter(row, tuple(cells.get(row.id, ())), tuple(roles.get(row.id, ())), uow.now)
        for row in rows
    ]


def list_roles(uow: UnitOfWork) -> dict[DatacenterId, list[SiteRole]]:
    """Who ran and owned each site, and who will, in the order of time; what was stated later wins."""
    found: dict[DatacenterId, list[SiteRole]] = {}
    query = select(SiteRoleRow).order_by(SiteRoleRow.valid_from, SiteRoleRow.recorded_at, SiteRoleRow.id)
    for row in uow.session.scalars(query):
        role = SiteRole(row.id, row.role, row.entity_id, row.valid_from, row.evidence, row.recorded_at)
        found.setdefault(row.datacenter_id, []).append(role)
    return found


def count_cells(uow: UnitOfWork, datacenter_id: DatacenterId) -> int:
    query = select(func.count()).select_from(CellRow).where(CellRow.datacenter_id == datacenter_id)
    return uow.session.scalar(query) or 0


def find_datacenter_row(uow: UnitOfWork, code: str, *, is_locked: bool = False) -> DatacenterRow | None:
    query = select(DatacenterRow).where(DatacenterRow.code == code)
    return uow.session.scalars(query.with_for_update() if is_locked else query).one_or_none()


def find_cell_row(uow: UnitOfWork, name: str) -> CellRow | None:
    return uow.session.scalars(select(CellRow).where(CellRow.name == name)).one_or_none()


def find_pool_row(uow: UnitOfWork, name: str, *, is_locked: bool = False) -> NodePoolRow | None:
    query = select(NodePoolRow).where(NodePoolRow.name == name)
    return uow.session.scalars(query.with_for_update() if is_locked else query).one_or_none()


def list_pools(uow: UnitOfWork, *, after: UUID | None = None, limit: int | None = None) -> list[NodePool]:
    """Pools with their site's and cell's names, newest first when paged."""
    query = (
        select(NodePoolRow, DatacenterRow, CellRow)
        .join(DatacenterRow, DatacenterRow.id == NodePoolRow.datacenter_id)
        .join(CellRow, CellRow.id == NodePoolRow.cell_id)
        .order_by(NodePoolRow.id.desc())
    )
    if after is not None:
        query = query.where(NodePoolRow.id < NodePoolId(after))
    if limit is not None:
        query = query.limit(limit)
    return [_to_pool(pool, site, cell) for pool, site, cell in uow.session.execute(query)]


def find_pool(uow: UnitOfWork, name: str) -> NodePool | None:
    found = uow.session.execute(
        select(NodePoolRow, DatacenterRow, CellRow)
        .join(DatacenterRow, DatacenterRow.id == NodePoolRow.datacenter_id)
        .join(CellRow, CellRow.id == NodePoolRow.cell_id)
        .where(NodePoolRow.name == name)
    ).one_or_none()
    return None if found is None else _to_pool(*found)


def list_pool_rows_of(uow: UnitOfWork, datacenter_id: DatacenterId) -> Sequence[NodePoolRow]:
    """Every pool of one site, those that are being given back included, by name."""
    return uow.session.scalars(
        select(NodePoolRow).where(NodePoolRow.datacenter_id == datacenter_id).order_by(NodePoolRow.name)
    ).all()


def list_held(uow: UnitOfWork, pool_id: NodePoolId) -> list[tuple[int, NodeSize]]:
    """What a pool's reservations hold: (replicas, size of one)."""
    rows = uow.session.scalars(select(ReservationRow).where(ReservationRow.pool_id == pool_id))
    return [
        (
            row.replicas,
            NodeSize(row.gpus // row.replicas, row.cpu_milli // row.replicas, row.memory_mib // row.replicas),
        )
        for row in rows
    ]


def take_capacity(uow: UnitOfWork, pool_id: NodePoolId, gpus: int, cpu_milli: int, memory_mib: int) -> bool:
    """Add to a pool's reserved sums if all three fit what its ready nodes have; False otherwise.

    Of a pool that shrinks, only as many nodes count as will be left; of a paused one, none.
    """
    nodes = func.least(NodePoolRow.ready_nodes, NodePoolRow.replicas)
    taken = uow.session.execute(
        update(NodePoolRow)
        .where(
            NodePoolRow.id == pool_id,
            NodePoolRow.state == PoolState.ACTIVE,
            NodePoolRow.is_paused.is_(False),
            nodes * NodePoolRow.gpus_per_node - NodePoolRow.gpus_reserved >= gpus,
            nodes * NodePoolRow.cpu_milli_per_node - NodePoolRow.cpu_milli_reserved >= cpu_milli,
            nodes * NodePoolRow.memory_mib_per_node - NodePoolRow.memory_mib_reserved >= memory_mib,
        )
        .values(
            gpus_reserved=NodePoolRow.gpus_reserved + gpus,
            cpu_milli_reserved=NodePoolRow.cpu_milli_reserved + cpu_milli,
            memory_mib_reserved=NodePoolRow.memory_mib_reserved + memory_mib,
        )
        .returning(NodePoolRow.id)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    return taken is not None


def find_reservation(uow: UnitOfWork, holder: RegionalDeploymentId) -> ReservationRow | None:
    return uow.session.scalars(select(ReservationRow).where(ReservationRow.holder == holder)).one_or_none()


def delete_reservation(uow: UnitOfWork, holder: RegionalDeploymentId) -> NodePoolId | None:
    """Give a reservation's amounts back to its pool; None when there is none."""
    gone = uow.session.execute(
        delete(ReservationRow)
        .where(ReservationRow.holder == holder)
        .returning(
            ReservationRow.pool_id, ReservationRow.gpus, ReservationRow.cpu_milli, ReservationRow.memory_mib
        )
    ).one_or_none()
    if gone is None:
        return None
    uow.session.execute(
        update(NodePoolRow)
        .where(NodePoolRow.id == gone.pool_id)
        .values(
            gpus_reserved=NodePoolRow.gpus_reserved - gone.gpus,
            cpu_milli_reserved=NodePoolRow.cpu_milli_reserved - gone.cpu_milli,
            memory_mib_reserved=NodePoolRow.memory_mib_reserved - gone.memory_mib,
        )
        .execution_options(synchronize_session=False)
    )
    pool_id: NodePoolId = gone.pool_id
    return pool_id


def upsert_node(uow: UnitOfWork, node: Node) -> None:
    values = {
        "pool_name": node.pool_name,
        "node_name": node.node_name,
        "phase": node.phase,
        "is_simulated": node.is_simulated,
        "accepted_at": node.accepted_at,
        "acceptance": node.acceptance,
        "observed_at": node.observed_at,
        "is_ready": node.is_ready,
        "reason": node.reason,
        "message": node.message,
        "is_leaving": node.is_leaving,
        "gpus": node.gpus,
        "labels": node.labels,
        "taints": list(node.taints),
        "uid": node.uid,
        "is_drained": node.is_drained,
        "drain_message": node.drain_message,
    }
    uow.session.execute(
        insert(NodeRow)
        .values(name=node.name, **values)
        .on_conflict_do_update(index_elements=[NodeRow.name], set_=values)
    )


def delete_node(uow: UnitOfWork, name: str) -> None:
    uow.session.execute(delete(NodeRow).where(NodeRow.name == name))


def delete_nodes_except(uow: UnitOfWork, present: frozenset[str]) -> None:
    uow.session.execute(delete(NodeRow).where(NodeRow.name.not_in(sorted(present))))


def list_nodes(uow: UnitOfWork, *, pool_name: str | None, after: str | None, limit: int | None) -> list[Node]:
    query = select(NodeRow).order_by(NodeRow.name).limit(limit)
    if pool_name is not None:
        query = query.where(NodeRow.pool_name == pool_name)
    if after is not None:
        query = query.where(NodeRow.name > after)
    rows = uow.session.scalars(query).all()
    orders = _orders_of(uow, {row.pool_name for row in rows})
    return [_to_node(row, orders) for row in rows]


def find_node(uow: UnitOfWork, name: str) -> Node | None:
    row = uow.session.get(NodeRow, name)
    return None if row is None else _to_node(row, _orders_of(uow, {row.pool_name}))


def list_claim_uids(uow: UnitOfWork, pool_name: str) -> set[str]:
    """Uids of all claims that a pool is known to have."""
    return set(uow.session.scalars(select(NodeRow.uid).where(NodeRow.pool_name == pool_name)))


def has_order_of_another(uow: UnitOfWork, pool_name: str, claim: str, uid: str) -> bool:
    """Whether something is asked for an earlier machine of this name."""
    query = select(NodePoolRow.node_orders).where(NodePoolRow.name == pool_name)
    orders = uow.session.scalars(query).one_or_none() or []
    return any(order["claim"] == claim and order["uid"] != uid for order in orders)


def list_names_with_orders(uow: UnitOfWork) -> list[str]:
    """Pools of which something is asked for single machines."""
    query = select(NodePoolRow.name).where(func.jsonb_array_length(NodePoolRow.node_orders) > 0)
    return list(uow.session.scalars(query.order_by(NodePoolRow.name)))


def _orders_of(uow: UnitOfWork, pool_names: set[str]) -> dict[str, dict[str, str]]:
    """What is asked for single machines of these pools, by the claim's uid."""
    query = select(NodePoolRow.node_orders).where(NodePoolRow.name.in_(sorted(pool_names)))
    return {order["uid"]: order for orders in uow.session.scalars(query) for order in orders}


def _to_node(row: NodeRow, orders: Mapping[str, Mapping[str, str]]) -> Node:
    order = orders.get(row.uid)
    return Node(
        name=row.name,
        pool_name=row.pool_name,
        node_name=row.node_name,
        phase=row.phase,
        is_simulated=row.is_simulated,
        accepted_at=row.accepted_at,
        acceptance=row.acceptance,
        observed_at=row.observed_at,
        is_ready=row.is_ready,
        reason=row.reason,
        message=row.message,
        is_leaving=row.is_leaving,
        gpus=row.gpus,
        labels=dict(row.labels),
        taints=tuple(row.taints),
        uid=row.uid,
        is_drained=row.is_drained,
        drain_message=row.drain_message,
        order=None if order is None else NodeAction(order["action"]),
        ordered_at=None if order is None else datetime.fromisoformat(order["since"]),
    )


def size_of(row: NodePoolRow) -> NodeSize:
    return NodeSize(row.gpus_per_node, row.cpu_milli_per_node, row.memory_mib_per_node)


def holder_at(roles: Sequence[SiteRole], role: str, at: datetime) -> LegalEntityId:
    """Who has a role at an instant: whoever was stated with the latest beginning that has come."""
    begun = [each for each in roles if each.role == role and each.valid_from <= at]
    # A site is registered with both roles; an instant before that knows the first ones.
    return (begun or [each for each in roles if each.role == role][:1])[-1].entity_id


def _to_datacenter(
    row: DatacenterRow, cells: tuple[str, ...], roles: tuple[SiteRole, ...], at: datetime
) -> Datacenter:
    return Datacenter(
        id=row.id,
        code=row.code,
        name=row.name,
        country=row.country,
        operator_entity_id=holder_at(roles, "operator", at),
        owner_entity_id=holder_at(roles, "owner", at),
        power_kw=row.power_kw,
        rack_kw_max=row.rack_kw_max,
        pue_milli=row.pue_milli,
        cells=cells,
        created_at=row.created_at,
        version=row.version,
        rack_count=row.rack_count,
        closed_at=row.closed_at,
        roles=roles,
    )


def _to_pool(row: NodePoolRow, site: DatacenterRow, cell: CellRow) -> NodePool:
    return NodePool(
        id=row.id,
        name=row.name,
        datacenter_code=site.code,
        country=site.country,
        cell_name=cell.name,
        provider=ProviderKind(row.provider),
        instance_type=row.instance_type,
        accelerator_sku=row.accelerator_sku,
        gpus_per_node=row.gpus_per_node,
        cpu_milli_per_node=row.cpu_milli_per_node,
        memory_mib_per_node=row.memory_mib_per_node,
        watts_per_node=row.watts_per_node,
        replicas=row.replicas,
        ready_nodes=row.ready_nodes,
        gpus_reserved=row.gpus_reserved,
        cpu_milli_reserved=row.cpu_milli_reserved,
        memory_mib_reserved=row.memory_mib_reserved,
        state=PoolState(row.state),
        message=row.message,
        created_at=row.created_at,
        version=row.version,
        nodes_seen=row.nodes_seen,
        nodes_there=row.nodes_there,
        is_paused=row.is_paused,
        node_labels=dict(row.node_labels),
        node_taints=tuple(row.node_taints),
        held_reason=row.held_reason,
        node_orders=tuple(row.node_orders),
    )
