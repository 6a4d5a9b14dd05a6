"""What identity tells other rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.kernel.events import DomainEvent, JsonValue
from controlplane.kernel.ids import ApiKeyId, TenantId


@dataclass(frozen=True, slots=True)
class ApiKeyChanged(DomainEvent):
    """A key was made, rolled or revoked: the gateways' snapshot is out of date."""

    topic: ClassVar[str] = "api_key.changed"
    key_id: ApiKeyId
    tenant_id: TenantId | None

    @property
    def tenant(self) -> TenantId | None:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"key_id": str(self.key_id)}
