"""REST of services: what a tenant asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import ValidationError

from controlplane.deployments import service_read, service_rollback, service_services
from controlplane.deployments.api_common import enter, page_fields, parse, parse_statuses, reach
from controlplane.deployments.definition_rules import merge_patch
from controlplane.deployments.definition_schemas import DefinitionIn, to_definition
from controlplane.deployments.domain import Definition, ServiceStatus
from controlplane.deployments.schemas import (
    DeploymentOut,
    DeploymentReply,
    RollbackIn,
    ScaleIn,
    ServiceCreate,
    ServiceList,
    ServiceOut,
    ServicePatch,
    ServiceReplace,
    ServiceReply,
)
from controlplane.kernel.access import Action, Resource
from controlplane.kernel.errors import FieldProblem, InvalidInput
from controlplane.kernel.ids import AppId, DeploymentId, ServiceId
from controlplane.plumbing.web import Edge, EdgeDep, PagingDep

router = APIRouter(prefix="/v1", tags=["services"])
ServicePath = Annotated[str, Path(max_length=40, description="Id of the service.")]
PROBLEMS_MAX = 50


@router.get("/services", operation_id="list_services", summary="List services")
def list_services(
    edge: EdgeDep,
    paging: PagingDep,
    app_id: Annotated[str | None, Query(max_length=40, description="Only those of this app.")] = None,
    project_id: Annotated[str | None, Query(max_length=40, description="Only those of this project.")] = None,
    name: Annotated[str | None, Query(max_length=50, description="Only the one of this name.")] = None,
    statuses: Annotated[
        list[str] | None,
        Query(max_length=20, description="Only those that stand so; DELETED shows ended ones."),
    ] = None,
) -> ServiceList:
    bound = enter(edge, Resource.SERVICE, Action.READ)
    app, after = parse(AppId, app_id), edge.page_after(paging, "services")
    wanted = parse_statuses(ServiceStatus, statuses or [])
    project = reach(bound, project_id)
    page = edge.read(
        lambda uow: service_read.list_services(
            uow, project_id=project, app_id=app, name=name, statuses=wanted, after=after, limit=paging.limit
        )
    )
    return ServiceList(
        services=[ServiceOut.of(each) for each in page.items], **page_fields(edge, paging, page, "services")
    )


@router.post(
    "/services",
    operation_id="create_service",
    summary="Deploy a model as a service",
    description="Answers at once; the service starts STARTING and its deployment PENDING until a place is found."
    " `GET /v1/services/{id}/explanation` says which datacenter was chosen, or why none fits.",
    status_code=202,
    response_model=ServiceReply,
)
def create_service(body: ServiceCreate, edge: EdgeDep) -> Response:
    bound, app_id = enter(edge, Resource.SERVICE, Action.CREATE), AppId.parse(body.app_id)
    definition, document = _read(body.definition)
    return edge.write(
        lambda uow: ServiceReply(
            service=ServiceOut.of(
                service_services.create_service(
                    uow,
                    actor=edge.principal.actor,
                    app_id=app_id,
                    bound=bound,
                    definition=definition,
                    document=document,
                    domain=edge.settings.gateway_domain,
                )
            )
        ),
        status=202,
        etag=_version,
    )


@router.get(
    "/services/{service_id}",
    operation_id="get_service",
    summary="Show a service",
    response_model=ServiceReply,
)
def get_service(service_id: ServicePath, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SERVICE, Action.READ), ServiceId.parse(service_id)
    found = edge.read(lambda uow: service_read.get_service(uow, wanted, bound))
    return edge.answer(ServiceReply(service=ServiceOut.of(found)), found.version)


@router.put(
    "/services/{service_id}",
    operation_id="replace_service",
    summary="Deploy a whole new definition (needs If-Match)",
    status_code=202,
    response_model=ServiceReply,
)
def replace_service(service_id: ServicePath, body: ServiceReplace, edge: EdgeDep) -> Response:
    definition, document = _read(body.definition)
    return _change(edge, service_id, lambda _: (definition, document))


@router.patch(
    "/services/{service_id}",
    operation_id="update_service",
    summary="Deploy a changed definition (needs If-Match)",
    status_code=202,
    response_model=ServiceReply,
)
def update_service(service_id: ServicePath, body: ServicePatch, edge: EdgeDep) -> Response:
    def merge(latest: Mapping[str, Any]) -> tuple[Definition, dict[str, Any]]:
        try:
            return _read(DefinitionIn.model_validate(merge_patch(dict(latest), body.definition)))
        except ValidationError as err:
            raise _refused(err) from err

    return _change(edge, service_id, merge)


@router.delete(
    "/services/{service_id}",
    operation_id="delete_service",
    summary="Delete a service (needs If-Match)",
    status_code=202,
    response_model=ServiceReply,
)
def delete_service(service_id: ServicePath, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SERVICE, Action.DELETE), ServiceId.parse(service_id)
    expected = edge.expected_version()
    return edge.write(
        lambda uow: ServiceReply(
            service=ServiceOut.of(
                service_services.delete_service(
                    uow, wanted, actor=edge.principal.actor, bound=bound, expected_version=expected
                )
            )
        ),
        status=202,
        etag=_version,
    )


@router.post(
    "/services/{service_id}/pause",
    operation_id="pause_service",
    summary="Stop a service and give its capacity back",
    status_code=202,
    response_model=ServiceReply,
)
def pause_service(service_id: ServicePath, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SERVICE, Action.OPERATE), ServiceId.parse(service_id)
    return edge.write(
        lambda uow: ServiceReply(
            service=ServiceOut.of(
                service_services.pause(uow, wanted, actor=edge.principal.actor, bound=bound)
            )
        ),
        status=202,
        etag=_version,
    )


@router.post(
    "/services/{service_id}/resume",
    operation_id="resume_service",
    summary="Look for a place again for a paused service",
    status_code=202,
    response_model=ServiceReply,
)
def resume_service(service_id: ServicePath, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SERVICE, Action.OPERATE), ServiceId.parse(service_id)
    return edge.write(
        lambda uow: ServiceReply(
            service=ServiceOut.of(
                service_services.resume(uow, wanted, actor=edge.principal.actor, bound=bound)
            )
        ),
        status=202,
        etag=_version,
    )


@router.post(
    "/services/{service_id}/redeploy",
    operation_id="redeploy_service",
    summary="Deploy the same definition again, with the present values of its secrets",
    status_code=202,
    response_model=DeploymentReply,
)
def redeploy_service(service_id: ServicePath, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SERVICE, Action.OPERATE), ServiceId.parse(service_id)
    return edge.write(
        lambda uow: DeploymentReply(
            deployment=DeploymentOut.of(
                service_read.get_deployment(
                    uow,
                    service_services.redeploy(
                        uow, wanted, actor=edge.principal.actor, bound=bound
                    ).latest_deployment_id,
                    bound,
                )
            )
        ),
        status=202,
    )


@router.post(
    "/services/{service_id}/rollback",
    operation_id="rollback_service",
    summary="Go back to an earlier version",
    description="Without a deployment: a version that does not serve yet is given up for the one that does; otherwise"
    " the newest earlier version that was ready once is deployed again, with the values of secrets that it had.",
    status_code=202,
    response_model=ServiceReply,
)
def rollback_service(service_id: ServicePath, body: RollbackIn, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SERVICE, Action.OPERATE), ServiceId.parse(service_id)
    target = parse(DeploymentId, body.deployment_id)
    return edge.write(
        lambda uow: ServiceReply(
            service=ServiceOut.of(
                service_rollback.roll_back(
                    uow, wanted, actor=edge.principal.actor, bound=bound, deployment_id=target
                )
            )
        ),
        status=202,
        etag=_version,
    )


@router.post(
    "/services/{service_id}/scale",
    operation_id="scale_service",
    summary="Move between other bounds without a new deployment",
    status_code=202,
    response_model=ServiceReply,
)
def scale_service(service_id: ServicePath, body: ScaleIn, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SERVICE, Action.OPERATE), ServiceId.parse(service_id)
    return edge.write(
        lambda uow: ServiceReply(
            service=ServiceOut.of(
                service_services.scale(
                    uow,
                    wanted,
                    actor=edge.principal.actor,
                    bound=bound,
                    replicas_min=body.min,
                    replicas_max=body.max,
                )
            )
        ),
        status=202,
        etag=_version,
    )


def _change(edge: Edge, service_id: str, change: service_services.Change) -> Response:
    bound, wanted = enter(edge, Resource.SERVICE, Action.UPDATE), ServiceId.parse(service_id)
    expected = edge.expected_version()
    return edge.write(
        lambda uow: ServiceReply(
            service=ServiceOut.of(
                service_services.change_definition(
                    uow,
                    wanted,
                    actor=edge.principal.actor,
                    bound=bound,
                    expected_version=expected,
                    change=change,
                )
            )
        ),
        status=202,
        etag=_version,
    )


def _read(wire: DefinitionIn) -> tuple[Definition, dict[str, Any]]:
    """The definition as the room works with it, and the document that is kept of it."""
    return to_definition(wire), wire.model_dump(mode="json")


def _refused(err: ValidationError) -> InvalidInput:
    fields = tuple(
        FieldProblem(
            ".".join(("definition", *(str(part) for part in each["loc"]))), each["msg"], each["type"]
        )
        for each in err.errors(include_input=False, include_url=False)[:PROBLEMS_MAX]
    )
    return InvalidInput("The changed definition is not one; see `errors` for each field.", fields=fields)


def _version(out: ServiceReply) -> int:
    return out.service.version
