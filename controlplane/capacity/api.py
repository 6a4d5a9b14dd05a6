"""REST of the capacity room: the platform operator's machines, and what tenants may know of the sites."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from controlplane.capacity import service
from controlplane.capacity.domain import Datacenter
from controlplane.capacity.schemas import (
    NodePoolIn,
    NodePoolList,
    NodePoolPatch,
    NodePoolReply,
    from_node_pool,
)
from controlplane.capacity.schemas_sites import (
    CatalogDatacenterList,
    CatalogDatacenterOut,
    DatacenterIn,
    DatacenterList,
    DatacenterPatch,
    DatacenterReply,
    RegionList,
    RegionOut,
    from_datacenter,
)
from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require
from controlplane.kernel.ids import LegalEntityId
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import EdgeDep, PagingDep

router = APIRouter(tags=["capacity"])
DatacenterCode = Annotated[str, Path(max_length=40, description="Code of the datacenter.")]
NodePoolName = Annotated[str, Path(max_length=50, description="Name of the node pool.")]


@router.post(
    "/v1/admin/datacenters",
    operation_id="create_datacenter",
    summary="Register a datacenter and its cells",
    status_code=201,
    response_model=DatacenterReply,
)
def create_datacenter(body: DatacenterIn, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.DATACENTER, Action.CREATE)
    return edge.write(
        lambda uow: _show(
            uow,
            service.create_datacenter(
                uow,
                actor=edge.principal.actor,
                code=body.code,
                name=body.name,
                country=body.country,
                operator_entity_id=LegalEntityId.parse(body.operator_entity_id),
                owner_entity_id=LegalEntityId.parse(body.owner_entity_id),
                power_kw=body.power_kw,
                rack_kw_max=body.rack_kw_max,
                rack_count=body.rack_count,
                pue_milli=body.pue_milli,
                cells=tuple(cell.name for cell in body.cells),
            ),
        ),
        status=201,
        etag=lambda reply: reply.datacenter.version,
    )


@router.get(
    "/v1/admin/datacenters",
    operation_id="list_datacenters",
    summary="List datacenters",
    response_model=DatacenterList,
)
def list_datacenters(edge: EdgeDep) -> DatacenterList:
    require(edge.principal, Resource.DATACENTER, Action.READ)
    return edge.read(
        lambda uow: DatacenterList(
            datacenters=[_show(uow, site).datacenter for site in service.list_datacenters(uow)]
        )
    )


@router.get(
    "/v1/admin/datacenters/{datacenter_code}",
    operation_id="get_datacenter",
    summary="Get a datacenter",
    response_model=DatacenterReply,
)
def get_datacenter(datacenter_code: DatacenterCode, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.DATACENTER, Action.READ)
    found = edge.read(lambda uow: _show(uow, service.get_datacenter(uow, datacenter_code)))
    return edge.answer(found, found.datacenter.version)


@router.patch(
    "/v1/admin/datacenters/{datacenter_code}",
    operation_id="update_datacenter",
    summary="Record what changed at a datacenter: figures, operator, owner, cells",
    response_model=DatacenterReply,
)
def update_datacenter(datacenter_code: DatacenterCode, body: DatacenterPatch, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.DATACENTER, Action.UPDATE)
    expected = edge.expected_version()
    changes = service.SiteChanges(
        pue_milli=body.pue_milli,
        power_kw=body.power_kw,
        rack_kw_max=body.rack_kw_max,
        rack_count=body.rack_count,
        operator=None if body.operator_entity_id is None else LegalEntityId.parse(body.operator_entity_id),
        owner=None if body.owner_entity_id is None else LegalEntityId.parse(body.owner_entity_id),
        effective_from=body.effective_from,
        evidence=body.evidence.strip(),
        cells=tuple(cell.name for cell in body.cells),
    )
    actor = edge.principal.actor
    return edge.write(
        lambda uow: _show(
            uow,
            service.update_datacenter(
                uow, datacenter_code, actor=actor, expected_version=expected, changes=changes
            ),
        ),
        etag=lambda reply: reply.datacenter.version,
    )


@router.delete(
    "/v1/admin/datacenters/{datacenter_code}",
    operation_id="close_datacenter",
    summary="Close a datacenter for good; it stays on record",
    response_model=DatacenterReply,
)
def close_datacenter(datacenter_code: DatacenterCode, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.DATACENTER, Action.DELETE)
    expected = edge.expected_version()
    actor = edge.principal.actor
    return edge.write(
        lambda uow: _show(
            uow, service.close_datacenter(uow, datacenter_code, actor=actor, expected_version=expected)
        ),
        etag=lambda reply: reply.datacenter.version,
    )


def _show(uow: UnitOfWork, site: Datacenter) -> DatacenterReply:
    return DatacenterReply(datacenter=from_datacenter(site, service.read_load(uow, site.code)))


@router.post(
    "/v1/admin/node_pools",
    operation_id="create_node_pool",
    summary="Want a pool of equal machines",
    status_code=201,
    response_model=NodePoolReply,
)
def create_node_pool(body: NodePoolIn, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.NODE_POOL, Action.CREATE)
    return edge.write(
        lambda uow: NodePoolReply(
            node_pool=from_node_pool(
                service.create_node_pool(
                    uow,
                    actor=edge.principal.actor,
                    name=body.name,
                    datacenter_code=body.datacenter,
                    cell_name=body.cell,
                    provider=body.provider,
                    instance_type=body.instance_type,
                    accelerator_sku=None if body.accelerator is None else body.accelerator.sku,
                    gpus_per_node=0 if body.accelerator is None else body.accelerator.count,
                    cpu_milli_per_node=body.cpu_milli,
                    memory_mib_per_node=body.memory_mib,
                    watts_per_node=body.watts_per_node,
                    replicas=body.replicas,
                    is_paused=body.paused,
                    node_labels=body.node_labels,
                    node_taints=[taint.model_dump() for taint in body.node_taints],
                )
            )
        ),
        status=201,
        etag=lambda reply: reply.node_pool.version,
    )


@router.get(
    "/v1/admin/node_pools",
    operation_id="list_node_pools",
    summary="List node pools",
    response_model=NodePoolList,
)
def list_node_pools(edge: EdgeDep, paging: PagingDep) -> NodePoolList:
    require(edge.principal, Resource.NODE_POOL, Action.READ)
    after = edge.page_after(paging, "node_pools")
    pools = edge.read(lambda uow: service.list_node_pools(uow, after=after, limit=paging.limit + 1))
    page = Page.of(pools, paging.limit, lambda pool: pool.id.value)
    return NodePoolList(
        node_pools=[from_node_pool(pool) for pool in page.items],
        limit=paging.limit,
        has_next=page.next_after is not None,
        next_cursor=edge.next_cursor(page, "node_pools"),
    )


@router.get(
    "/v1/admin/node_pools/{node_pool_name}",
    operation_id="get_node_pool",
    summary="Get a node pool",
    response_model=NodePoolReply,
)
def get_node_pool(node_pool_name: NodePoolName, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.NODE_POOL, Action.READ)
    found = edge.read(lambda uow: service.get_node_pool(uow, node_pool_name))
    return edge.answer(NodePoolReply(node_pool=from_node_pool(found)), found.version)


@router.patch(
    "/v1/admin/node_pools/{node_pool_name}",
    operation_id="scale_node_pool",
    summary="Change what a pool wants: machines, pause, labels, taints",
    response_model=NodePoolReply,
)
def scale_node_pool(node_pool_name: NodePoolName, body: NodePoolPatch, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.NODE_POOL, Action.UPDATE)
    expected = edge.expected_version()
    taints = body.node_taints
    changes = service.PoolChanges(
        replicas=body.replicas,
        is_paused=body.paused,
        node_labels=body.node_labels,
        node_taints=None if taints is None else [taint.model_dump() for taint in taints],
    )
    return edge.write(
        lambda uow: NodePoolReply(
            node_pool=from_node_pool(
                service.change_node_pool(
                    uow,
                    node_pool_name,
                    actor=edge.principal.actor,
                    expected_version=expected,
                    changes=changes,
                )
            )
        ),
        etag=lambda reply: reply.node_pool.version,
    )


@router.delete(
    "/v1/admin/node_pools/{node_pool_name}",
    operation_id="delete_node_pool",
    summary="Give a node pool back",
    status_code=204,
)
def delete_node_pool(node_pool_name: NodePoolName, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.NODE_POOL, Action.DELETE)
    expected = edge.expected_version()
    return edge.write(
        lambda uow: service.delete_node_pool(
            uow, node_pool_name, actor=edge.principal.actor, expected_version=expected
        )
    )


@router.get(
    "/v1/catalog/datacenters",
    operation_id="list_catalog_datacenters",
    summary="List the sites that can be chosen",
    response_model=CatalogDatacenterList,
)
def list_catalog_datacenters(edge: EdgeDep) -> CatalogDatacenterList:
    require(edge.principal, Resource.DATACENTER, Action.READ)
    return CatalogDatacenterList(
        datacenters=[
            CatalogDatacenterOut(
                id=site.code,
                name=site.name,
                region_id=site.country.lower(),
                country=site.country,
                pue_milli=site.pue_milli,
            )
            for site in edge.read(lambda uow: service.list_datacenters(uow, with_closed=False))
        ]
    )


@router.get(
    "/v1/catalog/regions",
    operation_id="list_catalog_regions",
    summary="List regions: one for each country with a site",
    response_model=RegionList,
)
def list_catalog_regions(edge: EdgeDep) -> RegionList:
    require(edge.principal, Resource.DATACENTER, Action.READ)
    by_country: dict[str, list[str]] = {}
    for site in edge.read(lambda uow: service.list_datacenters(uow, with_closed=False)):
        by_country.setdefault(site.country, []).append(site.code)
    return RegionList(
        regions=[
            RegionOut(id=country.lower(), name=country, datacenters=codes)
            for country, codes in sorted(by_country.items())
        ]
    )
