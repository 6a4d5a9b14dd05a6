"""Use cases of identity: check a key, decide what its holder may do."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime

from controlplane.identity import access_rules, key_rules, repository
from controlplane.identity.domain import ApiKey, KeyState, Principal, Scope
from controlplane.identity.recent_uses import RecentUses
from controlplane.identity.service_access import find_access_end, recover_access, warn_of_ends
from controlplane.identity.service_keys import (
    KeyMaker,
    KeyWish,
    create_key,
    get_key,
    issue_key,
    list_keys,
    record_use,
    register_operator_key,
    revoke_key,
    roll_key,
)
from controlplane.identity.service_operator_keys import (
    create_operator_key,
    get_operator_key,
    list_operator_keys,
    revoke_operator_key,
    roll_operator_key,
)
from controlplane.identity.service_signup import SignedUp, sign_up
from controlplane.identity.service_snapshot import build_snapshot
from controlplane.kernel.access import Action, Resource, tenant_of
from controlplane.kernel.errors import Forbidden, NotFound, Suspended, Unauthenticated
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.keyring import Keyring
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import OPEN_STATUSES

__all__ = [
    "KeyHolder",
    "KeyMaker",
    "KeyWish",
    "RecentUses",
    "SignedUp",
    "admit",
    "authenticate",
    "build_snapshot",
    "count_by_hash_key",
    "create_key",
    "create_operator_key",
    "explain",
    "find_access_end",
    "get_key",
    "get_operator_key",
    "issue_key",
    "list_keys",
    "list_operator_keys",
    "look_up",
    "record_use",
    "recover_access",
    "register_operator_key",
    "require",
    "require_open",
    "require_platform",
    "require_project",
    "require_tenant",
    "revoke_key",
    "revoke_operator_key",
    "roll_key",
    "roll_operator_key",
    "sign_up",
    "to_principal",
    "warn_of_ends",
]

# Methods that change nothing (RFC 9110 §9.2.1).
READING = frozenset({"GET", "HEAD"})
# An unknown key has a tenant looked up too, so that its answer takes the same way through the database.
_NO_TENANT = TenantId(uuid.UUID(int=0))


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whose key was sent, whether or not it opens anything any more; `key` is None for one that nobody has."""

    key: ApiKey | None
    is_open: bool


def look_up(uow: UnitOfWork, raw_key: str, ring: Keyring) -> KeyHolder:
    """Find whose key this is; `uow` is a platform transaction (the tenant is not known yet), maybe read-only."""
    key = repository.find_by_hash(uow, key_rules.list_hashes(ring, raw_key))
    status = tenancy.find_status(uow, _NO_TENANT if key is None or key.tenant_id is None else key.tenant_id)
    known = key if key_rules.is_well_formed(raw_key) else None
    return KeyHolder(known, status in OPEN_STATUSES)


def authenticate(uow: UnitOfWork, raw_key: str, ring: Keyring) -> Principal:
    """Turn the text of a key into its holder. Errors: those of `admit`."""
    return admit(look_up(uow, raw_key, ring), uow.now)


def admit(holder: KeyHolder, now: datetime) -> Principal:
    """Say what the holder of a key comes in as.

    Errors: Unauthenticated for an unknown, expired or revoked key;
    Forbidden for a key that opens only the gateway. Only who holds a real key learns which of these it is.
    """
    key = holder.key
    if key is None:
        raise Unauthenticated("The API key is not valid.")
    state = key.state(now)
    if state is KeyState.REVOKED:
        raise Unauthenticated(f"The API key {key.id} has been revoked.", reason="revoked_key")
    if state is KeyState.EXPIRED:
        raise Unauthenticated(f"The API key {key.id} has expired; create a new one.", reason="expired_key")
    if Scope.MANAGE not in key.scopes:
        raise Forbidden("This API key may only call models on the gateway; it lacks the scope 'manage'.")
    is_suspended = key.tenant_id is not None and not holder.is_open
    return replace(to_principal(key), is_suspended=is_suspended)


def require_open(principal: Principal, method: str) -> None:
    """Raise Suspended for a change that a suspended organization asks for.

    It goes on reading: what it owes and the documents that say so stay within reach (code de commerce art. L441-9:
    an invoice is delivered), and so do its own data (GDPR art. 15).
    """
    if principal.is_suspended and method not in READING:
        raise Suspended(
            "The organization of this API key is suspended or was refused: it can read, and change nothing, until the "
            "platform operator lets it in again."
        )


def count_by_hash_key(uow: UnitOfWork) -> dict[str, int]:
    """Count live keys by the id of the secret that their hash was made with (platform transaction)."""
    return repository.count_by_hash_key(uow)


def to_principal(key: ApiKey) -> Principal:
    return Principal(key.id, key.role, key.tenant_id, key.project_id, key.source)


def explain(principal: Principal, resource: Resource, action: Action) -> access_rules.AccessDecision:
    """Say whether the caller may, and why."""
    return access_rules.explain(principal, resource, action)


def require(principal: Principal, resource: Resource, action: Action) -> None:
    """Raise Forbidden, with the reason in a sentence, unless the caller may do `action` to `resource`."""
    decision = access_rules.explain(principal, resource, action)
    if not decision.is_allowed:
        raise Forbidden(decision.reason)


def require_platform(principal: Principal) -> None:
    """Raise Forbidden unless the caller is of the platform operator: first line of handlers under /v1/admin."""
    if not principal.is_platform:
        raise Forbidden("Only the platform operator may do this.")


def require_tenant(principal: Principal) -> TenantId:
    """Return the caller's tenant; Forbidden for the platform operator, who has none."""
    return tenant_of(principal)


def require_project(principal: Principal, project_id: ProjectId) -> None:
    """Raise NotFound when the caller's key is bound to another project: what lies there is not revealed."""
    if principal.project_id is not None and principal.project_id != project_id:
        raise NotFound(f"There is no project {project_id} for this key.")
