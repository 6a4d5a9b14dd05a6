"""What the deployments room tells, itself and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.kernel.events import DomainEvent, JsonValue
from controlplane.kernel.ids import DeploymentId, RegionalDeploymentId, ServiceId, TenantId


@dataclass(frozen=True, slots=True)
class DeploymentCreated(DomainEvent):
    """A service has a new immutable version that wants a place."""

    topic: ClassVar[str] = "deployment.created"
    tenant_id: TenantId
    service_id: ServiceId
    deployment_id: DeploymentId

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"service_id": str(self.service_id), "deployment_id": str(self.deployment_id)}


@dataclass(frozen=True, slots=True)
class ServiceChanged(DomainEvent):
    """Something that a service is converged from has changed: its wish, or what a cell reports of it."""

    topic: ClassVar[str] = "service.changed"
    tenant_id: TenantId
    service_id: ServiceId

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"service_id": str(self.service_id)}


@dataclass(frozen=True, slots=True)
class RegionalDeploymentPlaced(DomainEvent):
    """Capacity is held in a datacenter: its cell can be told."""

    topic: ClassVar[str] = "regional_deployment.placed"
    tenant_id: TenantId
    regional_deployment_id: RegionalDeploymentId

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"regional_deployment_id": str(self.regional_deployment_id)}


@dataclass(frozen=True, slots=True)
class RegionalDeploymentChanged(DomainEvent):
    """What a cell should hold of a regional deployment differs from what it was told."""

    topic: ClassVar[str] = "regional_deployment.changed"
    tenant_id: TenantId
    regional_deployment_id: RegionalDeploymentId

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"regional_deployment_id": str(self.regional_deployment_id)}


@dataclass(frozen=True, slots=True)
class RoutingChanged(DomainEvent):
    """Traffic should flow differently: the routing snapshot is out of date."""

    topic: ClassVar[str] = "routing.changed"
    tenant_id: TenantId
    service_id: ServiceId

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id

    def payload(self) -> Mapping[str, JsonValue]:
        return {"service_id": str(self.service_id)}
