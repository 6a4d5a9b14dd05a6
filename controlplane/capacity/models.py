"""Rows of the capacity room; all but reservations belong to the platform."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, Integer, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.ids import (
    CellId,
    DatacenterId,
    LegalEntityId,
    NodePoolId,
    RegionalDeploymentId,
    SiteRoleId,
    TenantId,
)
from controlplane.plumbing.orm import Base, IdType


class DatacenterRow(Base):
    __tablename__ = "datacenter"

    id: Mapped[DatacenterId] = mapped_column(IdType(DatacenterId), primary_key=True)
    code: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    country: Mapped[str] = mapped_column(String(2))
    power_kw: Mapped[int] = mapped_column(Integer)
    rack_kw_max: Mapped[int] = mapped_column(Integer)
    pue_milli: Mapped[int] = mapped_column(Integer)
    rack_count: Mapped[int | None] = mapped_column(Integer)
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(Integer, default=1)


class SiteRoleRow(Base):
    """Who runs, or owns, a site from an instant on; the newest that has begun holds. Never changed, never deleted."""

    __tablename__ = "site_role"

    id: Mapped[SiteRoleId] = mapped_column(IdType(SiteRoleId), primary_key=True)
    datacenter_id: Mapped[DatacenterId] = mapped_column(IdType(DatacenterId), ForeignKey("datacenter.id"))
    role: Mapped[str] = mapped_column(String(16))
    entity_id: Mapped[LegalEntityId] = mapped_column(IdType(LegalEntityId))
    valid_from: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    evidence: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_site_role_datacenter_id", "datacenter_id"),)


class CellRow(Base):
    __tablename__ = "cell"

    id: Mapped[CellId] = mapped_column(IdType(CellId), primary_key=True)
    datacenter_id: Mapped[DatacenterId] = mapped_column(IdType(DatacenterId), ForeignKey("datacenter.id"))
    name: Mapped[str] = mapped_column(String(40), unique=True)


class NodePoolRow(Base):
    """Reserved figures are the sums of the pool's reservations, changed only together with them.

    `nodes_seen` is how many machines the cell reported last, `nodes_there` how many may exist: raised with each wish,
    lowered once the cell has read it. `held_reason` is set while somebody keeps the custom resource by hand.
    `node_orders`: what is asked for single machines, each with the claim's name and uid.
    """

    __tablename__ = "node_pool"

    id: Mapped[NodePoolId] = mapped_column(IdType(NodePoolId), primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    datacenter_id: Mapped[DatacenterId] = mapped_column(IdType(DatacenterId), ForeignKey("datacenter.id"))
    cell_id: Mapped[CellId] = mapped_column(IdType(CellId), ForeignKey("cell.id"))
    provider: Mapped[str] = mapped_column(String(20))
    instance_type: Mapped[str] = mapped_column(String(63))
    accelerator_sku: Mapped[str | None] = mapped_column(String(63))
    gpus_per_node: Mapped[int] = mapped_column(Integer)
    cpu_milli_per_node: Mapped[int] = mapped_column(Integer)
    memory_mib_per_node: Mapped[int] = mapped_column(Integer)
    watts_per_node: Mapped[int] = mapped_column(Integer)
    replicas: Mapped[int] = mapped_column(Integer)
    nodes_seen: Mapped[int] = mapped_column(Integer, default=0)
    nodes_there: Mapped[int] = mapped_column(Integer, default=0)
    is_paused: Mapped[bool] = mapped_column(default=False)
    node_labels: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict)
    node_taints: Mapped[list[dict[str, str]]] = mapped_column(JSONB, default=list)
    held_reason: Mapped[str] = mapped_column(Text, default="")
    node_orders: Mapped[list[dict[str, str]]] = mapped_column(JSONB, default=list)
    ready_nodes: Mapped[int] = mapped_column(Integer, default=0)
    gpus_reserved: Mapped[int] = mapped_column(Integer, default=0)
    cpu_milli_reserved: Mapped[int] = mapped_column(Integer, default=0)
    memory_mib_reserved: Mapped[int] = mapped_column(Integer, default=0)
    state: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(Integer, default=1)

    __table_args__ = (
        CheckConstraint("gpus_reserved >= 0", name="gpus_reserved"),
        CheckConstraint("cpu_milli_reserved >= 0", name="cpu_milli_reserved"),
        CheckConstraint("memory_mib_reserved >= 0", name="memory_mib_reserved"),
    )


class NodeRow(Base):
    """The projection of one NodeClaim."""

    __tablename__ = "node"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    pool_name: Mapped[str] = mapped_column(String(50))
    node_name: Mapped[str] = mapped_column(String(253), default="")
    phase: Mapped[str] = mapped_column(String(32))
    is_ready: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str] = mapped_column(String(64), default="")
    message: Mapped[str] = mapped_column(Text, default="")
    is_leaving: Mapped[bool] = mapped_column(default=False)
    gpus: Mapped[int] = mapped_column(Integer, default=0)
    labels: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict)
    taints: Mapped[list[dict[str, str]]] = mapped_column(JSONB, default=list)
    is_simulated: Mapped[bool] = mapped_column(default=False)
    accepted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    acceptance: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    observed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    uid: Mapped[str] = mapped_column(String(64), default="")
    is_drained: Mapped[bool | None] = mapped_column()
    drain_message: Mapped[str] = mapped_column(Text, default="")

    __table_args__ = (Index("ix_node_pool_name", "pool_name"),)


class ReservationRow(Base):
    """Capacity held for one regional deployment, whether or not it runs just now."""

    __tablename__ = "reservation"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    holder: Mapped[RegionalDeploymentId] = mapped_column(IdType(RegionalDeploymentId), primary_key=True)
    pool_id: Mapped[NodePoolId] = mapped_column(IdType(NodePoolId), ForeignKey("node_pool.id"))
    replicas: Mapped[int] = mapped_column(Integer, default=1)
    gpus: Mapped[int] = mapped_column(Integer)
    cpu_milli: Mapped[int] = mapped_column(Integer)
    memory_mib: Mapped[int] = mapped_column(Integer)
    reserved_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
