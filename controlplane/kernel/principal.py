"""Who is calling: the value that the edge hands down once a key or a session has been checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controlplane.kernel.ids import ApiKeyId, ProjectId, TenantId


class Role(StrEnum):
    """Roles of a tenant, strongest first; those of the platform operator's people; that of what reports usage to it.

    PLATFORM is the operator's administrator; the roles beside it hold what their work needs and no more.
    """

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    BILLING = "billing"
    AUDITOR = "auditor"
    VIEWER = "viewer"
    PLATFORM = "platform"
    PLATFORM_SRE = "platform_sre"
    PLATFORM_BILLING = "platform_billing"
    PLATFORM_AUDITOR = "platform_auditor"
    PRODUCER = "producer"


# Who may come in by the operator's door; what each may do there is in the matrix.
OPERATOR_ROLES = frozenset({Role.PLATFORM, Role.PLATFORM_SRE, Role.PLATFORM_BILLING, Role.PLATFORM_AUDITOR})
# Roles of keys that belong to no tenant.
INSTALLATION_ROLES = OPERATOR_ROLES | {Role.PRODUCER}


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller; `tenant_id` is None for the platform operator and its producers only.

    `source`: the one gateway or cell that a producer reports for; None for the first producers' key, for all.
    `is_suspended`: the organization may read what it has and owes, and change nothing.
    """

    key_id: ApiKeyId
    role: Role
    tenant_id: TenantId | None
    project_id: ProjectId | None = None
    source: str | None = None
    is_suspended: bool = False

    @property
    def is_platform(self) -> bool:
        return self.role in OPERATOR_ROLES and self.tenant_id is None

    @property
    def actor(self) -> str:
        """How audit and log lines name the caller."""
        return str(self.key_id)
