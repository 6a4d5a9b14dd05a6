"""Use cases of projects: where apps live and what usage is split by."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.exc import IntegrityError

from controlplane.audit import service as audit
from controlplane.kernel.errors import Conflict, FieldProblem, NotFound
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.versions import check_version
from controlplane.tenancy import repository
from controlplane.tenancy.domain import Project
from controlplane.tenancy.events import ProjectCreated, ProjectDeleted
from controlplane.tenancy.models import ProjectRow


def create_project(
    uow: UnitOfWork, tenant_id: TenantId, name: str, description: str, *, actor: str, is_default: bool = False
) -> Project:
    """Create a project; Conflict when the tenant has one of that name. The caller checks the quota first."""
    if repository.is_project_name_taken(uow, tenant_id, name):
        raise _name_taken(name)
    project = Project(
        id=ProjectId.new(),
        tenant_id=tenant_id,
        name=name,
        description=description,
        is_default=is_default,
        version=1,
        created_at=uow.now,
        updated_at=uow.now,
    )
    try:
        repository.add_project(uow, project)
    except IntegrityError as err:
        raise _name_taken(name) from err
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="project.created", target=str(project.id),
        detail={"name": name},
    )  # fmt: skip
    uow.emit(ProjectCreated(tenant_id, project.id))
    return project


def get_project(uow: UnitOfWork, tenant_id: TenantId, project_id: ProjectId) -> Project:
    project = repository.find_project(uow, tenant_id, project_id)
    if project is None:
        raise _no_project(project_id)
    return project


def list_projects(
    uow: UnitOfWork, tenant_id: TenantId, *, after: UUID | None, limit: int, only: ProjectId | None = None
) -> Page[Project]:
    """Return a page of projects, newest first; `only` is the project that the caller's key is bound to."""
    rows = repository.list_projects(uow, tenant_id, after=after, limit=limit + 1, only=only)
    return Page.of(rows, limit, lambda project: project.id.value)


def count_projects(uow: UnitOfWork, tenant_id: TenantId) -> int:
    return repository.count_projects(uow, tenant_id)


def update_project(
    uow: UnitOfWork,
    tenant_id: TenantId,
    project_id: ProjectId,
    *,
    name: str | None,
    description: str | None,
    expected_version: int,
    actor: str,
) -> Project:
    """Change what is given; Conflict when the new name is taken."""
    row = _lock(uow, tenant_id, project_id)
    check_version(row.version, expected_version)
    wanted_name = row.name if name is None else name
    row.name = wanted_name
    row.description = row.description if description is None else description
    row.version += 1
    row.updated_at = uow.now
    try:
        uow.session.flush()
    except IntegrityError as err:
        raise _name_taken(wanted_name) from err
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="project.changed", target=str(project_id),
        detail={"name": row.name, "version": row.version},
    )  # fmt: skip
    return repository.to_project(row)


def delete_project(
    uow: UnitOfWork, tenant_id: TenantId, project_id: ProjectId, *, expected_version: int, actor: str
) -> None:
    """Delete an empty project and the keys that are bound to it; Conflict for the default one or a full one."""
    row = _lock(uow, tenant_id, project_id)
    check_version(row.version, expected_version)
    if row.is_default:
        raise Conflict("The default project cannot be deleted: unbound API keys call models in it.")
    try:
        repository.delete_project(uow, tenant_id, project_id)
    except IntegrityError as err:
        raise Conflict("The project still holds resources; delete them first.") from err
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="project.deleted", target=str(project_id),
        detail={"name": row.name},
    )  # fmt: skip
    uow.emit(ProjectDeleted(tenant_id, project_id))


def _lock(uow: UnitOfWork, tenant_id: TenantId, project_id: ProjectId) -> ProjectRow:
    row = repository.lock_project(uow, tenant_id, project_id)
    if row is None:
        raise _no_project(project_id)
    return row


def _no_project(project_id: ProjectId) -> NotFound:
    return NotFound(f"There is no project {project_id}.")


def _name_taken(name: str) -> Conflict:
    return Conflict(
        f"The organization already has a project called '{name}'.",
        fields=(FieldProblem("name", "is taken", "taken"),),
    )
