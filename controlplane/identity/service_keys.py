"""Use cases of API keys: create, list, revoke, roll; the operator's key; a key's use."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from controlplane.audit import service as audit
from controlplane.identity import access_rules, key_rules, repository
from controlplane.identity.domain import ApiKey, IssuedKey, KeyKind, KeyState, Principal, Role, Scope
from controlplane.identity.events import ApiKeyChanged
from controlplane.identity.recent_uses import USE_RECORDED_EACH
from controlplane.kernel.errors import Conflict, FieldProblem, Forbidden, InvalidInput, NotFound
from controlplane.kernel.ids import ApiKeyId, ProjectId, TenantId
from controlplane.kernel.keyring import Keyring
from controlplane.kernel.principal import INSTALLATION_ROLES
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import QuotaName

# Every key may have a rolled one beside it until the overlap ends, and no more than that.
ROLLED_TIMES = 2

# How the installation's first keys are called; none of them belongs to a tenant.
_FIRST_NAMES = {Role.PLATFORM: "platform operator", Role.PRODUCER: "usage producers"}


@dataclass(frozen=True, slots=True)
class KeyMaker:
    """What making a key needs: the secrets that key hashes, and `live` or `local` for the key's text."""

    ring: Keyring
    environment: str


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a caller wants a key to be; `scopes` None means all that the role allows."""

    name: str
    role: Role
    kind: KeyKind = KeyKind.SVC
    project_id: ProjectId | None = None
    scopes: frozenset[Scope] | None = None
    expires_in_days: int = key_rules.EXPIRES_IN_DAYS_DEFAULT
    source: str | None = None


def create_key(uow: UnitOfWork, principal: Principal, wish: KeyWish, maker: KeyMaker) -> IssuedKey:
    """Make a key of the caller's tenant.

    Errors: Forbidden for a role stronger than the caller's, InvalidInput for scopes or a life that cannot be,
    NotFound for a project that is not the tenant's, QuotaExceeded for more live keys than the tenant may have.
    """
    if wish.role in INSTALLATION_ROLES or wish.kind is KeyKind.ADM:
        problem = FieldProblem("role", "belongs to the platform operator")
        raise InvalidInput("An organization has no platform keys.", fields=(problem,))
    if not access_rules.may_grant(principal.role, wish.role):
        raise Forbidden(f"A key with the role {principal.role} cannot make one with the role {wish.role}.")
    tenancy.check_quota(uow, QuotaName.API_KEYS, lambda: repository.count_live(uow, uow.tenant))
    return issue_key(uow, uow.tenant, wish, maker, actor=principal.actor)


def issue_key(
    uow: UnitOfWork, tenant_id: TenantId | None, wish: KeyWish, maker: KeyMaker, *, actor: str
) -> IssuedKey:
    """Make a key of a tenant (for None, of the installation); who may have it the caller has asked."""
    scopes = key_rules.decide_scopes(wish.role, wish.scopes)
    expires_at = key_rules.decide_expiry(uow.now, wish.expires_in_days)
    if wish.project_id is not None:
        assert tenant_id is not None
        tenancy.get_project(uow, tenant_id, wish.project_id)
    secret = key_rules.build_key(wish.kind, maker.environment, secrets.token_bytes(key_rules.RANDOM_BYTES))
    key = ApiKey(
        id=ApiKeyId.new(),
        tenant_id=tenant_id,
        project_id=wish.project_id,
        name=wish.name,
        kind=wish.kind,
        role=wish.role,
        scopes=scopes,
        last_four=secret[-4:],
        created_at=uow.now,
        created_by=actor,
        expires_at=expires_at,
        revoked_at=None,
        last_used_at=None,
        source=wish.source,
    )
    writing = maker.ring.current
    repository.add(uow, key, key_rules.hash_key(writing.value, secret), writing.id)
    record_change(uow, key, actor, "api_key.created")
    return IssuedKey(key, secret)


def get_key(uow: UnitOfWork, tenant_id: TenantId | None, key_id: ApiKeyId) -> ApiKey:
    key = repository.find(uow, tenant_id, key_id)
    if key is None:
        raise no_key(key_id)
    return key


def list_keys(uow: UnitOfWork, tenant_id: TenantId | None, *, after: UUID | None, limit: int) -> Page[ApiKey]:
    rows = repository.list_keys(uow, tenant_id, after=after, limit=limit + 1)
    return Page.of(rows, limit, lambda key: key.id.value)


def revoke_key(uow: UnitOfWork, principal: Principal, key_id: ApiKeyId) -> ApiKey:
    """Refuse a key from now on; again is the same. Conflict for the last key of an owner."""
    key = _lock_grantable(uow, principal, key_id)
    if key.state(uow.now) is KeyState.REVOKED:
        return key
    if _is_owners(key):
        repository.lock_keys(uow, uow.tenant)
        _keep_an_owner(uow, key)
    repository.set_revoked_at(uow, uow.tenant, key_id, uow.now)
    record_change(uow, key, principal.actor, "api_key.revoked")
    return replace(key, revoked_at=uow.now)


def roll_key(
    uow: UnitOfWork, principal: Principal, key_id: ApiKeyId, overlap_hours: int, maker: KeyMaker
) -> tuple[IssuedKey, ApiKey]:
    """Make a key like this one and end this one after the overlap; return the new and the old."""
    if not 0 <= overlap_hours <= key_rules.OVERLAP_HOURS_MAX:
        raise InvalidInput(f"The overlap lies between 0 and {key_rules.OVERLAP_HOURS_MAX} hours.")
    old = _lock_grantable(uow, principal, key_id)
    if old.state(uow.now) is not KeyState.ACTIVE or old.revoked_at is not None:
        raise Conflict("Only an active key that was not rolled before can be rolled; create a new one.")
    assert old.expires_at is not None
    tenancy.check_quota(
        uow, QuotaName.API_KEYS, lambda: repository.count_live(uow, uow.tenant), times=ROLLED_TIMES
    )
    lifetime = min((old.expires_at - old.created_at).days, key_rules.EXPIRES_IN_DAYS_MAX)
    wish = KeyWish(old.name, old.role, old.kind, old.project_id, old.scopes, max(1, lifetime))
    issued = issue_key(uow, uow.tenant, wish, maker, actor=principal.actor)
    ends_at = uow.now + timedelta(hours=overlap_hours)
    repository.set_revoked_at(uow, uow.tenant, key_id, ends_at)
    record_change(uow, old, principal.actor, "api_key.rolled")
    return issued, replace(old, revoked_at=ends_at)


def register_operator_key(
    uow: UnitOfWork, secret: str, ring: Keyring, role: Role = Role.PLATFORM, source: str | None = None
) -> bool:
    """Make a text the platform operator's key, or a producer's; False when it is that already.

    `uow` is a platform transaction. A producer (a gateway, a cell's operators) may report usage and nothing else.
    Errors: InvalidInput for a text that is no operator key, Conflict for one that was revoked or has another role.
    """
    if not key_rules.is_well_formed(secret) or not secret.startswith(f"rmp_{KeyKind.ADM}_"):
        raise InvalidInput("The text is not an operator key (rmp_adm_…).")
    known = repository.find_by_hash(uow, key_rules.list_hashes(ring, secret))
    if known is not None:
        if known.state(uow.now) is not KeyState.ACTIVE:
            raise Conflict(
                f"The operator key {known.id} has been revoked; remove the file to make a new one."
            )
        if known.role is not role:
            raise Conflict(f"The key {known.id} has the role {known.role}, not {role}.")
        if known.source != source:
            raise Conflict(
                f"The key {known.id} reports for {known.source or 'all'}, not for {source or 'all'}."
            )
        return False
    key = ApiKey(
        id=ApiKeyId.new(),
        tenant_id=None,
        project_id=None,
        name=source or _FIRST_NAMES[role],
        kind=KeyKind.ADM,
        role=role,
        scopes=frozenset({Scope.MANAGE}),
        last_four=secret[-4:],
        created_at=uow.now,
        created_by="seed",
        expires_at=None,
        revoked_at=None,
        last_used_at=None,
        source=source,
    )
    repository.add(uow, key, key_rules.hash_key(ring.current.value, secret), ring.current.id)
    record_change(uow, key, "seed", "api_key.created")
    return True


def record_use(uow: UnitOfWork, key_id: ApiKeyId, secret: str = "", ring: Keyring | None = None) -> None:
    """Note that a key was used, at most once in USE_RECORDED_EACH over all processes (platform transaction).

    With its text and the secrets, its hash is brought under the secret that writes now: only here is the text known.
    """
    repository.touch(uow, key_id, uow.now - USE_RECORDED_EACH)
    if ring is None:
        return
    writing = ring.current
    if repository.rehash(uow, key_id, key_rules.hash_key(writing.value, secret), writing.id):
        uow.emit(ApiKeyChanged(key_id, None))


def _lock_grantable(uow: UnitOfWork, principal: Principal, key_id: ApiKeyId) -> ApiKey:
    key = repository.find_for_update(uow, uow.tenant, key_id)
    if key is None:
        raise no_key(key_id)
    if not access_rules.may_grant(principal.role, key.role):
        raise Forbidden(f"A key with the role {principal.role} cannot change one with the role {key.role}.")
    return key


def _is_owners(key: ApiKey) -> bool:
    return key.role is Role.OWNER and key.project_id is None and Scope.MANAGE in key.scopes


def _keep_an_owner(uow: UnitOfWork, key: ApiKey) -> None:
    """Without any owner's key nobody could make keys any more."""
    if all(keeper.id == key.id for keeper in repository.list_keepers(uow, uow.tenant)):
        raise Conflict("This is the organization's last owner key; create or roll one first.")


def record_change(uow: UnitOfWork, key: ApiKey, actor: str, action: str) -> None:
    audit.record(
        uow, tenant_id=key.tenant_id, actor=actor, action=action, target=str(key.id),
        detail={"role": key.role.value, "kind": key.kind.value, "name": key.name},
    )  # fmt: skip
    uow.emit(ApiKeyChanged(key.id, key.tenant_id))


def no_key(key_id: ApiKeyId) -> NotFound:
    return NotFound(f"There is no API key {key_id}.")
