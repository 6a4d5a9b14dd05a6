"""REST of organizations, projects and quotas. The decision who may comes from the identity room, which stands
above this one: the entry point hands it in."""

from __future__ import annotations

from fastapi import APIRouter, Response

from controlplane.kernel.access import Action, Authorize, Resource, tenant_of
from controlplane.kernel.errors import NotFound
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.principal import Principal
from controlplane.plumbing.web import EdgeDep, PagingDep
from controlplane.tenancy import service
from controlplane.tenancy.schemas import (
    OrganizationAnswer,
    OrganizationUpdate,
    ProjectAnswer,
    ProjectCreate,
    ProjectList,
    ProjectShape,
    ProjectUpdate,
    QuotaList,
    QuotaShape,
    page_fields,
)

_PROJECTS = "projects"


def make_router(authorize: Authorize) -> APIRouter:
    """Build the tenant's router; `authorize` raises Forbidden."""
    router = APIRouter(prefix="/v1")
    _add_organization(router, authorize)
    _add_project_reads(router, authorize)
    _add_project_writes(router, authorize)
    return router


def _add_organization(router: APIRouter, authorize: Authorize) -> None:
    @router.get(
        "/organization", operation_id="get_my_organization", summary="Show my organization",
        tags=["organizations"], response_model=OrganizationAnswer,
    )  # fmt: skip
    def get_mine(edge: EdgeDep) -> Response:
        authorize(edge.principal, Resource.ORGANIZATION, Action.READ)
        tenant = edge.read(lambda uow: service.get_tenant(uow, tenant_of(edge.principal)))
        return edge.answer(OrganizationAnswer.of(tenant), tenant.version)

    @router.get(
        "/organizations/{organization_id}", operation_id="get_organization", summary="Show an organization",
        tags=["organizations"], response_model=OrganizationAnswer,
    )  # fmt: skip
    def get_one(organization_id: str, edge: EdgeDep) -> Response:
        authorize(edge.principal, Resource.ORGANIZATION, Action.READ)
        tenant_id = _own(edge.principal, organization_id)
        tenant = edge.read(lambda uow: service.get_tenant(uow, tenant_id))
        return edge.answer(OrganizationAnswer.of(tenant), tenant.version)

    @router.patch(
        "/organizations/{organization_id}", operation_id="update_organization",
        summary="Change the billing party (needs If-Match)",
        tags=["organizations"], response_model=OrganizationAnswer,
    )  # fmt: skip
    def update(organization_id: str, body: OrganizationUpdate, edge: EdgeDep) -> Response:
        authorize(edge.principal, Resource.ORGANIZATION, Action.UPDATE)
        tenant_id, expected = _own(edge.principal, organization_id), edge.expected_version()
        return edge.write(
            lambda uow: OrganizationAnswer.of(
                service.change_billing_party(
                    uow, tenant_id, body.apply, expected_version=expected, actor=edge.principal.actor
                )
            ),
            etag=lambda out: out.organization.version,
        )

    @router.get("/quotas", operation_id="list_quotas", summary="List my limits", tags=["organizations"])
    def list_quotas(edge: EdgeDep) -> QuotaList:
        authorize(edge.principal, Resource.QUOTA, Action.READ)
        quotas = edge.read(lambda uow: service.list_quotas(uow, tenant_of(edge.principal)))
        return QuotaList(quotas=[QuotaShape.of(quota) for quota in quotas])


def _add_project_reads(router: APIRouter, authorize: Authorize) -> None:
    @router.get("/projects", operation_id="list_projects", summary="List projects", tags=["projects"])
    def list_projects(edge: EdgeDep, page: PagingDep) -> ProjectList:
        authorize(edge.principal, Resource.PROJECT, Action.READ)
        tenant_id, after = tenant_of(edge.principal), edge.page_after(page, _PROJECTS)
        found = edge.read(
            lambda uow: service.list_projects(
                uow, tenant_id, after=after, limit=page.limit, only=edge.principal.project_id
            )
        )
        return ProjectList(
            projects=[ProjectShape.of(project) for project in found.items],
            **page_fields(page.limit, edge.next_cursor(found, _PROJECTS)),
        )

    @router.get(
        "/projects/{project_id}", operation_id="get_project", summary="Show a project", tags=["projects"],
        response_model=ProjectAnswer,
    )  # fmt: skip
    def get_project(project_id: str, edge: EdgeDep) -> Response:
        authorize(edge.principal, Resource.PROJECT, Action.READ)
        tenant_id, wanted = tenant_of(edge.principal), _reachable(edge.principal, project_id)
        project = edge.read(lambda uow: service.get_project(uow, tenant_id, wanted))
        return edge.answer(ProjectAnswer.of(project), project.version)


def _add_project_writes(router: APIRouter, authorize: Authorize) -> None:
    @router.post(
        "/projects", operation_id="create_project", summary="Create a project", tags=["projects"],
        status_code=201, response_model=ProjectAnswer,
    )  # fmt: skip
    def create_project(body: ProjectCreate, edge: EdgeDep) -> Response:
        authorize(edge.principal, Resource.PROJECT, Action.CREATE)
        tenant_id, actor = tenant_of(edge.principal), edge.principal.actor
        return edge.write(
            lambda uow: ProjectAnswer.of(
                service.create_counted_project(uow, tenant_id, body.name, body.description, actor=actor)
            ),
            status=201,
            etag=lambda out: out.project.version,
        )

    @router.patch(
        "/projects/{project_id}", operation_id="update_project", summary="Change a project (needs If-Match)",
        tags=["projects"], response_model=ProjectAnswer,
    )  # fmt: skip
    def update_project(project_id: str, body: ProjectUpdate, edge: EdgeDep) -> Response:
        authorize(edge.principal, Resource.PROJECT, Action.UPDATE)
        tenant_id, wanted = tenant_of(edge.principal), _reachable(edge.principal, project_id)
        expected = edge.expected_version()
        return edge.write(
            lambda uow: ProjectAnswer.of(
                service.update_project(
                    uow,
                    tenant_id,
                    wanted,
                    name=body.name,
                    description=body.description,
                    expected_version=expected,
                    actor=edge.principal.actor,
                )
            ),
            etag=lambda out: out.project.version,
        )

    @router.delete(
        "/projects/{project_id}", operation_id="delete_project",
        summary="Delete an empty project and the keys bound to it (needs If-Match)",
        tags=["projects"], status_code=204,
    )  # fmt: skip
    def delete_project(project_id: str, edge: EdgeDep) -> Response:
        authorize(edge.principal, Resource.PROJECT, Action.DELETE)
        tenant_id, wanted = tenant_of(edge.principal), _reachable(edge.principal, project_id)
        expected = edge.expected_version()
        return edge.write(
            lambda uow: service.delete_project(
                uow, tenant_id, wanted, expected_version=expected, actor=edge.principal.actor
            )
        )


def _own(principal: Principal, organization_id: str) -> TenantId:
    """Another organization does not exist for this caller."""
    wanted = TenantId.parse(organization_id)
    if wanted != tenant_of(principal):
        raise NotFound(f"There is no organization {wanted}.")
    return wanted


def _reachable(principal: Principal, project_id: str) -> ProjectId:
    """A key that is bound to one project does not see the others."""
    wanted = ProjectId.parse(project_id)
    if principal.project_id is not None and principal.project_id != wanted:
        raise NotFound(f"There is no project {wanted}.")
    return wanted
