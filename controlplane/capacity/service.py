"""Use cases of the capacity room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.audit import service as audit
from controlplane.capacity import repository
from controlplane.capacity.domain import Datacenter, Node, NodePool, PoolOffer, PoolState, ProviderKind
from controlplane.capacity.events import CapacityChanged, NodePoolChanged
from controlplane.capacity.models import CellRow, DatacenterRow, NodePoolRow, ReservationRow
from controlplane.capacity.power_rules import PowerDemand, find_power_shortage
from controlplane.capacity.projection import read_node, read_ready_nodes
from controlplane.kernel import bounds
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput, NotFound, QuotaExceeded
from controlplane.kernel.ids import CellId, DatacenterId, LegalEntityId, NodePoolId, RegionalDeploymentId
from controlplane.kernel.jurisdiction import Country
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.versions import check_version
from controlplane.sovereignty import service_facts
from controlplane.sovereignty.domain import SiteFacts


def create_datacenter(
    uow: UnitOfWork,
    *,
    actor: str,
    code: str,
    name: str,
    country: str,
    operator_entity_id: LegalEntityId,
    owner_entity_id: LegalEntityId,
    power_kw: int,
    rack_kw_max: int,
    pue_milli: int,
    cells: tuple[str, ...],
) -> Datacenter:
    """Register a site with its cells.

    Errors: InvalidInput for an unknown country or legal entity, Conflict for a taken name.
    """
    try:
        Country(country)
    except ValueError as err:
        raise InvalidInput(f"{err}.") from err
    service_facts.require_legal_entity(uow, operator_entity_id, "operator_entity_id")
    service_facts.require_legal_entity(uow, owner_entity_id, "owner_entity_id")
    if repository.find_datacenter_row(uow, code) is not None:
        raise Conflict(f"A datacenter with the code '{code}' exists already.")
    for cell in cells:
        if repository.find_cell_row(uow, cell) is not None:
            raise Conflict(f"A cell with the name '{cell}' exists already.")
    row = DatacenterRow(
        id=DatacenterId.new(),
        code=code,
        name=name,
        country=country,
        operator_entity_id=operator_entity_id,
        owner_entity_id=owner_entity_id,
        power_kw=power_kw,
        rack_kw_max=rack_kw_max,
        pue_milli=pue_milli,
        created_at=uow.now,
        version=1,
    )
    uow.session.add(row)
    uow.session.flush()
    uow.session.add_all(CellRow(id=CellId.new(), datacenter_id=row.id, name=cell) for cell in cells)
    uow.session.flush()
    audit.record(
        uow,
        tenant_id=None,
        actor=actor,
        action="datacenter.created",
        target=str(row.id),
        detail={"code": code},
    )
    uow.emit(CapacityChanged(code))
    return get_datacenter(uow, code)


def update_datacenter(
    uow: UnitOfWork,
    code: str,
    *,
    actor: str,
    expected_version: int,
    pue_milli: int | None,
    power_kw: int | None,
) -> Datacenter:
    """Change a site's measured or contracted figures; verdicts that read them are taken again."""
    row = repository.find_datacenter_row(uow, code, is_locked=True)
    if row is None:
        raise NotFound(f"There is no datacenter with the code '{code}'.")
    check_version(row.version, expected_version)
    if pue_milli is not None:
        row.pue_milli = pue_milli
    if power_kw is not None:
        row.power_kw = power_kw
    _require_power(uow, row, {})
    row.version += 1
    audit.record(
        uow,
        tenant_id=None,
        actor=actor,
        action="datacenter.changed",
        target=str(row.id),
        detail={"pue_milli": row.pue_milli, "power_kw": row.power_kw},
    )
    uow.emit(CapacityChanged(code))
    uow.session.flush()
    return get_datacenter(uow, code)


def list_datacenters(uow: UnitOfWork) -> list[Datacenter]:
    return repository.list_datacenters(uow)


def get_datacenter(uow: UnitOfWork, code: str) -> Datacenter:
    for datacenter in repository.list_datacenters(uow):
        if datacenter.code == code:
            return datacenter
    raise NotFound(f"There is no datacenter with the code '{code}'.")


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
) -> NodePool:
    """Want a pool of equal machines. Errors: NotFound (site, cell), Conflict (name), QuotaExceeded (power)."""
    site = repository.find_datacenter_row(uow, datacenter_code, is_locked=True)
    if site is None:
        raise NotFound(f"There is no datacenter with the code '{datacenter_code}'.")
    cell = repository.find_cell_row(uow, cell_name)
    if cell is None or cell.datacenter_id != site.id:
        raise NotFound(f"The datacenter '{datacenter_code}' has no cell '{cell_name}'.")
    if repository.find_pool_row(uow, name) is not None:
        raise Conflict(f"A node pool with the name '{name}' exists already.")
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
        ready_nodes=0,
        gpus_reserved=0,
        cpu_milli_reserved=0,
        memory_mib_reserved=0,
        state=PoolState.ACTIVE,
        message="",
        created_at=uow.now,
        version=1,
    )
    _require_power(uow, site, {row.id: (replicas, watts_per_node)})
    uow.session.add(row)
    uow.session.flush()
    audit.record(
        uow,
        tenant_id=None,
        actor=actor,
        action="node_pool.created",
        target=str(row.id),
        detail={"name": name, "replicas": replicas},
    )
    uow.emit(NodePoolChanged(name))
    return get_node_pool(uow, name)


def _require_nodes(provider: ProviderKind, replicas: int) -> None:
    """Refuse more nodes than the pool's custom resource can say, which its cell would refuse for ever."""
    allowed = bounds.PROCESS_POOL_NODES if provider is ProviderKind.PROCESS else bounds.POOL_NODES
    if replicas not in allowed:
        raise InvalidInput(
            f"A pool of provider {provider.value} has {allowed.least} to {allowed.most} nodes.",
            fields=(FieldProblem("replicas", f"must be {allowed.least} to {allowed.most}", "out_of_bounds"),),
        )


def scale_node_pool(
    uow: UnitOfWork, name: str, *, actor: str, expected_version: int, replicas: int
) -> NodePool:
    """Change how many machines a pool wants; power is checked before, draining is the cell's work."""
    row = repository.find_pool_row(uow, name, is_locked=True)
    if row is None or row.state == PoolState.DELETING:
        raise NotFound(f"There is no node pool '{name}'.")
    check_version(row.version, expected_version)
    _require_nodes(ProviderKind(row.provider), replicas)
    site = uow.session.get_one(DatacenterRow, row.datacenter_id, with_for_update=True)
    _require_power(uow, site, {row.id: (replicas, row.watts_per_node)})
    row.replicas = replicas
    row.version += 1
    row.state, row.message = PoolState.ACTIVE, ""
    uow.session.flush()
    audit.record(
        uow,
        tenant_id=None,
        actor=actor,
        action="node_pool.scaled",
        target=str(row.id),
        detail={"replicas": replicas},
    )
    uow.emit(NodePoolChanged(name))
    return get_node_pool(uow, name)


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
    audit.record(uow, tenant_id=None, actor=actor, action="node_pool.deleted", target=str(row.id))
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


def list_nodes(uow: UnitOfWork, *, pool_name: str | None, after: str | None, limit: int) -> list[Node]:
    return repository.list_nodes(uow, pool_name=pool_name, after=after, limit=limit)


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
    ready = read_ready_nodes(resource)
    if ready != row.ready_nodes:
        row.ready_nodes = ready
        site = uow.session.get_one(DatacenterRow, row.datacenter_id)
        uow.emit(CapacityChanged(site.code))


def observe_node_pool_gone(uow: UnitOfWork, name: str) -> None:
    """The custom resource is gone: forget a pool that was being deleted, restore one that was not."""
    row = repository.find_pool_row(uow, name, is_locked=True)
    if row is None:
        return
    if row.state == PoolState.DELETING:
        uow.session.delete(row)
    else:
        row.ready_nodes = 0
        uow.emit(NodePoolChanged(name))


def settle_node_pools(uow: UnitOfWork, present: frozenset[str]) -> None:
    """Hold the rows against a whole list of the cell's pools: what is missing there is gone."""
    for pool in repository.list_pools(uow):
        if pool.name not in present:
            observe_node_pool_gone(uow, pool.name)


def settle_node_claims(uow: UnitOfWork, present: frozenset[str]) -> None:
    """Forget nodes whose claims a whole list of the cell no longer has."""
    repository.delete_nodes_except(uow, present)


def observe_node_claim(uow: UnitOfWork, resource: Mapping[str, Any]) -> None:
    repository.upsert_node(uow, read_node(resource, uow.now))


def observe_node_claim_gone(uow: UnitOfWork, name: str) -> None:
    repository.delete_node(uow, name)


def list_sites(uow: UnitOfWork) -> list[SiteFacts]:
    """What sovereignty needs to know of every site."""
    return [_to_site(datacenter) for datacenter in repository.list_datacenters(uow)]


def list_offers(uow: UnitOfWork) -> list[PoolOffer]:
    """What every pool could still take, as the last reports and all reservations leave it."""
    sites = {site.code: site for site in list_sites(uow)}
    return [
        PoolOffer(
            pool_id=pool.id,
            pool_name=pool.name,
            datacenter_code=pool.datacenter_code,
            country=pool.country,
            cell_name=pool.cell_name,
            provider_kind=pool.provider.value,
            instance_type=pool.instance_type,
            accelerator_sku=pool.accelerator_sku,
            gpus_per_node=pool.gpus_per_node,
            ready_nodes=pool.ready_nodes,
            gpus_free=pool.ready_nodes * pool.gpus_per_node - pool.gpus_reserved,
            cpu_milli_free=pool.ready_nodes * pool.cpu_milli_per_node - pool.cpu_milli_reserved,
            memory_mib_free=pool.ready_nodes * pool.memory_mib_per_node - pool.memory_mib_reserved,
            cpu_milli_per_node=pool.cpu_milli_per_node,
            memory_mib_per_node=pool.memory_mib_per_node,
            is_simulated=pool.is_simulated,
            site=sites[pool.datacenter_code],
        )
        for pool in repository.list_pools(uow)
        if pool.state is PoolState.ACTIVE
    ]


def reserve(
    uow: UnitOfWork,
    pool_id: NodePoolId,
    holder: RegionalDeploymentId,
    *,
    replicas: int,
    gpus_per_replica: int,
    cpu_milli: int,
    memory_mib: int,
) -> bool:
    """Hold capacity for a regional deployment, all or nothing; False when it is no longer free.

    Units: cpu in thousandths of a core and memory in MiB, each per replica. Repeating a held reservation is a success.
    """
    held = repository.find_reservation(uow, holder)
    if held is not None:
        return held.pool_id == pool_id
    amounts = (replicas * gpus_per_replica, replicas * cpu_milli, replicas * memory_mib)
    if not repository.take_capacity(uow, pool_id, *amounts):
        return False
    uow.session.add(
        ReservationRow(
            tenant_id=uow.tenant,
            holder=holder,
            pool_id=pool_id,
            gpus=amounts[0],
            cpu_milli=amounts[1],
            memory_mib=amounts[2],
            reserved_at=uow.now,
        )
    )
    uow.session.flush()
    return True


def release(uow: UnitOfWork, holder: RegionalDeploymentId) -> None:
    """Give held capacity back; nothing held is success."""
    pool_id = repository.delete_reservation(uow, holder)
    if pool_id is not None:
        uow.emit(CapacityChanged(""))


def _to_site(datacenter: Datacenter) -> SiteFacts:
    return SiteFacts(
        code=datacenter.code,
        country=Country(datacenter.country),
        operator_entity_id=datacenter.operator_entity_id,
        owner_entity_id=datacenter.owner_entity_id,
        pue_milli=datacenter.pue_milli,
    )


def _require_power(
    uow: UnitOfWork, site: DatacenterRow, changed: Mapping[NodePoolId, tuple[int, int]]
) -> None:
    wanted = {pool: (nodes, watts) for pool, nodes, watts in repository.list_power_demands(uow, site.id)}
    wanted.update(changed)
    demands = [PowerDemand(nodes, watts) for nodes, watts in wanted.values()]
    shortage = find_power_shortage(demands, site.pue_milli, site.power_kw)
    if shortage:
        raise QuotaExceeded(
            f"The datacenter '{site.code}' cannot feed this: {shortage / 1000:.1f} kW beyond its "
            f"{site.power_kw} kW at PUE {site.pue_milli / 1000:.2f}."
        )
