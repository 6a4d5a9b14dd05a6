"""What the deployments room tells, itself and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.kernel.events import JsonValue, TenantEvent
from controlplane.kernel.ids import DeploymentId, RegionalDeploymentId, ServiceId


@dataclass(frozen=True, slots=True)
class _OfService(TenantEvent):
    """A fact about a service of a tenant."""

    service_id: ServiceId

    def payload(self) -> Mapping[str, JsonValue]:
        return {"service_id": str(self.service_id)}


@dataclass(frozen=True, slots=True)
class _OfPart(TenantEvent):
    """A fact about a regional deployment of a tenant."""

    regional_deployment_id: RegionalDeploymentId

    def payload(self) -> Mapping[str, JsonValue]:
        return {"regional_deployment_id": str(self.regional_deployment_id)}


@dataclass(frozen=True, slots=True)
class DeploymentCreated(_OfService):
    """A service has a new immutable version that wants a place."""

    topic: ClassVar[str] = "deployment.created"
    deployment_id: DeploymentId

    def payload(self) -> Mapping[str, JsonValue]:
        return {"service_id": str(self.service_id), "deployment_id": str(self.deployment_id)}


@dataclass(frozen=True, slots=True)
class ServiceChanged(_OfService):
    """Something that a service is converged from has changed: its wish, or what a cell reports of it."""

    topic: ClassVar[str] = "service.changed"


@dataclass(frozen=True, slots=True)
class RegionalDeploymentPlaced(_OfPart):
    """Capacity is held in a datacenter: its cell can be told."""

    topic: ClassVar[str] = "regional_deployment.placed"


@dataclass(frozen=True, slots=True)
class RegionalDeploymentChanged(_OfPart):
    """What a cell should hold of a regional deployment differs from what it was told."""

    topic: ClassVar[str] = "regional_deployment.changed"


@dataclass(frozen=True, slots=True)
class RoutingChanged(_OfService):
    """Traffic should flow differently: the routing snapshot is out of date."""

    topic: ClassVar[str] = "routing.changed"
