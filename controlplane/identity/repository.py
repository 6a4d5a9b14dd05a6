"""All SQL of the identity room."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update

from controlplane.identity.domain import ApiKey, KeyKind, Role, Scope
from controlplane.identity.models import ApiKeyRow
from controlplane.kernel.ids import ApiKeyId, TenantId
from controlplane.plumbing.database import UnitOfWork


def add(uow: UnitOfWork, key: ApiKey, key_hash: str) -> None:
    uow.session.add(
        ApiKeyRow(
            id=key.id,
            tenant_id=key.tenant_id,
            project_id=key.project_id,
            name=key.name,
            kind=key.kind,
            role=key.role,
            scopes=sorted(key.scopes),
            hash=key_hash,
            last_four=key.last_four,
            created_at=key.created_at,
            created_by=key.created_by,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )
    )
    uow.session.flush()


def find_by_hash(uow: UnitOfWork, key_hash: str) -> ApiKey | None:
    row = uow.session.scalars(select(ApiKeyRow).where(ApiKeyRow.hash == key_hash)).one_or_none()
    return None if row is None else to_key(row)


def find(uow: UnitOfWork, tenant_id: TenantId, key_id: ApiKeyId) -> ApiKey | None:
    row = _row(uow, tenant_id, key_id)
    return None if row is None else to_key(row)


def find_for_update(uow: UnitOfWork, tenant_id: TenantId, key_id: ApiKeyId) -> ApiKey | None:
    row = uow.session.scalars(
        select(ApiKeyRow)
        .where(ApiKeyRow.tenant_id == tenant_id, ApiKeyRow.id == key_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    return None if row is None else to_key(row)


def list_keys(uow: UnitOfWork, tenant_id: TenantId, *, after: UUID | None, limit: int) -> Sequence[ApiKey]:
    """Return up to `limit` keys, newest first."""
    query = select(ApiKeyRow).where(ApiKeyRow.tenant_id == tenant_id)
    if after is not None:
        query = query.where(ApiKeyRow.id < ApiKeyId(after))
    return [to_key(row) for row in uow.session.scalars(query.order_by(ApiKeyRow.id.desc()).limit(limit))]


def list_usable(uow: UnitOfWork, scope: Scope, *, limit: int) -> Sequence[tuple[ApiKey, str]]:
    """Return all tenants' keys that are neither revoked nor expired and hold the scope, with their hashes."""
    rows = uow.session.scalars(
        select(ApiKeyRow)
        .where(
            ApiKeyRow.tenant_id.is_not(None),
            *_live(uow),
            ApiKeyRow.scopes.contains([scope.value]),
        )
        .order_by(ApiKeyRow.id)
        .limit(limit)
    )
    return [(to_key(row), row.hash) for row in rows]


def count_live(uow: UnitOfWork, tenant_id: TenantId) -> int:
    return uow.session.scalar(select(func.count()).where(ApiKeyRow.tenant_id == tenant_id, *_live(uow))) or 0


def count_other_owners(uow: UnitOfWork, tenant_id: TenantId, key_id: ApiKeyId) -> int:
    """Count the tenant's live owner keys of the whole organization besides one, locked against revocation."""
    rows = uow.session.scalars(
        select(ApiKeyRow.id)
        .where(
            ApiKeyRow.tenant_id == tenant_id,
            ApiKeyRow.id != key_id,
            ApiKeyRow.role == Role.OWNER,
            ApiKeyRow.project_id.is_(None),
            ApiKeyRow.scopes.contains([Scope.MANAGE.value]),
            ApiKeyRow.revoked_at.is_(None),
            *_live(uow),
        )
        .with_for_update()
    )
    return len(rows.all())


def set_revoked_at(uow: UnitOfWork, tenant_id: TenantId, key_id: ApiKeyId, revoked_at: datetime) -> None:
    uow.session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.tenant_id == tenant_id, ApiKeyRow.id == key_id)
        .values(revoked_at=revoked_at)
    )


def touch(uow: UnitOfWork, key_id: ApiKeyId, not_since: datetime) -> bool:
    """Record a use unless one was recorded after `not_since`; two processes write once."""
    touched = uow.session.execute(
        update(ApiKeyRow)
        .where(
            ApiKeyRow.id == key_id,
            or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at <= not_since),
        )
        .values(last_used_at=uow.now)
        .returning(ApiKeyRow.id)
    ).scalar_one_or_none()
    return touched is not None


def _live(uow: UnitOfWork) -> tuple[ColumnElement[bool], ...]:
    return (
        or_(ApiKeyRow.revoked_at.is_(None), ApiKeyRow.revoked_at > uow.now),
        or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > uow.now),
    )


def _row(uow: UnitOfWork, tenant_id: TenantId, key_id: ApiKeyId) -> ApiKeyRow | None:
    return uow.session.scalars(
        select(ApiKeyRow).where(ApiKeyRow.tenant_id == tenant_id, ApiKeyRow.id == key_id)
    ).one_or_none()


def to_key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        name=row.name,
        kind=KeyKind(row.kind),
        role=Role(row.role),
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        last_four=row.last_four,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
