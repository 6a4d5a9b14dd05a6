"""Ways back in: warnings before the last key ends, and a recovery key from the operator."""

from __future__ import annotations

from datetime import datetime

from controlplane.audit import service as audit
from controlplane.identity import access_end_rules, repository
from controlplane.identity.domain import IssuedKey, KeyKind, Role
from controlplane.identity.service_keys import KeyMaker, KeyWish, issue_key
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy

# Long enough to make keys with, too short to become anybody's everyday key.
RECOVERY_DAYS = 7
WARNED_AT_ONCE_MAX = 500


def find_access_end(uow: UnitOfWork, tenant_id: TenantId | None) -> datetime | None:
    """Return when the tenant's (for None, the operator's) last key that can make keys ends, if that is soon."""
    ends_at = access_end_rules.access_ends_at(repository.list_keepers(uow, tenant_id))
    if ends_at is None or access_end_rules.warned_days(ends_at, uow.now) is None:
        return None
    return ends_at


def warn_of_ends(uow: UnitOfWork) -> int:
    """Write into the audit of each whose access ends soon that it does, once for each of WARNING_DAYS; say how many.

    `uow` is a platform transaction.
    """
    ending = repository.list_ending(uow, access_end_rules.WARNED_WITHIN, limit=WARNED_AT_ONCE_MAX)
    for tenant_id in ending:
        keepers = repository.list_keepers(uow, tenant_id)
        ends_at = access_end_rules.access_ends_at(keepers)
        days = None if ends_at is None else access_end_rules.warned_days(ends_at, uow.now)
        if ends_at is None or days is None:
            continue
        last = max(keepers, key=lambda key: key.ends_at or ends_at)
        audit.record(
            uow, tenant_id=tenant_id, actor="platform", action="access.ending", target=str(last.id),
            detail={"days_left": days, "ends_at": ends_at.isoformat()},
        )  # fmt: skip
        repository.set_warned(uow, [key.id for key in keepers], days)
    return len(ending)


def recover_access(
    uow: UnitOfWork, tenant_id: TenantId, reason: str, maker: KeyMaker, *, actor: str
) -> IssuedKey:
    """Give a tenant an owner's key for RECOVERY_DAYS, whatever became of its own (platform transaction).

    It stands in the tenant's audit and in the platform's. NotFound when there is no such tenant.
    """
    tenancy.get_tenant(uow, tenant_id)
    wish = KeyWish("recovery", Role.OWNER, KeyKind.PAT, expires_in_days=RECOVERY_DAYS)
    issued = issue_key(uow, tenant_id, wish, maker, actor=actor)
    for chain in (tenant_id, None):
        audit.record(
            uow, tenant_id=chain, actor=actor, action="organization.access_recovered", target=str(tenant_id),
            detail={"reason": reason, "key_id": str(issued.key.id)},
        )  # fmt: skip
    return issued
