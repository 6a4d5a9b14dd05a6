"""Keys of the operator's own people and of what reports usage to it: made, rolled, revoked like a tenant's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from controlplane.identity import key_rules, repository
from controlplane.identity.domain import ApiKey, IssuedKey, KeyKind, KeyState, Role
from controlplane.identity.service_keys import (
    KeyMaker,
    KeyWish,
    get_key,
    issue_key,
    list_keys,
    no_key,
    record_change,
)
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput
from controlplane.kernel.ids import ApiKeyId
from controlplane.kernel.principal import INSTALLATION_ROLES
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork


def create_operator_key(
    uow: UnitOfWork,
    name: str,
    role: Role,
    expires_in_days: int,
    source: str | None,
    maker: KeyMaker,
    *,
    actor: str,
) -> IssuedKey:
    """Make a key of the installation (platform transaction).

    `source` is what a producer reports for ("/gateways/<name>", "/cells/<name>"): it may report for nothing else.
    Errors: InvalidInput for a role or life that cannot be, and for a source that does not go with the role.
    """
    if role not in INSTALLATION_ROLES:
        raise InvalidInput(
            "The operator has no such role.", fields=(FieldProblem("role", "belongs to organizations"),)
        )
    if (source is not None) != (role is Role.PRODUCER):
        said = (
            "is needed: say what this producer reports for" if source is None else "goes with producers alone"
        )
        raise InvalidInput("The source does not go with the role.", fields=(FieldProblem("source", said),))
    wish = KeyWish(name, role, KeyKind.ADM, expires_in_days=expires_in_days, source=source)
    return issue_key(uow, None, wish, maker, actor=actor)


def list_operator_keys(uow: UnitOfWork, *, after: UUID | None, limit: int) -> Page[ApiKey]:
    return list_keys(uow, None, after=after, limit=limit)


def get_operator_key(uow: UnitOfWork, key_id: ApiKeyId) -> ApiKey:
    return get_key(uow, None, key_id)


def revoke_operator_key(uow: UnitOfWork, key_id: ApiKeyId, *, actor: str) -> ApiKey:
    """Refuse a key from now on; again is the same. Conflict for the last administrator's key."""
    key = _lock(uow, key_id)
    if key.state(uow.now) is KeyState.REVOKED:
        return key
    if key.role is Role.PLATFORM:
        repository.lock_keys(uow, None)
        if all(keeper.id == key.id for keeper in repository.list_keepers(uow, None)):
            raise Conflict("This is the operator's last administrator key; create or roll one first.")
    repository.set_revoked_at(uow, None, key_id, uow.now)
    record_change(uow, key, actor, "api_key.revoked")
    return replace(key, revoked_at=uow.now)


def roll_operator_key(
    uow: UnitOfWork, key_id: ApiKeyId, overlap_hours: int, maker: KeyMaker, *, actor: str
) -> tuple[IssuedKey, ApiKey]:
    """Make a key like this one and end this one after the overlap; return the new and the old."""
    if not 0 <= overlap_hours <= key_rules.OVERLAP_HOURS_MAX:
        raise InvalidInput(f"The overlap lies between 0 and {key_rules.OVERLAP_HOURS_MAX} hours.")
    old = _lock(uow, key_id)
    if old.state(uow.now) is not KeyState.ACTIVE or old.revoked_at is not None:
        raise Conflict("Only an active key that was not rolled before can be rolled; create a new one.")
    # The installation's first keys have no end; their successors have one.
    days = key_rules.EXPIRES_IN_DAYS_MAX
    if old.expires_at is not None:
        days = max(1, min((old.expires_at - old.created_at).days, days))
    wish = KeyWish(old.name, old.role, old.kind, scopes=old.scopes, expires_in_days=days, source=old.source)
    issued = issue_key(uow, None, wish, maker, actor=actor)
    ends_at = uow.now + timedelta(hours=overlap_hours)
    repository.set_revoked_at(uow, None, key_id, ends_at)
    record_change(uow, old, actor, "api_key.rolled")
    return issued, replace(old, revoked_at=ends_at)


def _lock(uow: UnitOfWork, key_id: ApiKeyId) -> ApiKey:
    key = repository.find_for_update(uow, None, key_id)
    if key is None:
        raise no_key(key_id)
    return key
