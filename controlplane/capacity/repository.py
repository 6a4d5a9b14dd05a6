"""All SQL of the capacity room."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from controlplane.capacity.domain import Datacenter, Node, NodePool, PoolState, ProviderKind
from controlplane.capacity.models import CellRow, DatacenterRow, NodePoolRow, NodeRow, ReservationRow
from controlplane.kernel.ids import DatacenterId, NodePoolId, RegionalDeploymentId
from controlplane.plumbing.database import UnitOfWork


def list_datacenters(uow: UnitOfWork) -> list[Datacenter]:
    """All sites with their cells, by code."""
    cells: dict[DatacenterId, list[str]] = {}
    for cell in uow.session.scalars(select(CellRow).order_by(CellRow.name)):
        cells.setdefault(cell.datacenter_id, []).append(cell.name)
    rows = uow.session.scalars(select(DatacenterRow).order_by(DatacenterRow.code))
    return [_to_datacenter(row, tuple(cells.get(row.id, ()))) for row in rows]


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


def list_power_demands(uow: UnitOfWork, datacenter_id: DatacenterId) -> Sequence[tuple[NodePoolId, int, int]]:
    """(pool, nodes wanted, watts of each) of one site."""
    return [
        (row.id, row.replicas, row.watts_per_node)
        for row in uow.session.scalars(
            select(NodePoolRow).where(
                NodePoolRow.datacenter_id == datacenter_id, NodePoolRow.state == PoolState.ACTIVE
            )
        )
    ]


def take_capacity(uow: UnitOfWork, pool_id: NodePoolId, gpus: int, cpu_milli: int, memory_mib: int) -> bool:
    """Add to a pool's reserved sums if all three fit what its ready nodes have; False otherwise."""
    taken = uow.session.execute(
        update(NodePoolRow)
        .where(
            NodePoolRow.id == pool_id,
            NodePoolRow.state == PoolState.ACTIVE,
            NodePoolRow.ready_nodes * NodePoolRow.gpus_per_node - NodePoolRow.gpus_reserved >= gpus,
            NodePoolRow.ready_nodes * NodePoolRow.cpu_milli_per_node - NodePoolRow.cpu_milli_reserved
            >= cpu_milli,
            NodePoolRow.ready_nodes * NodePoolRow.memory_mib_per_node - NodePoolRow.memory_mib_reserved
            >= memory_mib,
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


def list_nodes(uow: UnitOfWork, *, pool_name: str | None, after: str | None, limit: int) -> list[Node]:
    query = select(NodeRow).order_by(NodeRow.name).limit(limit)
    if pool_name is not None:
        query = query.where(NodeRow.pool_name == pool_name)
    if after is not None:
        query = query.where(NodeRow.name > after)
    return [
        Node(
            row.name, row.pool_name, row.node_name, row.phase, row.is_simulated, row.accepted_at, row.acceptance,
            row.observed_at,
        )
        for row in uow.session.scalars(query)
    ]  # fmt: skip


def _to_datacenter(row: DatacenterRow, cells: tuple[str, ...]) -> Datacenter:
    return Datacenter(
        id=row.id,
        code=row.code,
        name=row.name,
        country=row.country,
        operator_entity_id=row.operator_entity_id,
        owner_entity_id=row.owner_entity_id,
        power_kw=row.power_kw,
        rack_kw_max=row.rack_kw_max,
        pue_milli=row.pue_milli,
        cells=cells,
        created_at=row.created_at,
        version=row.version,
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
    )
