"""REST of the catalogue: the same for every caller."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Path

from controlplane.catalogue import schemas as wire
from controlplane.catalogue import service
from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require
from controlplane.kernel.principal import Principal
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import EdgeDep

router = APIRouter(prefix="/v1/catalog", tags=["catalogue"])
# Which GPU, how many of them → what an hour costs before VAT; None: no price is in force.
PriceOf = Callable[[str | None, int], Decimal | None]
PriceSizes = Callable[[UnitOfWork, Principal], PriceOf]


@router.get(
    "/models", operation_id="list_catalog_models", summary="List models", response_model=wire.ModelList
)
def list_models(edge: EdgeDep) -> wire.ModelList:
    require(edge.principal, Resource.MODEL, Action.READ)
    return wire.ModelList(models=[wire.from_model(model) for model in edge.read(service.list_models)])


@router.get(
    "/models/{name}", operation_id="get_catalog_model", summary="Get a model", response_model=wire.ModelReply
)
def get_model(
    name: Annotated[str, Path(max_length=128, description="Name of the model.")], edge: EdgeDep
) -> wire.ModelReply:
    require(edge.principal, Resource.MODEL, Action.READ)
    return wire.ModelReply(model=wire.from_model(edge.read(lambda uow: service.get_model(uow, name))))


def make_sizes_router(price_sizes: PriceSizes) -> APIRouter:
    """The sizes with what they cost the caller: the entry point hands in who knows prices."""
    sizes = APIRouter(prefix="/v1/catalog", tags=["catalogue"])

    @sizes.get(
        "/instances",
        operation_id="list_catalog_instances",
        summary="List instance types, with their prices by the caller's plan",
        response_model=wire.InstanceTypeList,
    )
    def list_instance_types(edge: EdgeDep) -> wire.InstanceTypeList:
        require(edge.principal, Resource.INSTANCE_TYPE, Action.READ)

        def query(uow: UnitOfWork) -> wire.InstanceTypeList:
            price_of = price_sizes(uow, edge.principal)
            kinds = service.list_instance_types(uow)
            shown = [wire.from_instance_type(kind, price_of(kind.gpu_sku, kind.gpus)) for kind in kinds]
            return wire.InstanceTypeList(instances=shown)

        return edge.read(query)

    return sizes
