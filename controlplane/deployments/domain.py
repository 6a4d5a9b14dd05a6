"""Apps, services, deployments and their parts as frozen values; their statuses stand in `lifecycle`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controlplane.deployments.lifecycle import (
    APPLIED as APPLIED,
)
from controlplane.deployments.lifecycle import (
    ENDED as ENDED,
)
from controlplane.deployments.lifecycle import (
    LEAVING as LEAVING,
)
from controlplane.deployments.lifecycle import (
    LIVE as LIVE,
)
from controlplane.deployments.lifecycle import (
    OBSERVED as OBSERVED,
)
from controlplane.deployments.lifecycle import (
    READY as READY,
)
from controlplane.deployments.lifecycle import (
    RUN_TRANSITIONS as RUN_TRANSITIONS,
)
from controlplane.deployments.lifecycle import (
    SERVICE_TRANSITIONS as SERVICE_TRANSITIONS,
)
from controlplane.deployments.lifecycle import (
    InstanceStatus as InstanceStatus,
)
from controlplane.deployments.lifecycle import (
    RouteState as RouteState,
)
from controlplane.deployments.lifecycle import (
    RunStatus as RunStatus,
)
from controlplane.deployments.lifecycle import (
    RunTrigger as RunTrigger,
)
from controlplane.deployments.lifecycle import (
    ServiceStatus as ServiceStatus,
)
from controlplane.deployments.lifecycle import (
    ServiceTrigger as ServiceTrigger,
)
from controlplane.kernel.ids import (
    AppId,
    DeploymentId,
    InstanceId,
    NodePoolId,
    ProjectId,
    RegionalDeploymentId,
    SecretId,
    ServiceId,
    TenantId,
)


@dataclass(frozen=True, slots=True)
class EnvEntry:
    """One variable: a plain value or the name of a secret of the same project, never both."""

    key: str
    value: str | None = None
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What the gateway may hold while the service wakes."""

    requests_max: int
    bytes_max: int
    age_seconds_max: int


@dataclass(frozen=True, slots=True)
class Definition:
    """What a tenant asked for, checked against the catalogue. `sovereignty` is the requirement as JSON values.

    `gpus_per_replica` is that of the largest acceptable size: what counts against the tenant's limit.
    """

    name: str
    model: str
    instance_types: tuple[str, ...]
    replicas_min: int
    replicas_max: int
    concurrency_per_replica: int
    idle_seconds: int
    env: tuple[EnvEntry, ...]
    regions: tuple[str, ...]
    sovereignty: Mapping[str, Any]
    on_violation_grace_seconds: int
    is_simulated_allowed: bool
    queue: QueueLimits
    first_byte_seconds_max: int
    gpus_per_replica: int = 0

    @property
    def secret_names(self) -> tuple[str, ...]:
        return tuple(sorted({entry.secret for entry in self.env if entry.secret is not None}))


@dataclass(frozen=True, slots=True)
class App:
    id: AppId
    tenant_id: TenantId
    project_id: ProjectId
    name: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Service:
    """`active_deployment_id` has the traffic; `latest_deployment_id` is the newest that was asked for."""

    id: ServiceId
    tenant_id: TenantId
    project_id: ProjectId
    app_id: AppId
    name: str
    type: str
    status: ServiceStatus
    messages: tuple[str, ...]
    version: int
    latest_deployment_id: DeploymentId
    active_deployment_id: DeploymentId | None
    last_provisioned_deployment_id: DeploymentId | None
    scale_min: int | None
    scale_max: int | None
    host: str
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    paused_at: datetime | None
    terminated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version of a service; `number` counts from 1 within it.

    `definition` is what the tenant sent, `plan` the same with every default filled in. Neither ever changes.
    """

    id: DeploymentId
    tenant_id: TenantId
    project_id: ProjectId
    app_id: AppId
    service_id: ServiceId
    number: int
    parent_id: DeploymentId | None
    child_id: DeploymentId | None
    status: RunStatus
    messages: tuple[str, ...]
    definition: Mapping[str, Any]
    plan: Definition
    secret_versions: Mapping[str, int]
    created_at: datetime
    updated_at: datetime
    allocated_at: datetime | None
    started_at: datetime | None
    succeeded_at: datetime | None
    terminated_at: datetime | None


@dataclass(frozen=True, slots=True)
class RouteVerdict:
    """The sovereignty verdict that a regional deployment stands on, as it was last decided."""

    is_admissible: bool
    policy_hash: str
    reason: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a regional deployment was put, and what one replica takes there."""

    pool_id: NodePoolId
    pool_name: str
    datacenter: str
    country: str
    cell: str
    operator: str
    instance_type: str
    accelerator_sku: str | None
    gpus_per_replica: int
    cpu_milli: int
    memory_mib: int
    is_simulated: bool


@dataclass(frozen=True, slots=True)
class RegionalDeployment:
    """A deployment's part in one datacenter.

    `blocked_since` is since when it cannot serve: from its beginning, or from the loss of its last ready replica,
    until it is ready or asleep. `generation` counts changes of what its cell should hold; `applied_generation` is
    what was told last. Until `refused_at` an inadmissible route is still served; `ready_at` is when it could first
    take traffic.
    """

    id: RegionalDeploymentId
    tenant_id: TenantId
    project_id: ProjectId
    app_id: AppId
    service_id: ServiceId
    deployment_id: DeploymentId
    service_name: str
    object_name: str
    status: RunStatus
    messages: tuple[str, ...]
    route_state: RouteState
    placement: Placement
    verdict: RouteVerdict
    replicas_min: int
    replicas_max: int
    replicas_reserved: int
    generation: int
    applied_generation: int
    cluster_generation: int
    replicas_ready: int
    blocked_since: datetime | None
    violated_at: datetime | None
    refused_at: datetime | None
    draining_since: datetime | None
    replaces_id: RegionalDeploymentId | None
    created_at: datetime
    updated_at: datetime
    ready_at: datetime | None
    terminated_at: datetime | None

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def namespace(self) -> str:
        return f"rmp-{self.project_id.suffix}"


@dataclass(frozen=True, slots=True)
class Instance:
    """One replica as its cell reported it. Times: pod created, node found, container started, first ready."""

    id: InstanceId
    tenant_id: TenantId
    project_id: ProjectId
    app_id: AppId
    service_id: ServiceId
    deployment_id: DeploymentId
    regional_deployment_id: RegionalDeploymentId
    name: str
    uid: str
    status: InstanceStatus
    messages: tuple[str, ...]
    datacenter: str
    country: str
    instance_type: str
    replica_index: int
    node: str
    gpus: tuple[str, ...]
    is_simulated: bool
    created_at: datetime
    updated_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    ready_at: datetime | None
    terminated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret without its value: the value leaves this room only towards a cell."""

    id: SecretId
    tenant_id: TenantId
    project_id: ProjectId
    name: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret's value as it rests: AES-256-GCM under a key that only this installation can derive.

    `key_id` says under which of its sealing secrets.
    """

    name: str
    version: int
    nonce: bytes
    ciphertext: bytes = field(repr=False)
    key_id: str


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The instants of one start from zero; None until known. `wanted_at` is when the operator saw the demand."""

    instance: str
    regional_deployment_id: RegionalDeploymentId
    request_id: str | None
    first_byte_at: datetime | None
    wanted_at: datetime | None
    pod_created_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    ready_at: datetime | None
    first_token_at: datetime | None


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """Something that happened to a service, in a sentence; `reason` is one word that programs may compare."""

    id: str
    service_id: ServiceId
    deployment_id: DeploymentId | None
    regional_deployment_id: RegionalDeploymentId | None
    type: str
    reason: str
    message: str
    occurred_at: datetime
    count: int = 1
    last_at: datetime | None = None
