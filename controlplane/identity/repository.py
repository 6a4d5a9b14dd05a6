"""All SQL of the identity room."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, case, func, or_, select, text, update

from controlplane.identity.access_end_rules import NEVER_WARNED, WARNING_DAYS
from controlplane.identity.domain import ApiKey, KeyKind, Role, Scope
from controlplane.identity.models import ApiKeyRow
from controlplane.kernel.ids import ApiKeyId, TenantId
from controlplane.plumbing.database import UnitOfWork


def add(uow: UnitOfWork, key: ApiKey, key_hash: str, hash_key_id: str) -> None:
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
            hash_key_id=hash_key_id,
            last_four=key.last_four,
            created_at=key.created_at,
            created_by=key.created_by,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
            source=key.source,
        )
    )
    uow.session.flush()


def find_by_hash(uow: UnitOfWork, hashes: Sequence[str]) -> ApiKey | None:
    """Find a key by any of the hashes of its text."""
    row = uow.session.scalars(select(ApiKeyRow).where(ApiKeyRow.hash.in_(hashes))).one_or_none()
    return None if row is None else to_key(row)


def find(uow: UnitOfWork, tenant_id: TenantId | None, key_id: ApiKeyId) -> ApiKey | None:
    row = _row(uow, tenant_id, key_id)
    return None if row is None else to_key(row)


def find_for_update(uow: UnitOfWork, tenant_id: TenantId | None, key_id: ApiKeyId) -> ApiKey | None:
    row = uow.session.scalars(
        select(ApiKeyRow)
        .where(ApiKeyRow.tenant_id == tenant_id, ApiKeyRow.id == key_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    return None if row is None else to_key(row)


def list_keys(
    uow: UnitOfWork, tenant_id: TenantId | None, *, after: UUID | None, limit: int
) -> Sequence[ApiKey]:
    """Return up to `limit` keys, newest first."""
    query = select(ApiKeyRow).where(ApiKeyRow.tenant_id == tenant_id)
    if after is not None:
        query = query.where(ApiKeyRow.id < ApiKeyId(after))
    return [to_key(row) for row in uow.session.scalars(query.order_by(ApiKeyRow.id.desc()).limit(limit))]


def list_usable(uow: UnitOfWork, scope: Scope, *, of_a_tenant_max: int) -> Sequence[Row[Any]]:
    """Return the keys of all tenants that are neither revoked nor expired and hold the scope, oldest first.

    Of each tenant the oldest `of_a_tenant_max`: no number of keys of one tenant keeps another's out. Shape of a row:
    (id, hash, tenant_id, project_id, expires_at, revoked_at, scopes, place), `place` counted from 1 in its tenant.
    Plain rows: a hundred thousand objects would take longer than a revocation may.
    """
    place = func.row_number().over(partition_by=ApiKeyRow.tenant_id, order_by=ApiKeyRow.id).label("place")
    usable = (
        select(
            ApiKeyRow.id,
            ApiKeyRow.hash,
            ApiKeyRow.tenant_id,
            ApiKeyRow.project_id,
            ApiKeyRow.expires_at,
            ApiKeyRow.revoked_at,
            ApiKeyRow.scopes,
            place,
        )
        .where(ApiKeyRow.tenant_id.is_not(None), *_live(uow), ApiKeyRow.scopes.contains([scope.value]))
        .subquery()
    )
    # One more than the bound, so that whoever reads sees that it is met.
    query = select(usable).where(usable.c.place <= of_a_tenant_max + 1).order_by(usable.c.id)
    return uow.session.execute(query).all()


def count_live(uow: UnitOfWork, tenant_id: TenantId | None) -> int:
    return uow.session.scalar(select(func.count()).where(ApiKeyRow.tenant_id == tenant_id, *_live(uow))) or 0


def lock_keys(uow: UnitOfWork, tenant_id: TenantId | None) -> None:
    """Make others that end keys of the tenant (of the operator, for None) wait until this transaction ends."""
    name = f"keys|{tenant_id}"
    uow.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 7276))))


def list_keepers(uow: UnitOfWork, tenant_id: TenantId | None) -> Sequence[ApiKey]:
    """Return the live keys that can make keys for everything a tenant (or, for None, the operator) has."""
    role = Role.PLATFORM if tenant_id is None else Role.OWNER
    rows = uow.session.scalars(
        select(ApiKeyRow).where(
            ApiKeyRow.tenant_id == tenant_id,
            ApiKeyRow.role == role,
            ApiKeyRow.project_id.is_(None),
            ApiKeyRow.scopes.contains([Scope.MANAGE.value]),
            *_live(uow),
        )
    )
    return [to_key(row) for row in rows]


def list_ending(uow: UnitOfWork, within: timedelta, *, limit: int) -> Sequence[TenantId | None]:
    """Return the tenants (None: the operator) whose every keeper ends soon and who were not warned of it yet.

    A warning is due once for each of WARNING_DAYS; the soonest end comes first.
    """
    ends = func.max(
        func.coalesce(func.least(ApiKeyRow.expires_at, ApiKeyRow.revoked_at), text("'infinity'::timestamptz"))
    )
    due = case(
        *[(ends <= uow.now + timedelta(days=days), days) for days in sorted(WARNING_DAYS)], else_=NEVER_WARNED
    )
    rows = uow.session.execute(
        select(ApiKeyRow.tenant_id)
        .where(
            ApiKeyRow.role.in_([Role.OWNER, Role.PLATFORM]),
            ApiKeyRow.project_id.is_(None),
            ApiKeyRow.scopes.contains([Scope.MANAGE.value]),
            *_live(uow),
        )
        .group_by(ApiKeyRow.tenant_id)
        .having(
            ends <= uow.now + within,
            due < func.coalesce(func.min(ApiKeyRow.warned_days), NEVER_WARNED),
        )
        .order_by(ends)
        .limit(limit)
    )
    return [row.tenant_id for row in rows]


def set_warned(uow: UnitOfWork, key_ids: Sequence[ApiKeyId], days: int) -> None:
    uow.session.execute(update(ApiKeyRow).where(ApiKeyRow.id.in_(key_ids)).values(warned_days=days))


def set_revoked_at(
    uow: UnitOfWork, tenant_id: TenantId | None, key_id: ApiKeyId, revoked_at: datetime
) -> None:
    uow.session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.tenant_id == tenant_id, ApiKeyRow.id == key_id)
        .values(revoked_at=revoked_at)
    )


def rehash(uow: UnitOfWork, key_id: ApiKeyId, key_hash: str, hash_key_id: str) -> bool:
    """Store a key's hash under another secret; False when it is stored so already."""
    changed = uow.session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.id == key_id, ApiKeyRow.hash_key_id != hash_key_id)
        .values(hash=key_hash, hash_key_id=hash_key_id)
        .returning(ApiKeyRow.id)
    ).scalar_one_or_none()
    return changed is not None


def count_by_hash_key(uow: UnitOfWork) -> dict[str, int]:
    """Count the live keys by the secret that their hash was made with."""
    rows = uow.session.execute(
        select(ApiKeyRow.hash_key_id, func.count()).where(*_live(uow)).group_by(ApiKeyRow.hash_key_id)
    )
    return {str(row[0]): int(row[1]) for row in rows}


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


def _row(uow: UnitOfWork, tenant_id: TenantId | None, key_id: ApiKeyId) -> ApiKeyRow | None:
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
        source=row.source,
    )
