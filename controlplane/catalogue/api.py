"""REST of the catalogue: the same for every caller."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from controlplane.catalogue import schemas as wire
from controlplane.catalogue import service
from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require
from controlplane.plumbing.web import EdgeDep

router = APIRouter(prefix="/v1/catalog", tags=["catalogue"])


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


@router.get(
    "/instances",
    operation_id="list_catalog_instances",
    summary="List instance types",
    response_model=wire.InstanceTypeList,
)
def list_instance_types(edge: EdgeDep) -> wire.InstanceTypeList:
    require(edge.principal, Resource.INSTANCE_TYPE, Action.READ)
    kinds = edge.read(service.list_instance_types)
    return wire.InstanceTypeList(instances=[wire.from_instance_type(kind) for kind in kinds])
