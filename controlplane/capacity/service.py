"""Use cases of the capacity room: what is offered, held and given back. Sites and pools have modules of their own."""

from __future__ import annotations

from controlplane.capacity import repository
from controlplane.capacity.domain import NodePool, PoolOffer, PoolState
from controlplane.capacity.events import CapacityChanged
from controlplane.capacity.models import ReservationRow
from controlplane.capacity.service_nodes import (
    get_node as get_node,
)
from controlplane.capacity.service_nodes import (
    list_nodes as list_nodes,
)
from controlplane.capacity.service_nodes import (
    observe_node_claim as observe_node_claim,
)
from controlplane.capacity.service_nodes import (
    observe_node_claim_gone as observe_node_claim_gone,
)
from controlplane.capacity.service_nodes import (
    order_node as order_node,
)
from controlplane.capacity.service_nodes import (
    settle_node_claims as settle_node_claims,
)
from controlplane.capacity.service_pools import (
    PoolChanges as PoolChanges,
)
from controlplane.capacity.service_pools import (
    change_node_pool as change_node_pool,
)
from controlplane.capacity.service_pools import (
    create_node_pool as create_node_pool,
)
from controlplane.capacity.service_pools import (
    delete_node_pool as delete_node_pool,
)
from controlplane.capacity.service_pools import (
    find_node_pool as find_node_pool,
)
from controlplane.capacity.service_pools import (
    get_node_pool as get_node_pool,
)
from controlplane.capacity.service_pools import (
    list_node_pools as list_node_pools,
)
from controlplane.capacity.service_pools import (
    observe_node_pool as observe_node_pool,
)
from controlplane.capacity.service_pools import (
    observe_node_pool_gone as observe_node_pool_gone,
)
from controlplane.capacity.service_pools import (
    refuse_node_pool as refuse_node_pool,
)
from controlplane.capacity.service_pools import (
    scale_node_pool as scale_node_pool,
)
from controlplane.capacity.service_pools import (
    settle_node_pools as settle_node_pools,
)
from controlplane.capacity.service_sites import (
    SiteChanges as SiteChanges,
)
from controlplane.capacity.service_sites import (
    SiteLoad as SiteLoad,
)
from controlplane.capacity.service_sites import (
    close_datacenter as close_datacenter,
)
from controlplane.capacity.service_sites import (
    create_datacenter as create_datacenter,
)
from controlplane.capacity.service_sites import (
    get_datacenter as get_datacenter,
)
from controlplane.capacity.service_sites import (
    is_overcommitted as is_overcommitted,
)
from controlplane.capacity.service_sites import (
    list_datacenters as list_datacenters,
)
from controlplane.capacity.service_sites import (
    read_load as read_load,
)
from controlplane.capacity.service_sites import (
    to_site as to_site,
)
from controlplane.capacity.service_sites import (
    update_datacenter as update_datacenter,
)
from controlplane.kernel.ids import NodePoolId, RegionalDeploymentId
from controlplane.plumbing.database import UnitOfWork
from controlplane.sovereignty.domain import SiteFacts


def list_sites(uow: UnitOfWork) -> list[SiteFacts]:
    """What sovereignty needs to know of every site."""
    return [to_site(site) for site in list_datacenters(uow, with_closed=False)]


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
            ready_nodes=_lasting(pool),
            gpus_free=_lasting(pool) * pool.gpus_per_node - pool.gpus_reserved,
            cpu_milli_free=_lasting(pool) * pool.cpu_milli_per_node - pool.cpu_milli_reserved,
            memory_mib_free=_lasting(pool) * pool.memory_mib_per_node - pool.memory_mib_reserved,
            cpu_milli_per_node=pool.cpu_milli_per_node,
            memory_mib_per_node=pool.memory_mib_per_node,
            is_simulated=pool.is_simulated,
            site=sites[pool.datacenter_code],
            is_paused=pool.is_paused,
        )
        for pool in repository.list_pools(uow)
        if pool.state is PoolState.ACTIVE and pool.datacenter_code in sites
    ]


def _lasting(pool: NodePool) -> int:
    """Ready nodes that will still be there once the pool has shrunk to what is wanted."""
    return min(pool.ready_nodes, pool.replicas)


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
            replicas=max(1, replicas),
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
