"""What gateways must know of keys: `rempart:keys` of docs/contracts.md."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from controlplane.identity import repository
from controlplane.identity.domain import Scope
from controlplane.kernel.events import JsonValue
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy

log = structlog.get_logger()

# Some 25 MB of JSON: what a gateway reads in a second. Beyond it, keys must be split among gateways.
SNAPSHOT_KEYS_MAX = 100_000


def build_snapshot(uow: UnitOfWork, generated_at: datetime) -> dict[str, JsonValue]:
    """Return the keys that may call models now: live, of an active tenant, with the scope `inference`.

    A key that is bound to no project calls in the tenant's default project. `generated_at` is the real time, not
    the installation's simulated one: gateways compare it with their own clock. `version` is that instant in
    microseconds, so that it grows from one snapshot to the next, whichever worker writes it.
    """
    projects = tenancy.list_calling_projects(uow)
    usable = repository.list_usable(uow, Scope.INFERENCE, limit=SNAPSHOT_KEYS_MAX + 1)
    if len(usable) > SNAPSHOT_KEYS_MAX:
        log.error("key_snapshot_truncated", keys_max=SNAPSHOT_KEYS_MAX)
    keys: list[JsonValue] = []
    for key, key_hash in usable[:SNAPSHOT_KEYS_MAX]:
        if key.tenant_id is None or key.tenant_id not in projects:
            continue
        keys.append(
            {
                "key_id": str(key.id),
                "hash": key_hash,
                "tenant_id": str(key.tenant_id),
                "project_id": str(key.project_id or projects[key.tenant_id]),
                "expires_at": _end(key.expires_at, key.revoked_at),
                "scopes": [scope.value for scope in sorted(key.scopes)],
            }
        )
    return {
        "version": int(generated_at.timestamp()) * 1_000_000 + generated_at.microsecond,
        "generated_at": _text(generated_at),
        "keys": keys,
    }


def _end(expires_at: datetime | None, revoked_at: datetime | None) -> str | None:
    """A rolled key ends with its overlap; the gateway knows only one end."""
    ends = [instant for instant in (expires_at, revoked_at) if instant is not None]
    return _text(min(ends)) if ends else None


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
