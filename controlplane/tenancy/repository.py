"""All SQL of the tenancy room."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy.domain import (
    OPEN_STATUSES,
    Address,
    BillingParty,
    Project,
    Quota,
    QuotaName,
    Tenant,
    TenantStatus,
)
from controlplane.tenancy.models import ProjectRow, QuotaDefaultRow, QuotaRow, TenantRow


def add_tenant(uow: UnitOfWork, tenant: Tenant) -> None:
    row = TenantRow(
        id=tenant.id,
        name=tenant.name,
        status=tenant.status,
        suspension_reason=tenant.suspension_reason,
        tax_zone=tenant.tax_zone,
        terms=tenant.terms,
        terms_accepted_at=tenant.terms_accepted_at,
        version=tenant.version,
        created_at=tenant.created_at,
        updated_at=tenant.updated_at,
    )
    set_billing_party(row, tenant.billing_party)
    uow.session.add(row)
    uow.session.flush()


def set_billing_party(row: TenantRow, party: BillingParty) -> None:
    row.legal_name = party.legal_name
    row.country = party.country
    row.siren = party.siren
    row.vat_id = party.vat_id
    row.address_line1 = party.address.line1
    row.address_line2 = party.address.line2
    row.postal_code = party.address.postal_code
    row.city = party.address.city
    row.address_country = party.address.country


def add_project(uow: UnitOfWork, project: Project) -> None:
    uow.session.add(
        ProjectRow(
            id=project.id,
            tenant_id=project.tenant_id,
            name=project.name,
            description=project.description,
            is_default=project.is_default,
            version=project.version,
            created_at=project.created_at,
            updated_at=project.updated_at,
        )
    )
    uow.session.flush()


def find_tenant(uow: UnitOfWork, tenant_id: TenantId) -> Tenant | None:
    row = uow.session.get(TenantRow, tenant_id)
    return None if row is None else to_tenant(row)


def find_status(uow: UnitOfWork, tenant_id: TenantId) -> TenantStatus | None:
    status = uow.session.scalar(select(TenantRow.status).where(TenantRow.id == tenant_id))
    return None if status is None else TenantStatus(status)


def list_existing(uow: UnitOfWork, tenant_ids: Collection[TenantId]) -> set[TenantId]:
    return set(uow.session.scalars(select(TenantRow.id).where(TenantRow.id.in_(tenant_ids))))


def list_project_owners(uow: UnitOfWork, project_ids: Collection[ProjectId]) -> dict[ProjectId, TenantId]:
    rows = uow.session.execute(
        select(ProjectRow.id, ProjectRow.tenant_id).where(ProjectRow.id.in_(project_ids))
    )
    return {row.id: row.tenant_id for row in rows}


def lock_tenant(uow: UnitOfWork, tenant_id: TenantId) -> TenantRow | None:
    """Return the row, locked until this transaction ends."""
    return uow.session.scalars(
        select(TenantRow)
        .where(TenantRow.id == tenant_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def lock_pending(uow: UnitOfWork) -> int:
    """Make other sign-ups wait until this transaction ends; return how many organizations wait for approval."""
    uow.session.execute(select(func.pg_advisory_xact_lock(7276)))
    return (
        uow.session.scalar(
            select(func.count()).select_from(TenantRow).where(TenantRow.status == TenantStatus.PENDING)
        )
        or 0
    )


def list_alike(uow: UnitOfWork, tenant: Tenant, *, limit: int) -> Sequence[Tenant]:
    """Other organizations, newest first, that may be of the same company: by name, SIREN or VAT number.

    A French VAT number ends in the company's SIREN (CGI ann. II art. 242), so that either finds the other.
    """
    party = tenant.billing_party
    same = [TenantRow.name == tenant.name, func.lower(TenantRow.legal_name) == party.legal_name.lower()]
    sirens = {party.siren} - {None}
    if party.vat_id is not None:
        same.append(TenantRow.vat_id == party.vat_id)
        if party.vat_id.startswith("FR"):
            sirens.add(party.vat_id[4:])
    for siren in sirens:
        same += [TenantRow.siren == siren, TenantRow.vat_id.like(f"FR__{siren}")]
    query = select(TenantRow).where(TenantRow.id != tenant.id, or_(*same))
    return [to_tenant(row) for row in uow.session.scalars(query.order_by(TenantRow.id.desc()).limit(limit))]


def list_tenants(
    uow: UnitOfWork, *, after: UUID | None, limit: int, statuses: Collection[TenantStatus] = ()
) -> Sequence[Tenant]:
    """Return up to `limit` tenants, newest first (platform transactions see all of them)."""
    query = select(TenantRow)
    if statuses:
        query = query.where(TenantRow.status.in_(statuses))
    if after is not None:
        query = query.where(TenantRow.id < TenantId(after))
    return [to_tenant(row) for row in uow.session.scalars(query.order_by(TenantRow.id.desc()).limit(limit))]


def list_open_default_projects(uow: UnitOfWork) -> dict[TenantId, ProjectId]:
    """Return the default project of each tenant that may call models."""
    rows = uow.session.execute(
        select(ProjectRow.tenant_id, ProjectRow.id)
        .join(TenantRow, TenantRow.id == ProjectRow.tenant_id)
        .where(ProjectRow.is_default, TenantRow.status.in_(OPEN_STATUSES))
    )
    return {row.tenant_id: row.id for row in rows}


def find_project(uow: UnitOfWork, tenant_id: TenantId, project_id: ProjectId) -> Project | None:
    row = uow.session.scalars(
        select(ProjectRow).where(ProjectRow.tenant_id == tenant_id, ProjectRow.id == project_id)
    ).one_or_none()
    return None if row is None else to_project(row)


def lock_project(uow: UnitOfWork, tenant_id: TenantId, project_id: ProjectId) -> ProjectRow | None:
    return uow.session.scalars(
        select(ProjectRow)
        .where(ProjectRow.tenant_id == tenant_id, ProjectRow.id == project_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def is_project_name_taken(uow: UnitOfWork, tenant_id: TenantId, name: str) -> bool:
    query = select(ProjectRow.id).where(ProjectRow.tenant_id == tenant_id, ProjectRow.name == name)
    return uow.session.scalar(query) is not None


def list_projects(
    uow: UnitOfWork, tenant_id: TenantId, *, after: UUID | None, limit: int, only: ProjectId | None = None
) -> Sequence[Project]:
    """Return up to `limit` projects, newest first; `only` narrows to one."""
    query = select(ProjectRow).where(ProjectRow.tenant_id == tenant_id)
    if only is not None:
        query = query.where(ProjectRow.id == only)
    if after is not None:
        query = query.where(ProjectRow.id < ProjectId(after))
    return [to_project(row) for row in uow.session.scalars(query.order_by(ProjectRow.id.desc()).limit(limit))]


def count_projects(uow: UnitOfWork, tenant_id: TenantId) -> int:
    return uow.session.scalar(select(func.count()).where(ProjectRow.tenant_id == tenant_id)) or 0


def delete_project(uow: UnitOfWork, tenant_id: TenantId, project_id: ProjectId) -> None:
    uow.session.execute(
        delete(ProjectRow).where(ProjectRow.tenant_id == tenant_id, ProjectRow.id == project_id)
    )


def list_quotas(uow: UnitOfWork, tenant_id: TenantId) -> Sequence[Quota]:
    """Return each limit as it binds the tenant: its own row, or else the platform's default.

    Of one that waits for approval no limit is higher than what all who wait may have.
    """
    is_pending = find_status(uow, tenant_id) is TenantStatus.PENDING
    rows = uow.session.execute(
        select(
            QuotaDefaultRow.name,
            QuotaDefaultRow.limit_count,
            QuotaRow.limit_count,
            QuotaDefaultRow.pending_count,
        )
        .join(
            QuotaRow,
            (QuotaRow.name == QuotaDefaultRow.name) & (QuotaRow.tenant_id == tenant_id),
            isouter=True,
        )
        .order_by(QuotaDefaultRow.name)
    )
    found = []
    for name, default, own, pending in rows:
        limit = default if own is None else own
        found.append(
            Quota(QuotaName(name), min(limit, pending) if is_pending else limit, is_default=own is None)
        )
    return found


def set_quota(uow: UnitOfWork, tenant_id: TenantId, name: QuotaName, limit: int) -> None:
    values = {"limit_count": limit, "updated_at": uow.now}
    uow.session.execute(
        insert(QuotaRow)
        .values(tenant_id=tenant_id, name=name.value, **values)
        .on_conflict_do_update(index_elements=["tenant_id", "name"], set_=values)
    )


def lock_quota(uow: UnitOfWork, tenant_id: TenantId, name: QuotaName) -> tuple[int, bool]:
    """Make others that count the same quota of the tenant wait until this transaction ends.

    Return the limit, and whether it is the one of those who wait for approval.
    The limit is as it stood when the lock was asked for. What is counted against it must be read afterwards.
    """
    lock = func.pg_advisory_xact_lock(func.hashtextextended(f"{tenant_id}|{name}", 7275))
    own = (
        select(QuotaRow.limit_count)
        .where(QuotaRow.tenant_id == tenant_id, QuotaRow.name == name.value)
        .scalar_subquery()
    )
    status = select(TenantRow.status).where(TenantRow.id == tenant_id).scalar_subquery()
    limit, pending, status_now, _ = uow.session.execute(
        select(
            func.coalesce(own, QuotaDefaultRow.limit_count), QuotaDefaultRow.pending_count, status, lock
        ).where(QuotaDefaultRow.name == name.value)
    ).one()
    if status_now == TenantStatus.PENDING and pending < limit:
        return int(pending), True
    return int(limit), False


def to_tenant(row: TenantRow) -> Tenant:
    address = Address(row.address_line1, row.address_line2, row.postal_code, row.city, row.address_country)
    return Tenant(
        id=row.id,
        name=row.name,
        status=TenantStatus(row.status),
        suspension_reason=row.suspension_reason,
        billing_party=BillingParty(row.legal_name, row.country, row.siren, row.vat_id, address),
        tax_zone=row.tax_zone,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        terms=row.terms,
        terms_accepted_at=row.terms_accepted_at,
    )


def to_project(row: ProjectRow) -> Project:
    return Project(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        description=row.description,
        is_default=row.is_default,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
