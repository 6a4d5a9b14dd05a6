"""Wire shapes of apps, services and deployments: the field names of Koyeb's public API reference."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from controlplane.deployments.definition_schemas import DefinitionIn, Name
from controlplane.deployments.domain import App, Deployment, Service
from controlplane.kernel import bounds
from controlplane.plumbing.web import WireModel

WireId = Annotated[str, Field(max_length=40)]


class Paged(WireModel):
    """What every list says about its pages."""

    limit: int = Field(description="How many items a page holds.")
    has_next: bool = Field(description="Whether there is another page.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")


class AppCreate(WireModel):
    """A new app."""

    name: Name
    project_id: WireId | None = Field(
        default=None, description="Its project; the key's own or the default one if absent."
    )


class AppUpdate(WireModel):
    """A changed app."""

    name: Name


class AppOut(WireModel):
    """A group of services."""

    id: str = Field(examples=["app_01ja2b3c4d5e6f7g8h9jkmnpqr"], description="Id of the app.")
    organization_id: str = Field(description="Id of the organization.")
    project_id: str = Field(description="Id of the project.")
    name: str = Field(description="Name within the project.")
    version: int = Field(description="Counts changes; send it back in If-Match.")
    created_at: datetime = Field(description="When it was made.")
    updated_at: datetime = Field(description="When it last changed.")

    @classmethod
    def of(cls, app: App) -> Self:
        return cls(
            id=str(app.id),
            organization_id=str(app.tenant_id),
            project_id=str(app.project_id),
            name=app.name,
            version=app.version,
            created_at=app.created_at,
            updated_at=app.updated_at,
        )


class AppReply(WireModel):
    """One app."""

    app: AppOut


class AppList(Paged):
    """A page of apps."""

    apps: list[AppOut]


class ServiceCreate(WireModel):
    """A new service."""

    app_id: WireId = Field(description="The app it belongs to.")
    definition: DefinitionIn = Field(description="What should run, and under which law.")


class ServiceReplace(WireModel):
    """A service's whole new definition."""

    definition: DefinitionIn = Field(
        description="What should run from now on; nothing of the old one is kept."
    )


class ServicePatch(WireModel):
    """Changes of a service's definition."""

    definition: dict[str, Any] = Field(
        description="JSON merge patch (RFC 7396) on the latest definition: null removes a field.",
        examples=[{"scalings": [{"min": 1, "max": 2}]}],
    )


class RollbackIn(WireModel):
    """Which version to go back to."""

    deployment_id: WireId | None = Field(
        default=None, description="A deployment of the service that was ready once; the one before if absent."
    )


class ScaleIn(WireModel):
    """Other bounds than the definition's, until the next definition."""

    min: int = Field(
        ge=bounds.REPLICAS.least, le=bounds.REPLICAS.most, description="Replicas kept always.", examples=[0]
    )
    max: int = Field(
        ge=bounds.REPLICAS_HIGHEST.least,
        le=bounds.REPLICAS_HIGHEST.most,
        description="Replicas at most.",
        examples=[2],
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min cannot be above max")
        return self


class ServiceOut(WireModel):
    """A service as it stands."""

    id: str = Field(description="Id of the service.")
    organization_id: str = Field(description="Id of the organization.")
    project_id: str = Field(description="Id of the project.")
    app_id: str = Field(description="Id of the app.")
    name: str = Field(description="Name within the project.")
    type: str = Field(description="Kind of service.", examples=["INFERENCE"])
    status: str = Field(
        description="Koyeb's service status; asleep and able to wake is HEALTHY.", examples=["HEALTHY"]
    )
    messages: list[str] = Field(description="What a person should know about the status.")
    version: int = Field(description="Counts changes of the wish; send it back in If-Match.")
    latest_deployment_id: str = Field(description="The newest deployment that was asked for.")
    active_deployment_id: str | None = Field(description="The deployment that has the traffic.")
    last_provisioned_deployment_id: str | None = Field(description="The newest deployment that got a place.")
    scale: dict[str, int] | None = Field(
        description="Bounds that override the definition's; null when none do."
    )
    host: str = Field(description="Host name under which the gateway serves it.")
    created_at: datetime = Field(description="When it was made.")
    updated_at: datetime = Field(description="When its row last changed.")
    started_at: datetime | None = Field(description="When it was first healthy.")
    paused_at: datetime | None = Field(description="When it was paused; null while it should run.")
    terminated_at: datetime | None = Field(description="When nothing was left of it after its deletion.")

    @classmethod
    def of(cls, service: Service) -> Self:
        scale = None
        if service.scale_min is not None and service.scale_max is not None:
            scale = {"min": service.scale_min, "max": service.scale_max}
        return cls(
            id=str(service.id),
            organization_id=str(service.tenant_id),
            project_id=str(service.project_id),
            app_id=str(service.app_id),
            name=service.name,
            type=service.type,
            status=str(service.status),
            messages=list(service.messages),
            version=service.version,
            latest_deployment_id=str(service.latest_deployment_id),
            active_deployment_id=wire_or_null(service.active_deployment_id),
            last_provisioned_deployment_id=wire_or_null(service.last_provisioned_deployment_id),
            scale=scale,
            host=service.host,
            created_at=service.created_at,
            updated_at=service.updated_at,
            started_at=service.started_at,
            paused_at=service.paused_at,
            terminated_at=service.terminated_at,
        )


class ServiceReply(WireModel):
    """One service."""

    service: ServiceOut


class ServiceList(Paged):
    """A page of services."""

    services: list[ServiceOut]


class DeploymentOut(WireModel):
    """One immutable version of a service."""

    id: str = Field(description="Id of the deployment.")
    organization_id: str = Field(description="Id of the organization.")
    project_id: str = Field(description="Id of the project.")
    app_id: str = Field(description="Id of the app.")
    service_id: str = Field(description="Id of the service.")
    parent_id: str | None = Field(description="The deployment before it.")
    child_id: str | None = Field(description="The deployment after it.")
    version: int = Field(description="Counts the service's deployments from 1.")
    status: str = Field(description="Koyeb's deployment status.", examples=["SLEEPING"])
    messages: list[str] = Field(description="Why it stands so, in sentences.")
    definition: DefinitionIn = Field(description="What was asked for; never changes.")
    secret_versions: dict[str, int] = Field(description="The version of each secret it was made with.")
    created_at: datetime = Field(description="When it was asked for.")
    updated_at: datetime = Field(description="When its row last changed.")
    allocated_at: datetime | None = Field(description="When it first got a place.")
    started_at: datetime | None = Field(description="When a cell first reported on it.")
    succeeded_at: datetime | None = Field(description="When it was first ready.")
    terminated_at: datetime | None = Field(description="When it ended; null while it has not.")

    @classmethod
    def of(cls, deployment: Deployment) -> Self:
        return cls(
            id=str(deployment.id),
            organization_id=str(deployment.tenant_id),
            project_id=str(deployment.project_id),
            app_id=str(deployment.app_id),
            service_id=str(deployment.service_id),
            parent_id=wire_or_null(deployment.parent_id),
            child_id=wire_or_null(deployment.child_id),
            version=deployment.number,
            status=str(deployment.status),
            messages=list(deployment.messages),
            definition=DefinitionIn.model_validate(deployment.definition),
            secret_versions=dict(deployment.secret_versions),
            created_at=deployment.created_at,
            updated_at=deployment.updated_at,
            allocated_at=deployment.allocated_at,
            started_at=deployment.started_at,
            succeeded_at=deployment.succeeded_at,
            terminated_at=deployment.terminated_at,
        )


class DeploymentReply(WireModel):
    """One deployment."""

    deployment: DeploymentOut


class DeploymentList(Paged):
    """A page of deployments."""

    deployments: list[DeploymentOut]


def wire_or_null(value: object | None) -> str | None:
    """An id in its wire form, or null."""
    return None if value is None else str(value)
