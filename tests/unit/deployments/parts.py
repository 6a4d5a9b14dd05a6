"""Values of the deployments room for tests of its rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from controlplane.deployments.domain import (
    Definition,
    Deployment,
    EnvEntry,
    Placement,
    QueueLimits,
    RegionalDeployment,
    RouteState,
    RouteVerdict,
    RunStatus,
    Service,
    ServiceStatus,
)
from controlplane.kernel.ids import (
    AppId,
    DeploymentId,
    NodePoolId,
    ProjectId,
    RegionalDeploymentId,
    ServiceId,
    TenantId,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def fixed(number: int) -> UUID:
    """An id that is the same in every run; a greater number is a younger id."""
    return UUID(int=number << 80 | 0x7 << 76 | 0b10 << 62 | number)


TENANT, PROJECT, APP, SERVICE = (kind(fixed(1)) for kind in (TenantId, ProjectId, AppId, ServiceId))
OLDER, LATEST = DeploymentId(fixed(10)), DeploymentId(fixed(20))

PLAN = Definition(
    name="assistant",
    model="smollm2-135m-instruct",
    instance_types=("process-cpu",),
    replicas_min=0,
    replicas_max=2,
    concurrency_per_replica=4,
    idle_seconds=300,
    env=(EnvEntry("LEVEL", value="info"), EnvEntry("TOKEN", secret="hub-token")),
    regions=(),
    sovereignty={},
    on_violation_grace_seconds=0,
    is_simulated_allowed=False,
    queue=QueueLimits(200, 1 << 20, 300),
    first_byte_seconds_max=120,
)


def service(**changes: Any) -> Service:
    made = Service(
        id=SERVICE, tenant_id=TENANT, project_id=PROJECT, app_id=APP, name="assistant", type="INFERENCE",
        status=ServiceStatus.HEALTHY, messages=(), version=1, latest_deployment_id=LATEST,
        active_deployment_id=None, last_provisioned_deployment_id=None, scale_min=None, scale_max=None,
        host="assistant-12345678.rempart.localhost", created_at=NOW, updated_at=NOW, started_at=None,
        paused_at=None, terminated_at=None,
    )  # fmt: skip
    return replace(made, **changes)


def deployment(**changes: Any) -> Deployment:
    made = Deployment(
        id=LATEST, tenant_id=TENANT, project_id=PROJECT, app_id=APP, service_id=SERVICE, number=2, parent_id=None,
        child_id=None, status=RunStatus.PENDING, messages=(), definition={}, plan=PLAN, secret_versions={},
        created_at=NOW, updated_at=NOW, allocated_at=None, started_at=None, succeeded_at=None, terminated_at=None,
    )  # fmt: skip
    return replace(made, **changes)


def part(
    number: int = 1, *, is_admissible: bool = True, is_simulated: bool = False, **changes: Any
) -> RegionalDeployment:
    """`number` orders parts by age."""
    made = RegionalDeployment(
        id=RegionalDeploymentId(fixed(1000 + number)), tenant_id=TENANT, project_id=PROJECT, app_id=APP,
        service_id=SERVICE, deployment_id=LATEST, service_name="assistant", object_name="assistant-12345678",
        status=RunStatus.HEALTHY, messages=(), route_state=RouteState.NONE,
        placement=Placement(
            NodePoolId(fixed(2)), "essonne-cpu", "essonne-1", "FR", "essonne-1-a", "Opérateur SAS", "process-cpu",
            None, 0, 1000, 1024, is_simulated,
        ),
        verdict=RouteVerdict(is_admissible, "f" * 64, "" if is_admissible else "The certificate ended.", NOW),
        replicas_min=0, replicas_max=2, replicas_reserved=1, generation=1, applied_generation=1, cluster_generation=1,
        replicas_ready=0, blocked_since=None, violated_at=None if is_admissible else NOW, refused_at=None,
        draining_since=None,
        replaces_id=None, created_at=NOW, updated_at=NOW, ready_at=None, terminated_at=None,
    )  # fmt: skip
    return replace(made, **changes)
