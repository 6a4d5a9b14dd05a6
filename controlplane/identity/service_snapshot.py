"""What gateways must know of keys: `rempart:keys` of docs/contracts.md."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from controlplane.identity import repository
from controlplane.identity.domain import Scope
from controlplane.kernel.events import JsonValue
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy

log = structlog.get_logger()

KEYS_OF_A_TENANT_MAX = 10_000
"""Of one tenant, some 2.7 MB of JSON: each change of any key is built, carried and read with it in half a second. A
tenant with more loses its own newest keys, nobody else's."""


def build_snapshot(uow: UnitOfWork, generated_at: datetime) -> dict[str, JsonValue]:
    """Return the keys that may call models now: live, of an active tenant, with the scope `inference`.

    A key that is bound to no project (`is_bound` false) calls in the tenant's default project, or in the one that a
    call names. `generated_at` is the real time, not the installation's simulated one: gateways compare it with their
    own clock. `version` is that instant in microseconds, so that it grows from one snapshot to the next, whichever
    worker writes it.
    """
    projects = tenancy.list_calling_projects(uow)
    keys: list[JsonValue] = []
    over: set[TenantId] = set()
    for row in repository.list_usable(uow, Scope.INFERENCE, of_a_tenant_max=KEYS_OF_A_TENANT_MAX):
        if row.tenant_id not in projects:
            continue
        if row.place > KEYS_OF_A_TENANT_MAX:
            over.add(row.tenant_id)
            continue
        keys.append(
            {
                "key_id": str(row.id),
                "hash": row.hash,
                "tenant_id": str(row.tenant_id),
                "project_id": str(row.project_id or projects[row.tenant_id]),
                "is_bound": row.project_id is not None,
                "expires_at": _end(row.expires_at, row.revoked_at),
                "scopes": sorted(row.scopes),
            }
        )
    for tenant_id in sorted(over):
        log.error("key_snapshot_bound_met", tenant=str(tenant_id), keys_max=KEYS_OF_A_TENANT_MAX)
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
