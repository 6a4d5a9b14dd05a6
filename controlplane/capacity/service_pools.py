"""Use cases of node pools: wanted, changed and given back over REST, and what their cells report of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controlplane.audit import service as audit
from controlplane.capacity import repository
from controlplane.capacity.domain import NodePool, PoolState, ProviderKind
from controlplane.capacity.events import CapacityChanged, NodePoolChanged
from controlplane.capacity.manifest import find_mark_problems
from controlplane.capacity.models import CellRow, DatacenterRow, NodePoolRow
from controlplane.capacity.projection import PoolReport, read_pool
from controlplane.capacity.service_sites import draw_of, limits_of, require_load, tell_pools
from controlplane.capacity.site_rules import count_there, find_excess, nodes_needed, replicas_to_start
from controlplane.kernel import bounds
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput, NotFound
from controlplane.kernel.events import JsonValue
from controlplane.kernel.ids import NodePoolId
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.versions import check_version


@dataclass(frozen=True, slots=True)
class PoolChanges:
    """What a change of a pool asks for; None leaves a field as it is."""

    replicas: int | None = None
    is_paused: bool | None = None
    node_labels: Mapping[str, str] | None = None
    node_taints: Sequence[Mapping[str, str]] | None = None


def create_node_pool(
    uow: UnitOfWork,
    *,
    actor: str,
    name: str,
    datacenter_code: str,
    cell_name: str,
    provider: ProviderKind,
    instance_type: str,
    accelerator_sku: str | None,
    gpus_per_node: int,
    cpu_milli_per_node: int,
    memory_mib_per_node: int,
    watts_per_node: int,
    replicas: int,
    is_paused: bool = False,
    node_labels: Mapping[str, str] | None = None,
    node_taints: Sequence[Mapping[str, str]] = (),
) -> NodePool:
    """Want a pool of equal machines.

    Errors: NotFound (site, cell), Conflict (name taken, site closed), QuotaExceeded (power, racks), InvalidInput
    (labels or taints that the cell would refuse).
    """
    site, cell = _find_place(uow, datacenter_code, cell_name)
    if repository.find_pool_row(uow, name) is not None:
        raise Conflict(f"A node pool with the name '{name}' exists already.")
    _require_nodes(provider, replicas)
    row = NodePoolRow(
        id=NodePoolId.new(),
        name=name,
        datacenter_id=site.id,
        cell_id=cell.id,
        provider=provider,
        instance_type=instance_type,
        accelerator_sku=accelerator_sku,
        gpus_per_node=gpus_per_node,
        cpu_milli_per_node=cpu_milli_per_node,
        memory_mib_per_node=memory_mib_per_node,
        watts_per_node=watts_per_node,
        replicas=replicas,
        nodes_seen=0,
        nodes_there=replicas,
        is_paused=is_paused,
        node_labels=dict(node_labels or {}),
        node_taints=[dict(taint) for taint in node_taints],
        held_reason="",
        node_orders=[],
        state=PoolState.ACTIVE,
        message="",
        created_at=uow.now,
        version=1,
    )
    _require_marks(row)
    require_load(uow, site, draw_of(row))
    uow.session.add(row)
    uow.session.flush()
    _record(uow, actor, "node_pool.created", row, {"name": name, "replicas": replicas})
    uow.emit(NodePoolChanged(name))
    return get_node_pool(uow, name)


def _find_place(uow: UnitOfWork, datacenter_code: str, cell_name: str) -> tuple[DatacenterRow, CellRow]:
    """Return a site, locked, and its cell. Errors: NotFound."""
    site = repository.find_datacenter_row(uow, datacenter_code, is_locked=True)
    if site is None:
        raise NotFound(f"There is no datacenter with the code '{datacenter_code}'.")
    cell = repository.find_cell_row(uow, cell_name)
    if cell is None or cell.datacenter_id != site.id:
        raise NotFound(f"The datacenter '{datacenter_code}' has no cell '{cell_name}'.")
    return site, cell


def change_node_pool(
    uow: UnitOfWork, name: str, *, actor: str, expected_version: int, changes: PoolChanges
) -> NodePool:
    """Change what a pool wants.

    Errors: NotFound; QuotaExceeded where the site cannot carry more; Conflict where fewer machines would be left than
    deployments hold; InvalidInput for labels or taints that the cell would refuse.
    """
    row = repository.find_pool_row(uow, name)
    if row is None or row.state == PoolState.DELETING:
        raise NotFound(f"There is no node pool '{name}'.")
    # The site first, as everywhere: two changes of its pools are weighed one after the other.
    site = uow.session.get_one(DatacenterRow, row.datacenter_id, with_for_update=True)
    row = repository.find_pool_row(uow, name, is_locked=True)
    if row is None:
        raise NotFound(f"There is no node pool '{name}'.")
    check_version(row.version, expected_version)
    if changes.replicas is not None:
        _require_nodes(ProviderKind(row.provider), changes.replicas)
        _require_room(uow, row, changes.replicas)
        require_load(uow, site, replace(draw_of(row), wanted=changes.replicas))
        row.replicas = changes.replicas
        row.nodes_there = max(row.nodes_there, changes.replicas)
    if changes.is_paused is not None:
        row.is_paused = changes.is_paused
    if changes.node_labels is not None:
        row.node_labels = dict(changes.node_labels)
    if changes.node_taints is not None:
        row.node_taints = [dict(taint) for taint in changes.node_taints]
    _require_marks(row)
    row.version += 1
    row.state, row.message = PoolState.ACTIVE, ""
    uow.session.flush()
    _record(uow, actor, "node_pool.changed", row, _describe(row))
    uow.emit(NodePoolChanged(name))
    if changes.is_paused is False:
        uow.emit(CapacityChanged(site.code))
    return get_node_pool(uow, name)


def scale_node_pool(
    uow: UnitOfWork, name: str, *, actor: str, expected_version: int, replicas: int
) -> NodePool:
    """Change how many machines a pool wants, as `change_node_pool`."""
    changes = PoolChanges(replicas=replicas)
    return change_node_pool(uow, name, actor=actor, expected_version=expected_version, changes=changes)


def delete_node_pool(uow: UnitOfWork, name: str, *, actor: str, expected_version: int) -> None:
    """Give a pool back. Conflict while something is still placed on it."""
    row = repository.find_pool_row(uow, name, is_locked=True)
    if row is None:
        raise NotFound(f"There is no node pool '{name}'.")
    check_version(row.version, expected_version)
    if row.gpus_reserved or row.cpu_milli_reserved or row.memory_mib_reserved:
        raise Conflict(f"Deployments still hold capacity of '{name}'; move or delete them first.")
    row.state = PoolState.DELETING
    row.version += 1
    _record(uow, actor, "node_pool.deleted", row, {})
    uow.emit(NodePoolChanged(name))


def find_node_pool(uow: UnitOfWork, name: str) -> NodePool | None:
    return repository.find_pool(uow, name)


def get_node_pool(uow: UnitOfWork, name: str) -> NodePool:
    pool = repository.find_pool(uow, name)
    if pool is None:
        raise NotFound(f"There is no node pool '{name}'.")
    return pool


def list_node_pools(uow: UnitOfWork, *, after: Any = None, limit: int | None = None) -> list[NodePool]:
    return repository.list_pools(uow, after=after, limit=limit)


def refuse_node_pool(uow: UnitOfWork, name: str, sentence: str) -> None:
    """Record that the cell's API server refused the pool, in its words."""
    row = repository.find_pool_row(uow, name, is_locked=True)
    if row is not None:
        row.state, row.message = PoolState.REFUSED, sentence[:2000]


def observe_node_pool(uow: UnitOfWork, resource: Mapping[str, Any]) -> None:
    """Take over what a cell reports of a pool; wakes placement when it grew."""
    row = repository.find_pool_row(uow, resource["metadata"]["name"], is_locked=True)
    if row is None:
        return
    report = read_pool(resource)
    site = uow.session.get_one(DatacenterRow, row.datacenter_id)
    if row.state == PoolState.REMOVED and "deletionTimestamp" not in resource["metadata"]:
        # Somebody made it again in the cell: it is wanted as before.
        row.state, row.message = PoolState.ACTIVE, ""
        uow.emit(NodePoolChanged(row.name))
    _take_over_machines(uow, site, row, report)
    if report.held_reason != row.held_reason:
        row.held_reason = report.held_reason
        uow.emit(NodePoolChanged(row.name))
    if report.ready != row.ready_nodes:
        row.ready_nodes = report.ready
        uow.emit(CapacityChanged(site.code))


def _take_over_machines(uow: UnitOfWork, site: DatacenterRow, row: NodePoolRow, report: PoolReport) -> None:
    """Count what may still be there; where it became less, the site's other pools may start what waits for power."""
    if report.is_reported:
        row.nodes_seen = report.machines
    draws = [draw_of(pool) for pool in repository.list_pool_rows_of(uow, site.id)]
    is_over = find_excess(limits_of(site), draws).is_any
    pool = draw_of(row)
    told = replicas_to_start(pool, is_over)
    there = count_there(
        pool, told, reads=report.wanted, machines=report.machines, is_current=report.is_current
    )  # fmt: skip
    was, row.nodes_there = row.nodes_there, there
    uow.session.flush()
    if is_over and (there < was or report.wanted != told):
        tell_pools(uow, site)


def observe_node_pool_gone(uow: UnitOfWork, name: str) -> None:
    """The custom resource is gone: forget a pool that was being deleted, restore one that was not."""
    row = repository.find_pool_row(uow, name, is_locked=True)
    if row is None:
        return
    if row.state == PoolState.DELETING:
        site = uow.session.get_one(DatacenterRow, row.datacenter_id)
        uow.session.delete(row)
        uow.session.flush()
        tell_pools(uow, site)
    elif row.held_reason:
        # Whoever deletes what they keep by hand means it; the next wish over REST makes it again.
        row.ready_nodes, row.state = 0, PoolState.REMOVED
        row.message = (
            f"It was deleted in its cell while it was kept by hand ({row.held_reason}): any change of it makes it"
            f" again, rempart admin pools delete {name} gives it up."
        )
        row.held_reason = ""
    elif row.state != PoolState.REMOVED:
        row.ready_nodes = 0
        uow.emit(NodePoolChanged(name))


def settle_node_pools(uow: UnitOfWork, present: frozenset[str]) -> None:
    """Hold the rows against a whole list of the cell's pools: what is missing there is gone."""
    for pool in repository.list_pools(uow):
        if pool.name not in present:
            observe_node_pool_gone(uow, pool.name)


def _require_nodes(provider: ProviderKind, replicas: int) -> None:
    """Refuse more nodes than the pool's custom resource can say, which its cell would refuse for ever."""
    allowed = bounds.PROCESS_POOL_NODES if provider is ProviderKind.PROCESS else bounds.POOL_NODES
    if replicas not in allowed:
        raise InvalidInput(
            f"A pool of provider {provider.value} has {allowed.least} to {allowed.most} nodes.",
            fields=(FieldProblem("replicas", f"must be {allowed.least} to {allowed.most}", "out_of_bounds"),),
        )


def _require_room(uow: UnitOfWork, row: NodePoolRow, replicas: int) -> None:
    """Refuse to shrink a pool below what deployments hold: their replicas must fit, each whole on one machine."""
    if replicas >= row.replicas:
        return
    needed = nodes_needed(repository.size_of(row), repository.list_held(uow, row.id))
    if replicas < needed:
        raise Conflict(
            f"Deployments hold capacity of '{row.name}' that needs {needed} machines; {replicas} would not carry it."
            " Move or delete them first, or keep at least so many."
        )


def _require_marks(row: NodePoolRow) -> None:
    problems = find_mark_problems(row.node_labels, row.node_taints)
    if problems:
        raise InvalidInput(
            "Labels or taints of the pool cannot be set on its machines.",
            fields=tuple(FieldProblem(field, sentence) for field, sentence in problems),
        )


def _describe(row: NodePoolRow) -> dict[str, JsonValue]:
    return {
        "replicas": row.replicas,
        "is_paused": row.is_paused,
        "node_labels": {**row.node_labels},
        "node_taints": [{**taint} for taint in row.node_taints],
    }


def _record(
    uow: UnitOfWork, actor: str, action: str, row: NodePoolRow, detail: Mapping[str, JsonValue]
) -> None:
    audit.record(uow, tenant_id=None, actor=actor, action=action, target=str(row.id), detail=detail)
