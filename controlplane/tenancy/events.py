"""What tenancy tells other rooms. Amounts none; ids in wire form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.kernel.events import JsonValue, TenantEvent
from controlplane.kernel.ids import ProjectId


@dataclass(frozen=True, slots=True)
class _TenantFact(TenantEvent):
    def payload(self) -> Mapping[str, JsonValue]:
        return {"tenant_id": str(self.tenant_id)}


@dataclass(frozen=True, slots=True)
class TenantCreated(_TenantFact):
    topic: ClassVar[str] = "tenant.created"


@dataclass(frozen=True, slots=True)
class TenantApproved(_TenantFact):
    topic: ClassVar[str] = "tenant.approved"


@dataclass(frozen=True, slots=True)
class TenantRefused(_TenantFact):
    topic: ClassVar[str] = "tenant.refused"


@dataclass(frozen=True, slots=True)
class TenantSuspended(_TenantFact):
    topic: ClassVar[str] = "tenant.suspended"


@dataclass(frozen=True, slots=True)
class TenantResumed(_TenantFact):
    topic: ClassVar[str] = "tenant.resumed"


@dataclass(frozen=True, slots=True)
class BillingPartyChanged(_TenantFact):
    topic: ClassVar[str] = "tenant.billing_party_changed"


@dataclass(frozen=True, slots=True)
class _ProjectFact(TenantEvent):
    project_id: ProjectId

    def payload(self) -> Mapping[str, JsonValue]:
        return {"tenant_id": str(self.tenant_id), "project_id": str(self.project_id)}


@dataclass(frozen=True, slots=True)
class ProjectCreated(_ProjectFact):
    topic: ClassVar[str] = "project.created"


@dataclass(frozen=True, slots=True)
class ProjectDeleted(_ProjectFact):
    topic: ClassVar[str] = "project.deleted"
