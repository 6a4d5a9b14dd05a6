"""REST of the platform operator over organizations: list, show, suspend, resume, set limits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from controlplane.kernel.access import Action, Authorize, Resource
from controlplane.kernel.errors import Forbidden, NotFound
from controlplane.kernel.ids import TenantId
from controlplane.kernel.principal import Principal
from controlplane.plumbing.web import EdgeDep, PagingDep
from controlplane.tenancy import service
from controlplane.tenancy.domain import QuotaName, TenantStatus
from controlplane.tenancy.schemas import (
    AlikeList,
    OrganizationAnswer,
    OrganizationApproval,
    OrganizationList,
    OrganizationShape,
    QuotaAnswer,
    QuotaList,
    QuotaSet,
    QuotaShape,
    RefuseRequest,
    SuspendRequest,
    TaxZoneApproval,
    page_fields,
)

_SCOPE = "admin/organizations"
_TAGS = ["admin: organizations"]


def make_admin_router(authorize: Authorize) -> APIRouter:
    """Build the operator's router; `authorize` raises Forbidden."""
    router = APIRouter(prefix="/v1/admin/organizations", tags=list(_TAGS))
    _add_reads(router, authorize)
    _add_approval(router, authorize)
    _add_status(router, authorize)
    _add_tax_zone(router, authorize)
    _add_quotas(router, authorize)
    return router


def _add_reads(router: APIRouter, authorize: Authorize) -> None:
    @router.get("", operation_id="admin_list_organizations", summary="List all organizations")
    def list_all(
        edge: EdgeDep,
        page: PagingDep,
        statuses: Annotated[
            list[TenantStatus] | None, Query(max_length=8, description="Only those in one of these states.")
        ] = None,
    ) -> OrganizationList:
        _check(edge.principal, authorize, Resource.ORGANIZATION, Action.READ)
        after = edge.page_after(page, _SCOPE)
        found = edge.read(
            lambda uow: service.list_tenants(uow, after=after, limit=page.limit, statuses=statuses or ())
        )
        return OrganizationList(
            organizations=[OrganizationShape.of(tenant) for tenant in found.items],
            **page_fields(page.limit, edge.next_cursor(found, _SCOPE)),
        )

    @router.get(
        "/{organization_id}", operation_id="admin_get_organization", summary="Show any organization",
        response_model=OrganizationAnswer,
    )  # fmt: skip
    def get_one(organization_id: str, edge: EdgeDep) -> Response:
        _check(edge.principal, authorize, Resource.ORGANIZATION, Action.READ)
        tenant_id = TenantId.parse(organization_id)
        tenant = edge.read(lambda uow: service.get_tenant(uow, tenant_id))
        return edge.answer(OrganizationAnswer.of(tenant), tenant.version)


def _add_approval(router: APIRouter, authorize: Authorize) -> None:
    @router.get(
        "/{organization_id}/alike", operation_id="admin_list_alike_organizations",
        summary="List other organizations that may be of the same company",
    )  # fmt: skip
    def list_alike(organization_id: str, edge: EdgeDep) -> AlikeList:
        _check(edge.principal, authorize, Resource.ORGANIZATION, Action.READ)
        tenant_id = TenantId.parse(organization_id)
        found = edge.read(lambda uow: service.list_alike(uow, tenant_id))
        return AlikeList(organizations=[OrganizationShape.of(tenant) for tenant in found])

    @router.post(
        "/{organization_id}/approve", operation_id="admin_approve_organization",
        summary="Confirm who an organization is that signed up itself", response_model=OrganizationAnswer,
    )  # fmt: skip
    def approve(organization_id: str, body: OrganizationApproval, edge: EdgeDep) -> Response:
        _check(edge.principal, authorize, Resource.ORGANIZATION, Action.OPERATE)
        tenant_id, actor = TenantId.parse(organization_id), edge.principal.actor
        return edge.write(
            lambda uow: OrganizationAnswer.of(
                service.approve(uow, tenant_id, expected_version=body.version, actor=actor)
            ),
            etag=lambda out: out.organization.version,
        )

    @router.post(
        "/{organization_id}/refuse", operation_id="admin_refuse_organization",
        summary="Turn away an organization that waits for approval", response_model=OrganizationAnswer,
    )  # fmt: skip
    def refuse(organization_id: str, body: RefuseRequest, edge: EdgeDep) -> Response:
        _check(edge.principal, authorize, Resource.ORGANIZATION, Action.OPERATE)
        tenant_id, actor = TenantId.parse(organization_id), edge.principal.actor
        return edge.write(
            lambda uow: OrganizationAnswer.of(service.refuse(uow, tenant_id, body.reason, actor=actor)),
            etag=lambda out: out.organization.version,
        )


def _add_tax_zone(router: APIRouter, authorize: Authorize) -> None:
    @router.post(
        "/{organization_id}/tax_zone/approve", operation_id="admin_approve_tax_zone",
        summary="Approve where an organization is taxed, by proof of its place", response_model=OrganizationAnswer,
    )  # fmt: skip
    def approve(organization_id: str, body: TaxZoneApproval, edge: EdgeDep) -> Response:
        _check(edge.principal, authorize, Resource.ORGANIZATION, Action.OPERATE)
        tenant_id, actor = TenantId.parse(organization_id), edge.principal.actor
        return edge.write(
            lambda uow: OrganizationAnswer.of(
                service.approve_tax_zone(uow, tenant_id, body.reason, actor=actor)
            ),
            etag=lambda out: out.organization.version,
        )


def _add_status(router: APIRouter, authorize: Authorize) -> None:
    @router.post(
        "/{organization_id}/suspend", operation_id="admin_suspend_organization",
        summary="Refuse an organization's keys from now on", response_model=OrganizationAnswer,
    )  # fmt: skip
    def suspend(organization_id: str, body: SuspendRequest, edge: EdgeDep) -> Response:
        _check(edge.principal, authorize, Resource.ORGANIZATION, Action.OPERATE)
        tenant_id, actor = TenantId.parse(organization_id), edge.principal.actor
        return edge.write(
            lambda uow: OrganizationAnswer.of(service.suspend(uow, tenant_id, body.reason, actor=actor)),
            etag=lambda out: out.organization.version,
        )

    @router.post(
        "/{organization_id}/resume", operation_id="admin_resume_organization",
        summary="Accept an organization's keys again", response_model=OrganizationAnswer,
    )  # fmt: skip
    def resume(organization_id: str, edge: EdgeDep) -> Response:
        _check(edge.principal, authorize, Resource.ORGANIZATION, Action.OPERATE)
        tenant_id, actor = TenantId.parse(organization_id), edge.principal.actor
        return edge.write(
            lambda uow: OrganizationAnswer.of(service.resume(uow, tenant_id, actor=actor)),
            etag=lambda out: out.organization.version,
        )


def _add_quotas(router: APIRouter, authorize: Authorize) -> None:
    @router.get(
        "/{organization_id}/quotas", operation_id="admin_list_quotas", summary="List an organization's limits"
    )
    def list_quotas(organization_id: str, edge: EdgeDep) -> QuotaList:
        _check(edge.principal, authorize, Resource.QUOTA, Action.READ)
        tenant_id = TenantId.parse(organization_id)
        edge.read(lambda uow: service.get_tenant(uow, tenant_id))
        quotas = edge.read(lambda uow: service.list_quotas(uow, tenant_id))
        return QuotaList(quotas=[QuotaShape.of(quota) for quota in quotas])

    @router.put(
        "/{organization_id}/quotas/{quota_name}", operation_id="admin_set_quota",
        summary="Set one limit of an organization", response_model=QuotaAnswer,
    )  # fmt: skip
    def set_quota(organization_id: str, quota_name: str, body: QuotaSet, edge: EdgeDep) -> Response:
        _check(edge.principal, authorize, Resource.QUOTA, Action.UPDATE)
        tenant_id, name, actor = TenantId.parse(organization_id), _quota(quota_name), edge.principal.actor
        return edge.write(
            lambda uow: QuotaAnswer(
                quota=QuotaShape.of(service.set_quota(uow, tenant_id, name, body.limit, actor=actor))
            )
        )


def _check(principal: Principal, authorize: Authorize, resource: Resource, action: Action) -> None:
    """A tenant may read its own organization, but never by this door."""
    if not principal.is_platform:
        raise Forbidden("Only the platform operator may do this.")
    authorize(principal, resource, action)


def _quota(text: str) -> QuotaName:
    try:
        return QuotaName(text)
    except ValueError:
        raise NotFound(f"There is no quota '{text[:64]}'.") from None
