"""REST of what services became: deployments, their parts, instances, and their story."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from controlplane.deployments import service_read, service_services
from controlplane.deployments.api_common import enter, page_fields, parse, parse_statuses, reach
from controlplane.deployments.domain import InstanceStatus, RunStatus
from controlplane.deployments.log_rules import read_lines
from controlplane.deployments.models import ExplanationRow
from controlplane.deployments.schemas import DeploymentList, DeploymentOut, DeploymentReply
from controlplane.deployments.schemas_parts import (
    InstanceList,
    InstanceOut,
    InstanceReply,
    RegionalDeploymentList,
    RegionalDeploymentOut,
    RegionalDeploymentReply,
)
from controlplane.deployments.schemas_story import (
    ColdStartList,
    ColdStartOut,
    ExplanationReply,
    LogLabels,
    LogLine,
    LogPage,
    LogReply,
    ServiceEventList,
    ServiceEventOut,
)
from controlplane.deployments.service_verdicts import list_verdicts
from controlplane.kernel.access import Action, Resource
from controlplane.kernel.errors import NotFound, Unavailable
from controlplane.kernel.ids import (
    AppId,
    DeploymentId,
    InstanceId,
    RegionalDeploymentId,
    ServiceId,
)
from controlplane.placement.schemas import ExplanationOut
from controlplane.placement.tenant_rules import for_tenant
from controlplane.plumbing.cluster import ClusterRefused, Clusters
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import EdgeDep, PagingDep
from controlplane.sovereignty.schemas import from_verdict

router = APIRouter(prefix="/v1")
IdQuery = Annotated[str | None, Query(max_length=40, description="Only those that belong to it.")]
StatusQuery = Annotated[list[str] | None, Query(max_length=20, description="Only those that stand so.")]
ServicePath = Annotated[str, Path(max_length=40, description="Id of the service.")]
LOG_LINES_DEFAULT = 200
LOG_LINES_MAX = 1_000


@router.get("/deployments", operation_id="list_deployments", summary="List deployments", tags=["deployments"])
def list_deployments(
    edge: EdgeDep,
    paging: PagingDep,
    service_id: IdQuery = None,
    app_id: IdQuery = None,
    statuses: StatusQuery = None,
) -> DeploymentList:
    bound = enter(edge, Resource.DEPLOYMENT, Action.READ)
    service, app = parse(ServiceId, service_id), parse(AppId, app_id)
    wanted, after = parse_statuses(RunStatus, statuses or []), edge.page_after(paging, "deployments")
    page = edge.read(
        lambda uow: service_read.list_deployments(
            uow,
            project_id=reach(bound, None),
            app_id=app,
            service_id=service,
            statuses=wanted,
            after=after,
            limit=paging.limit,
        )
    )
    return DeploymentList(
        deployments=[DeploymentOut.of(each) for each in page.items],
        **page_fields(edge, paging, page, "deployments"),
    )


@router.get(
    "/deployments/{deployment_id}",
    operation_id="get_deployment",
    summary="Show a deployment",
    tags=["deployments"],
)
def get_deployment(
    deployment_id: Annotated[str, Path(max_length=40, description="Id of the deployment.")], edge: EdgeDep
) -> DeploymentReply:
    bound, wanted = enter(edge, Resource.DEPLOYMENT, Action.READ), DeploymentId.parse(deployment_id)
    found = edge.read(lambda uow: service_read.get_deployment(uow, wanted, bound))
    return DeploymentReply(deployment=DeploymentOut.of(found))


@router.post(
    "/deployments/{deployment_id}/cancel",
    operation_id="cancel_deployment",
    summary="Give up a deployment that does not serve yet",
    tags=["deployments"],
    status_code=202,
    response_model=DeploymentReply,
)
def cancel_deployment(
    deployment_id: Annotated[str, Path(max_length=40, description="Id of the deployment.")], edge: EdgeDep
) -> Response:
    bound, wanted = enter(edge, Resource.DEPLOYMENT, Action.OPERATE), DeploymentId.parse(deployment_id)
    return edge.write(
        lambda uow: DeploymentReply(
            deployment=DeploymentOut.of(
                service_services.cancel_deployment(uow, wanted, actor=edge.principal.actor, bound=bound)
            )
        ),
        status=202,
    )


@router.get(
    "/regional_deployments",
    operation_id="list_regional_deployments",
    summary="List the parts of deployments, by datacenter",
    tags=["deployments"],
)
def list_regional_deployments(
    edge: EdgeDep, paging: PagingDep, service_id: IdQuery = None, deployment_id: IdQuery = None
) -> RegionalDeploymentList:
    bound = enter(edge, Resource.DEPLOYMENT, Action.READ)
    service, deployment = parse(ServiceId, service_id), parse(DeploymentId, deployment_id)
    after = edge.page_after(paging, "regional_deployments")
    page = edge.read(
        lambda uow: service_read.list_regional_deployments(
            uow,
            project_id=bound,
            service_id=service,
            deployment_id=deployment,
            after=after,
            limit=paging.limit,
        )
    )
    return RegionalDeploymentList(
        regional_deployments=[RegionalDeploymentOut.of(each) for each in page.items],
        **page_fields(edge, paging, page, "regional_deployments"),
    )


@router.get(
    "/regional_deployments/{regional_deployment_id}",
    operation_id="get_regional_deployment",
    summary="Show a deployment's part in a datacenter",
    tags=["deployments"],
)
def get_regional_deployment(
    regional_deployment_id: Annotated[str, Path(max_length=40, description="Its id.")], edge: EdgeDep
) -> RegionalDeploymentReply:
    bound = enter(edge, Resource.DEPLOYMENT, Action.READ)
    wanted = RegionalDeploymentId.parse(regional_deployment_id)
    found = edge.read(lambda uow: service_read.get_regional_deployment(uow, wanted, bound))
    return RegionalDeploymentReply(regional_deployment=RegionalDeploymentOut.of(found))


@router.get("/instances", operation_id="list_instances", summary="List instances", tags=["instances"])
def list_instances(
    edge: EdgeDep,
    paging: PagingDep,
    service_id: IdQuery = None,
    deployment_id: IdQuery = None,
    regional_deployment_id: IdQuery = None,
    statuses: StatusQuery = None,
) -> InstanceList:
    bound = enter(edge, Resource.INSTANCE, Action.READ)
    service, deployment = parse(ServiceId, service_id), parse(DeploymentId, deployment_id)
    part = parse(RegionalDeploymentId, regional_deployment_id)
    wanted, after = parse_statuses(InstanceStatus, statuses or []), edge.page_after(paging, "instances")
    page = edge.read(
        lambda uow: service_read.list_instances(
            uow,
            project_id=bound,
            service_id=service,
            deployment_id=deployment,
            regional_deployment_id=part,
            statuses=wanted,
            after=after,
            limit=paging.limit,
        )
    )
    return InstanceList(
        instances=[InstanceOut.of(each) for each in page.items],
        **page_fields(edge, paging, page, "instances"),
    )


@router.get(
    "/instances/{instance_id}", operation_id="get_instance", summary="Show an instance", tags=["instances"]
)
def get_instance(
    instance_id: Annotated[str, Path(max_length=40, description="Id of the instance.")], edge: EdgeDep
) -> InstanceReply:
    bound, wanted = enter(edge, Resource.INSTANCE, Action.READ), InstanceId.parse(instance_id)
    found = edge.read(lambda uow: service_read.get_instance(uow, wanted, bound))
    return InstanceReply(instance=InstanceOut.of(found))


@router.get(
    "/service_events",
    operation_id="list_service_events",
    summary="List what happened to a service, newest first",
    tags=["services"],
)
def list_service_events(
    edge: EdgeDep,
    paging: PagingDep,
    service_id: Annotated[str, Query(max_length=40, description="Id of the service.")],
    types: Annotated[list[str] | None, Query(max_length=20, description="Only these types.")] = None,
) -> ServiceEventList:
    bound, wanted = enter(edge, Resource.SERVICE, Action.READ), ServiceId.parse(service_id)
    scope = f"events {wanted}"
    after = edge.page_after(paging, scope)
    page = edge.read(
        lambda uow: service_read.list_service_events(
            uow, service_id=wanted, bound=bound, kinds=types or [], after=after, limit=paging.limit
        )
    )
    return ServiceEventList(
        events=[ServiceEventOut.of(each) for each in page.items], **page_fields(edge, paging, page, scope)
    )


@router.get(
    "/services/{service_id}/explanation",
    operation_id="get_service_explanation",
    summary="Say why a service was placed where it is, or nowhere",
    tags=["services"],
)
def get_explanation(service_id: ServicePath, edge: EdgeDep) -> ExplanationReply:
    bound, wanted = enter(edge, Resource.DECISION, Action.READ), ServiceId.parse(service_id)
    return edge.read(lambda uow: _explain(uow, service_read.get_explanation(uow, wanted, bound)))


@router.get(
    "/deployments/{deployment_id}/explanation",
    operation_id="get_deployment_explanation",
    summary="Say why one deployment was placed where it is, or nowhere",
    tags=["deployments"],
)
def get_deployment_explanation(
    deployment_id: Annotated[str, Path(max_length=40, description="Id of the deployment.")], edge: EdgeDep
) -> ExplanationReply:
    bound, wanted = enter(edge, Resource.DECISION, Action.READ), DeploymentId.parse(deployment_id)
    return edge.read(lambda uow: _explain(uow, service_read.get_deployment_explanation(uow, wanted, bound)))


def _explain(uow: UnitOfWork, row: ExplanationRow) -> ExplanationReply:
    return ExplanationReply(
        deployment_id=str(row.deployment_id),
        is_placed=row.is_placed,
        decided_at=row.decided_at,
        confirmed_at=row.confirmed_at,
        explanation=for_tenant(ExplanationOut.model_validate(row.explanation)),
        verdicts=[
            from_verdict(verdict, foreseen)
            for verdict, foreseen in list_verdicts(uow, row.service_id, row.deployment_id)
        ],
    )


@router.get(
    "/services/{service_id}/cold_starts",
    operation_id="list_service_cold_starts",
    summary="List the latest starts from zero, cut into steps",
    tags=["services"],
)
def list_cold_starts(service_id: ServicePath, edge: EdgeDep) -> ColdStartList:
    bound, wanted = enter(edge, Resource.SERVICE, Action.READ), ServiceId.parse(service_id)
    starts = edge.read(lambda uow: service_read.list_cold_starts(uow, wanted, bound))
    return ColdStartList(cold_starts=[ColdStartOut.of(start) for start in starts])


@router.get(
    "/streams/logs/query",
    operation_id="query_logs",
    summary="Read the last lines of a service or an instance",
    tags=["logs"],
)
def query_logs(
    edge: EdgeDep,
    service_id: IdQuery = None,
    instance_id: IdQuery = None,
    limit: Annotated[
        int, Query(ge=1, le=LOG_LINES_MAX, description="Lines of each instance at most.")
    ] = LOG_LINES_DEFAULT,
) -> LogReply:
    bound = enter(edge, Resource.LOG, Action.READ)
    service, instance = parse(ServiceId, service_id), parse(InstanceId, instance_id)
    pods = edge.read(
        lambda uow: service_read.list_log_pods(uow, service_id=service, instance_id=instance, bound=bound)
    )
    # The transaction has ended: no row waits while a cell's API server answers.
    clusters: Clusters = edge.request.app.state.clusters
    lines: list[LogLine] = []
    has_more = False
    for namespace, pod in pods:
        try:
            text = clusters.read_log(namespace, pod.name, tail_lines=limit)
        except NotFound:
            continue
        except ClusterRefused as refused:
            # A container that has not started has no log yet; anything else is the cell's own trouble.
            if refused.status == 400:
                continue
            raise Unavailable("The cell does not give out logs just now.") from refused
        found = read_lines(text)
        has_more = has_more or len(found) >= limit
        labels = LogLabels(instance_id=str(pod.id), service_id=str(pod.service_id), stream="stdout")
        lines += [LogLine(created_at=at, msg=message, labels=labels) for at, message in found]
    # Lines without a time come first; the order within one instance is its own.
    lines.sort(key=lambda line: line.created_at or datetime.min.replace(tzinfo=UTC))
    return LogReply(data=lines, pagination=LogPage(has_more=has_more))
