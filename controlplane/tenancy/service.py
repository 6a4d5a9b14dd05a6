"""Use cases of tenants: read, change the billing party, suspend and resume, projects, quotas."""

from __future__ import annotations

from controlplane.kernel.errors import NotFound
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import repository
from controlplane.tenancy.domain import Project, Tenant, TenantStatus


def find_status(uow: UnitOfWork, tenant_id: TenantId) -> TenantStatus | None:
    """Tell whether a tenant may work; None when it does not exist."""
    return repository.find_status(uow, tenant_id)


def get_tenant(uow: UnitOfWork, tenant_id: TenantId) -> Tenant:
    tenant = repository.find_tenant(uow, tenant_id)
    if tenant is None:
        raise NotFound(f"There is no organization {tenant_id}.")
    return tenant


def get_project(uow: UnitOfWork, tenant_id: TenantId, project_id: ProjectId) -> Project:
    project = repository.find_project(uow, tenant_id, project_id)
    if project is None:
        raise NotFound(f"There is no project {project_id}.")
    return project
