"""Who is calling: the value that the edge hands down once a key or a session has been checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controlplane.kernel.ids import ApiKeyId, ProjectId, TenantId


class Role(StrEnum):
    """Roles of a tenant, strongest first, the platform operator's own, and that of what reports usage to it."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    BILLING = "billing"
    AUDITOR = "auditor"
    VIEWER = "viewer"
    PLATFORM = "platform"
    PRODUCER = "producer"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller; `tenant_id` is None for the platform operator and its producers only."""

    key_id: ApiKeyId
    role: Role
    tenant_id: TenantId | None
    project_id: ProjectId | None = None

    @property
    def is_platform(self) -> bool:
        return self.role is Role.PLATFORM

    @property
    def actor(self) -> str:
        """How audit and log lines name the caller."""
        return str(self.key_id)
