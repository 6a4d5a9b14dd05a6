"""Wire shapes of what deployments became: regional deployments and instances, in Koyeb's field names."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from controlplane.deployments.domain import Instance, RegionalDeployment
from controlplane.deployments.schemas import Paged
from controlplane.plumbing.web import WireModel


class RegionalDeploymentOut(WireModel):
    """A deployment's part in one datacenter."""

    id: str = Field(description="Id of the regional deployment.")
    organization_id: str = Field(description="Id of the organization.")
    project_id: str = Field(description="Id of the project.")
    app_id: str = Field(description="Id of the app.")
    service_id: str = Field(description="Id of the service.")
    deployment_id: str = Field(description="Id of the deployment.")
    status: str = Field(description="Koyeb's deployment status.", examples=["HEALTHY"])
    messages: list[str] = Field(description="Why it stands so, in sentences.")
    region: str = Field(description="The datacenter, under Koyeb's name.", examples=["essonne-1"])
    datacenter: str = Field(description="The datacenter.", examples=["essonne-1"])
    country: str = Field(description="Its country.", examples=["FR"])
    node_pool: str = Field(description="The node pool that holds its capacity.")
    operator: str = Field(description="Legal name of who operates the datacenter.")
    instance_type: str = Field(description="Size of a replica.")
    is_simulated: bool = Field(description="Whether it runs on simulated nodes, which answer nothing.")
    route: str = Field(description="NONE, ACTIVE or DRAINING.", examples=["ACTIVE"])
    is_admissible: bool = Field(description="Whether the place meets the requirement now.")
    policy_hash: str = Field(description="SHA-256 of the requirement that was judged.")
    verdict_reason: str = Field(description="Why it is not admissible; empty when it is.")
    verdict_decided_at: datetime = Field(description="When the verdict last changed.")
    refused_at: datetime | None = Field(description="From when on calls are refused for the verdict.")
    scaling: dict[str, int] = Field(
        description="Bounds that its cell was given.", examples=[{"min": 0, "max": 2}]
    )
    replicas_ready: int = Field(description="Replicas that answer.")
    object_name: str = Field(description="Name of the InferenceDeployment in its cell.")
    namespace: str = Field(description="Namespace of the InferenceDeployment.")
    replaces_id: str | None = Field(description="The part that it was made to take over from.")
    created_at: datetime = Field(description="When its capacity was held.")
    updated_at: datetime = Field(description="When its row last changed.")
    ready_at: datetime | None = Field(description="When it could first take traffic.")
    terminated_at: datetime | None = Field(description="When its cell held nothing of it any more.")

    @classmethod
    def of(cls, part: RegionalDeployment) -> Self:
        place = part.placement
        return cls(
            id=str(part.id),
            organization_id=str(part.tenant_id),
            project_id=str(part.project_id),
            app_id=str(part.app_id),
            service_id=str(part.service_id),
            deployment_id=str(part.deployment_id),
            status=str(part.status),
            messages=list(part.messages),
            region=place.datacenter,
            datacenter=place.datacenter,
            country=place.country,
            node_pool=place.pool_name,
            operator=place.operator,
            instance_type=place.instance_type,
            is_simulated=place.is_simulated,
            route=str(part.route_state),
            is_admissible=part.verdict.is_admissible,
            policy_hash=part.verdict.policy_hash,
            verdict_reason=part.verdict.reason,
            verdict_decided_at=part.verdict.decided_at,
            refused_at=part.refused_at,
            scaling={"min": part.replicas_min, "max": part.replicas_max},
            replicas_ready=part.replicas_ready,
            object_name=part.object_name,
            namespace=part.namespace,
            replaces_id=None if part.replaces_id is None else str(part.replaces_id),
            created_at=part.created_at,
            updated_at=part.updated_at,
            ready_at=part.ready_at,
            terminated_at=part.terminated_at,
        )


class RegionalDeploymentReply(WireModel):
    """One regional deployment."""

    regional_deployment: RegionalDeploymentOut


class RegionalDeploymentList(Paged):
    """A page of regional deployments."""

    regional_deployments: list[RegionalDeploymentOut]


class InstanceOut(WireModel):
    """One replica."""

    id: str = Field(description="Id of the instance.")
    organization_id: str = Field(description="Id of the organization.")
    app_id: str = Field(description="Id of the app.")
    service_id: str = Field(description="Id of the service.")
    deployment_id: str = Field(description="Id of the deployment.")
    regional_deployment_id: str = Field(description="Id of the regional deployment.")
    name: str = Field(description="Name of its pod.")
    status: str = Field(description="Koyeb's instance status.", examples=["HEALTHY"])
    messages: list[str] = Field(description="Why it stands so, in sentences.")
    region: str = Field(description="The datacenter, under Koyeb's name.")
    datacenter: str = Field(description="The datacenter.")
    country: str = Field(description="Its country.")
    type: str = Field(description="Size of the replica.")
    replica_index: int = Field(description="Its place among the replicas.")
    node: str = Field(description="The node it runs on; empty until one was found.")
    gpus: list[str] = Field(description="The GPUs it holds.")
    is_simulated: bool = Field(description="Whether its node is simulated.")
    created_at: datetime = Field(description="When its pod was created.")
    updated_at: datetime = Field(description="When its cell last reported on it.")
    scheduled_at: datetime | None = Field(description="When a node was found.")
    started_at: datetime | None = Field(description="When its container started.")
    ready_at: datetime | None = Field(description="When it became ready to answer.")
    terminated_at: datetime | None = Field(description="When it ended.")

    @classmethod
    def of(cls, instance: Instance) -> Self:
        return cls(
            id=str(instance.id),
            organization_id=str(instance.tenant_id),
            app_id=str(instance.app_id),
            service_id=str(instance.service_id),
            deployment_id=str(instance.deployment_id),
            regional_deployment_id=str(instance.regional_deployment_id),
            name=instance.name,
            status=str(instance.status),
            messages=list(instance.messages),
            region=instance.datacenter,
            datacenter=instance.datacenter,
            country=instance.country,
            type=instance.instance_type,
            replica_index=instance.replica_index,
            node=instance.node,
            gpus=list(instance.gpus),
            is_simulated=instance.is_simulated,
            created_at=instance.created_at,
            updated_at=instance.updated_at,
            scheduled_at=instance.scheduled_at,
            started_at=instance.started_at,
            ready_at=instance.ready_at,
            terminated_at=instance.terminated_at,
        )


class InstanceReply(WireModel):
    """One instance."""

    instance: InstanceOut


class InstanceList(Paged):
    """A page of instances."""

    instances: list[InstanceOut]
