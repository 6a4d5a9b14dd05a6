"""Use cases of apps: a name under which services stand together."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.exc import IntegrityError

from controlplane.audit import service as audit
from controlplane.deployments import repository
from controlplane.deployments.domain import App
from controlplane.deployments.models import AppRow
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput, NotFound
from controlplane.kernel.ids import AppId, ProjectId
from controlplane.plumbing.cursors import PAGE_MAX, Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import check_version
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import QuotaName

# A refusal to delete an app names so many of the services that stand in the way.
NAMES_SHOWN_MAX = 5


def find_project(uow: UnitOfWork, wanted: ProjectId | None, bound: ProjectId | None) -> ProjectId:
    """The project that a request means: the one it names, the one its key is bound to, or the default one.

    Errors: NotFound for a project that is not the caller's, or not the one its key is bound to.
    """
    if wanted is not None:
        if bound is not None and wanted != bound:
            raise NotFound(f"There is no project {wanted} for this key.")
        return tenancy.get_project(uow, uow.tenant, wanted).id
    if bound is not None:
        return bound
    projects = tenancy.list_projects(uow, uow.tenant, after=None, limit=PAGE_MAX)
    for project in projects.items:
        if project.is_default:
            return project.id
    raise InvalidInput("Name the project: the organization has no default one.", fields=(_no_project(),))


def create_app(uow: UnitOfWork, *, actor: str, project_id: ProjectId, name: str) -> App:
    """Make an app; Conflict when the project has one of that name, QuotaExceeded beyond the tenant's limit."""
    tenancy.check_quota(uow, QuotaName.APPS, lambda: repository.count_rows(uow, AppRow, uow.tenant))
    row = repository.add_unless_taken(
        uow,
        AppRow,
        tenant_id=uow.tenant,
        id=AppId.new(),
        project_id=project_id,
        name=name,
        version=1,
        created_at=uow.now,
        updated_at=uow.now,
    )
    if row is None:
        raise _taken(name)
    _audit(uow, actor, "app.created", row.id, name)
    return repository.to_app(row)


def get_app(uow: UnitOfWork, app_id: AppId, bound: ProjectId | None = None) -> App:
    row = repository.find_app_row(uow, uow.tenant, app_id)
    if row is None or (bound is not None and row.project_id != bound):
        raise NotFound(f"There is no app {app_id}.")
    return repository.to_app(row)


def list_apps(
    uow: UnitOfWork, *, project_id: ProjectId | None, name: str | None, after: UUID | None, limit: int
) -> Page[App]:
    filters = []
    if project_id is not None:
        filters.append(AppRow.project_id == project_id)
    if name is not None:
        filters.append(AppRow.name == name)
    rows = repository.page(uow, AppRow, uow.tenant, after=after, limit=limit, filters=filters)
    return Page.of([repository.to_app(row) for row in rows], limit, lambda app: app.id.value)


def rename_app(
    uow: UnitOfWork, app_id: AppId, *, actor: str, bound: ProjectId | None, expected_version: int, name: str
) -> App:
    row = _lock(uow, app_id, bound)
    check_version(row.version, expected_version)
    row.name, row.version, row.updated_at = name, row.version + 1, uow.now
    try:
        uow.session.flush()
    except IntegrityError as err:
        raise _taken(name) from err
    _audit(uow, actor, "app.renamed", app_id, name)
    return repository.to_app(row)


def delete_app(
    uow: UnitOfWork, app_id: AppId, *, actor: str, bound: ProjectId | None, expected_version: int
) -> None:
    """Delete an app without services; Conflict names those that are left."""
    row = _lock(uow, app_id, bound)
    check_version(row.version, expected_version)
    left = repository.list_live_names(uow, uow.tenant, app_id, NAMES_SHOWN_MAX)
    if left:
        names = ", ".join(f"'{each}'" for each in left)
        raise Conflict(f"The app still has services ({names}); delete them first.")
    uow.session.delete(row)
    _audit(uow, actor, "app.deleted", app_id, row.name)


def _lock(uow: UnitOfWork, app_id: AppId, bound: ProjectId | None) -> AppRow:
    row = repository.find_app_row(uow, uow.tenant, app_id, is_locked=True)
    if row is None or (bound is not None and row.project_id != bound):
        raise NotFound(f"There is no app {app_id}.")
    return row


def _taken(name: str) -> Conflict:
    return Conflict(
        f"The project already has an app called '{name}'.",
        fields=(FieldProblem("name", "is taken", "taken"),),
    )


def _audit(uow: UnitOfWork, actor: str, action: str, app_id: AppId, name: str) -> None:
    audit.record(
        uow, tenant_id=uow.tenant, actor=actor, action=action, target=str(app_id), detail={"name": name}
    )


def _no_project() -> FieldProblem:
    return FieldProblem("project_id", "is needed", "missing")
