"""API keys as values, and the words of authorization for the rooms above."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controlplane.kernel.access import Action, Authorize, Resource
from controlplane.kernel.ids import ApiKeyId, ProjectId, TenantId
from controlplane.kernel.principal import Principal, Role

__all__ = [
    "Action",
    "ApiKey",
    "Authorize",
    "IssuedKey",
    "KeyKind",
    "KeyState",
    "Principal",
    "Resource",
    "Role",
    "Scope",
]


class KeyKind(StrEnum):
    """Who holds a key: a person (`pat`), a service account (`svc`), the platform operator (`adm`)."""

    PAT = "pat"
    SVC = "svc"
    ADM = "adm"


class Scope(StrEnum):
    """Which door a key opens: the control plane's API, or the gateway that serves models."""

    MANAGE = "manage"
    INFERENCE = "inference"


class KeyState(StrEnum):
    """What a key is worth at an instant; derived, never stored."""

    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is known after its creation: everything but the key itself.

    `last_used_at` is coarse: up to a minute older than the last call. `project_id` binds it to one project.
    """

    id: ApiKeyId
    tenant_id: TenantId | None
    project_id: ProjectId | None
    name: str
    kind: KeyKind
    role: Role
    scopes: frozenset[Scope]
    last_four: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    source: str | None = None

    @property
    def ends_at(self) -> datetime | None:
        """When it stops working by itself: its expiry, or the end of the overlap after a roll; None: never."""
        return min((end for end in (self.expires_at, self.revoked_at) if end is not None), default=None)

    def state(self, now: datetime) -> KeyState:
        if self.revoked_at is not None and self.revoked_at <= now:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key together with its text, which is shown once and stored nowhere."""

    key: ApiKey
    secret: str

    def __repr__(self) -> str:
        return f"IssuedKey({self.key.id})"
