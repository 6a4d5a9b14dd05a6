"""Rows of the deployments room; every one belongs to a tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, DateTime, Index, Integer, LargeBinary, String, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.ids import (
    AppId,
    DecisionId,
    DeploymentId,
    EventId,
    InstanceId,
    NodePoolId,
    ProjectId,
    RegionalDeploymentId,
    SecretId,
    ServiceId,
    TenantId,
)
from controlplane.plumbing.orm import Base, IdType

NAME_LENGTH_MAX = 50


class _Owned:
    """Columns that every row of this room carries."""

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class AppRow(_Owned, Base):
    __tablename__ = "app"

    id: Mapped[AppId] = mapped_column(IdType(AppId), primary_key=True)
    project_id: Mapped[ProjectId] = mapped_column(IdType(ProjectId))
    name: Mapped[str] = mapped_column(String(NAME_LENGTH_MAX))
    version: Mapped[int] = mapped_column(Integer, default=1)

    __table_args__ = (Index("uq_app_name", "tenant_id", "project_id", "name", unique=True),)


class ServiceRow(_Owned, Base):
    """`state` is decided under a lock on this row: whoever places, routes or stops a service holds it."""

    __tablename__ = "service"

    id: Mapped[ServiceId] = mapped_column(IdType(ServiceId), primary_key=True)
    project_id: Mapped[ProjectId] = mapped_column(IdType(ProjectId))
    app_id: Mapped[AppId] = mapped_column(IdType(AppId))
    name: Mapped[str] = mapped_column(String(NAME_LENGTH_MAX))
    type: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(16))
    messages: Mapped[list[str]] = mapped_column(JSONB)
    version: Mapped[int] = mapped_column(Integer, default=1)
    latest_deployment_id: Mapped[DeploymentId] = mapped_column(IdType(DeploymentId))
    active_deployment_id: Mapped[DeploymentId | None] = mapped_column(IdType(DeploymentId))
    last_provisioned_deployment_id: Mapped[DeploymentId | None] = mapped_column(IdType(DeploymentId))
    scale_min: Mapped[int | None] = mapped_column(Integer)
    scale_max: Mapped[int | None] = mapped_column(Integer)
    host: Mapped[str] = mapped_column(String(253))
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    paused_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    terminated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(
            "uq_service_name",
            "tenant_id",
            "project_id",
            "name",
            unique=True,
            postgresql_where=text("status <> 'DELETED'"),
        ),
        Index("ix_service_app", "tenant_id", "app_id"),
    )


class DeploymentRow(_Owned, Base):
    """The definition and its pinned secret versions never change: a trigger refuses it."""

    __tablename__ = "deployment"

    id: Mapped[DeploymentId] = mapped_column(IdType(DeploymentId), primary_key=True)
    project_id: Mapped[ProjectId] = mapped_column(IdType(ProjectId))
    app_id: Mapped[AppId] = mapped_column(IdType(AppId))
    service_id: Mapped[ServiceId] = mapped_column(IdType(ServiceId))
    number: Mapped[int] = mapped_column(Integer)
    parent_id: Mapped[DeploymentId | None] = mapped_column(IdType(DeploymentId))
    child_id: Mapped[DeploymentId | None] = mapped_column(IdType(DeploymentId))
    status: Mapped[str] = mapped_column(String(16))
    messages: Mapped[list[str]] = mapped_column(JSONB)
    definition: Mapped[dict[str, Any]] = mapped_column(JSONB)
    plan: Mapped[dict[str, Any]] = mapped_column(JSONB)
    secret_versions: Mapped[dict[str, int]] = mapped_column(JSONB)
    allocated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    succeeded_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    terminated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("uq_deployment_number", "tenant_id", "service_id", "number", unique=True),
        Index("ix_deployment_pending", "id", postgresql_where=text("status = 'PENDING'")),
    )


class RegionalDeploymentRow(_Owned, Base):
    __tablename__ = "regional_deployment"

    id: Mapped[RegionalDeploymentId] = mapped_column(IdType(RegionalDeploymentId), primary_key=True)
    project_id: Mapped[ProjectId] = mapped_column(IdType(ProjectId))
    app_id: Mapped[AppId] = mapped_column(IdType(AppId))
    service_id: Mapped[ServiceId] = mapped_column(IdType(ServiceId))
    deployment_id: Mapped[DeploymentId] = mapped_column(IdType(DeploymentId))
    service_name: Mapped[str] = mapped_column(String(NAME_LENGTH_MAX))
    object_name: Mapped[str] = mapped_column(String(63))
    status: Mapped[str] = mapped_column(String(16))
    messages: Mapped[list[str]] = mapped_column(JSONB)
    route_state: Mapped[str] = mapped_column(String(16))
    pool_id: Mapped[NodePoolId] = mapped_column(IdType(NodePoolId))
    pool_name: Mapped[str] = mapped_column(String(50))
    datacenter: Mapped[str] = mapped_column(String(40))
    country: Mapped[str] = mapped_column(String(2))
    cell: Mapped[str] = mapped_column(String(40))
    operator: Mapped[str] = mapped_column(String(200))
    instance_type: Mapped[str] = mapped_column(String(63))
    accelerator_sku: Mapped[str | None] = mapped_column(String(63))
    gpus_per_replica: Mapped[int] = mapped_column(Integer)
    cpu_milli: Mapped[int] = mapped_column(Integer)
    memory_mib: Mapped[int] = mapped_column(Integer)
    is_simulated: Mapped[bool] = mapped_column(Boolean)
    is_admissible: Mapped[bool] = mapped_column(Boolean)
    policy_hash: Mapped[str] = mapped_column(String(64))
    verdict_reason: Mapped[str] = mapped_column(Text)
    verdict_decided_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    replicas_min: Mapped[int] = mapped_column(Integer)
    replicas_max: Mapped[int] = mapped_column(Integer)
    replicas_reserved: Mapped[int] = mapped_column(Integer)
    generation: Mapped[int] = mapped_column(Integer, default=1)
    applied_generation: Mapped[int] = mapped_column(Integer, default=0)
    cluster_generation: Mapped[int] = mapped_column(Integer, default=0)
    replicas_ready: Mapped[int] = mapped_column(Integer, default=0)
    blocked_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    violated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    refused_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    draining_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    replaces_id: Mapped[RegionalDeploymentId | None] = mapped_column(IdType(RegionalDeploymentId))
    ready_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    terminated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        # The rule "of a service at most one route is active" is the database's, not only ours.
        Index(
            "uq_regional_deployment_active_route",
            "tenant_id",
            "service_id",
            unique=True,
            postgresql_where=text("route_state = 'ACTIVE'"),
        ),
        Index("ix_regional_deployment_service", "tenant_id", "service_id"),
        Index("ix_regional_deployment_open", "id", postgresql_where=text("terminated_at IS NULL")),
    )


class InstanceRow(_Owned, Base):
    __tablename__ = "instance"

    id: Mapped[InstanceId] = mapped_column(IdType(InstanceId), primary_key=True)
    project_id: Mapped[ProjectId] = mapped_column(IdType(ProjectId))
    app_id: Mapped[AppId] = mapped_column(IdType(AppId))
    service_id: Mapped[ServiceId] = mapped_column(IdType(ServiceId))
    deployment_id: Mapped[DeploymentId] = mapped_column(IdType(DeploymentId))
    regional_deployment_id: Mapped[RegionalDeploymentId] = mapped_column(IdType(RegionalDeploymentId))
    name: Mapped[str] = mapped_column(String(253))
    uid: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    messages: Mapped[list[str]] = mapped_column(JSONB)
    datacenter: Mapped[str] = mapped_column(String(40))
    country: Mapped[str] = mapped_column(String(2))
    instance_type: Mapped[str] = mapped_column(String(63))
    replica_index: Mapped[int] = mapped_column(Integer)
    node: Mapped[str] = mapped_column(String(253))
    gpus: Mapped[list[str]] = mapped_column(JSONB)
    is_simulated: Mapped[bool] = mapped_column(Boolean)
    scheduled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ready_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    terminated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("uq_instance_name", "tenant_id", "regional_deployment_id", "name", "uid", unique=True),
        Index("ix_instance_service", "tenant_id", "service_id"),
    )


class SecretRow(_Owned, Base):
    __tablename__ = "secret"

    id: Mapped[SecretId] = mapped_column(IdType(SecretId), primary_key=True)
    project_id: Mapped[ProjectId] = mapped_column(IdType(ProjectId))
    name: Mapped[str] = mapped_column(String(NAME_LENGTH_MAX))
    version: Mapped[int] = mapped_column(Integer, default=1)
    size_bytes: Mapped[int] = mapped_column(Integer, default=0)

    __table_args__ = (Index("uq_secret_name", "tenant_id", "project_id", "name", unique=True),)


class WriteAllowanceRow(Base):
    """How full one budget of writes is: when it is full again. `subject` is a service, a secret or the tenant."""

    __tablename__ = "write_allowance"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    subject: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    full_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class SecretVersionRow(Base):
    """One value, sealed. A deployment names the version that it was made with, so it never changes under it."""

    __tablename__ = "secret_version"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    secret_id: Mapped[SecretId] = mapped_column(IdType(SecretId), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    sealing_key_id: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ColdStartRow(Base):
    """The instants of one start from zero; the cell and the gateway each fill in what they saw."""

    __tablename__ = "cold_start"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    regional_deployment_id: Mapped[RegionalDeploymentId] = mapped_column(
        IdType(RegionalDeploymentId), primary_key=True
    )
    instance: Mapped[str] = mapped_column(String(253), primary_key=True)
    service_id: Mapped[ServiceId] = mapped_column(IdType(ServiceId))
    request_id: Mapped[str | None] = mapped_column(String(64))
    first_byte_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    wanted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    pod_created_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    scheduled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ready_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    first_token_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_cold_start_service", "tenant_id", "service_id", "recorded_at"),)


class ServiceEventRow(Base):
    """Append-only, but for `count` and `last_at` of a fact that is told again, and its newest wording."""

    __tablename__ = "service_event"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    id: Mapped[EventId] = mapped_column(IdType(EventId), primary_key=True)
    service_id: Mapped[ServiceId] = mapped_column(IdType(ServiceId))
    deployment_id: Mapped[DeploymentId | None] = mapped_column(IdType(DeploymentId))
    regional_deployment_id: Mapped[RegionalDeploymentId | None] = mapped_column(IdType(RegionalDeploymentId))
    type: Mapped[str] = mapped_column(String(50))
    reason: Mapped[str] = mapped_column(String(100))
    message: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    count: Mapped[int] = mapped_column(Integer, default=1)
    last_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_service_event_service", "tenant_id", "service_id", "id"),)


class ExplanationRow(Base):
    """What placement found for a deployment. The same findings again only move `confirmed_at`."""

    __tablename__ = "placement_explanation"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    id: Mapped[DecisionId] = mapped_column(IdType(DecisionId), primary_key=True)
    service_id: Mapped[ServiceId] = mapped_column(IdType(ServiceId))
    deployment_id: Mapped[DeploymentId] = mapped_column(IdType(DeploymentId))
    is_placed: Mapped[bool] = mapped_column(Boolean)
    fingerprint: Mapped[str] = mapped_column(String(64))
    explanation: Mapped[dict[str, Any]] = mapped_column(JSONB)
    decided_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    confirmed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_placement_explanation_service", "tenant_id", "service_id", "id"),)


class RoutingVersionRow(Base):
    """One row: the number of the newest routing snapshot. It only grows."""

    __tablename__ = "routing_version"

    is_only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, default=True)
    version: Mapped[int] = mapped_column(BigInteger, default=0)
