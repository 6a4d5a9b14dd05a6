"""Rows of the metering room. Times are UTC; GPU quantities are whole microseconds."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.metering.domain import BillingPeriodId
from controlplane.plumbing.orm import Base, IdType

# No primary key: `usage_event_key` keeps keys unique whatever the time. Partitioned by month of occurred_at.
USAGE_EVENT = Table(
    "usage_event",
    Base.metadata,
    Column("key", UUID(as_uuid=True), nullable=False),
    Column("tenant_id", IdType(TenantId), nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Index("ix_usage_event_tenant_id_occurred_at", "tenant_id", "occurred_at"),
    Index("ix_usage_event_batch_id", "batch_id", postgresql_using="brin"),
    postgresql_partition_by="RANGE (occurred_at)",
)


class UsageEventKeyRow(Base):
    """Every event ever taken, by (tenant, source, id); partitioned by hash."""

    __tablename__ = "usage_event_key"

    key: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    payload_hash: Mapped[bytes] = mapped_column(LargeBinary)
    event_day: Mapped[datetime] = mapped_column(Date)
    batch_id: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = ({"postgresql_partition_by": "HASH (key)"},)


class UsageEventConflictRow(Base):
    """The quarantine: the same identity with another content."""

    __tablename__ = "usage_event_conflict"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId))
    key: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    payload_hash: Mapped[bytes] = mapped_column(LargeBinary)
    source: Mapped[str] = mapped_column(Text)
    event_id: Mapped[str] = mapped_column(Text)
    payload: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        UniqueConstraint("key", "payload_hash", name="uq_usage_event_conflict_key_payload_hash"),
    )


class IngestBatchRow(Base):
    """One committed transaction; `chain` covers the batch before it in its shard, and its own `root`."""

    __tablename__ = "ingest_batch"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    shard: Mapped[int] = mapped_column(SmallInteger)
    position: Mapped[int] = mapped_column(BigInteger)
    event_count: Mapped[int] = mapped_column(Integer)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    chain: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        UniqueConstraint("shard", "position", name="uq_ingest_batch_shard_position"),
        CheckConstraint("event_count > 0", name="event_count"),
    )


class IngestShardRow(Base):
    """The head of a chain; its lock is the last one that an ingest takes."""

    __tablename__ = "ingest_shard"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    chain: Mapped[bytes] = mapped_column(LargeBinary)


class UsageHourlyRow(Base):
    """Sums of a UTC hour. `generation` is 0 for what came in time, else how many freezes there were before it."""

    __tablename__ = "usage_hourly"

    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId), primary_key=True)
    hour: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    meter: Mapped[str] = mapped_column(String(32), primary_key=True)
    service_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    project_id: Mapped[ProjectId] = mapped_column(IdType(ProjectId), primary_key=True)
    model: Mapped[str] = mapped_column(String(256), primary_key=True)
    sku: Mapped[str] = mapped_column(String(256), primary_key=True)
    datacenter: Mapped[str] = mapped_column(String(256), primary_key=True)
    country: Mapped[str] = mapped_column(String(256), primary_key=True)
    is_simulated: Mapped[bool] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True)
    quantity: Mapped[int] = mapped_column(BigInteger)
    event_count: Mapped[int] = mapped_column(BigInteger)
    unknown_count: Mapped[int] = mapped_column(BigInteger)


class AllocationRow(Base):
    """One GPU held by one pod; see `domain.Allocation`."""

    __tablename__ = "gpu_allocation"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId))
    project_id: Mapped[ProjectId] = mapped_column(IdType(ProjectId))
    service_id: Mapped[str] = mapped_column(String(256))
    regional_deployment_id: Mapped[str] = mapped_column(String(256))
    instance: Mapped[str] = mapped_column(String(256))
    source: Mapped[str] = mapped_column(String(256))
    pod_uid: Mapped[str] = mapped_column(String(256))
    node: Mapped[str] = mapped_column(String(256))
    gpu_id: Mapped[str] = mapped_column(String(256))
    sku: Mapped[str] = mapped_column(String(256))
    datacenter: Mapped[str] = mapped_column(String(256))
    country: Mapped[str] = mapped_column(String(256))
    is_simulated: Mapped[bool]
    state: Mapped[str] = mapped_column(String(16))
    opened_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    billed_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    revision: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(256))

    __table_args__ = (
        CheckConstraint("state IN ('open', 'closed', 'estimated')", name="state"),
        CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="open_has_no_end"),
        CheckConstraint("ended_at >= opened_at", name="ends_after_start"),
        CheckConstraint("billed_until >= opened_at", name="billed_since_open"),
        Index("uq_gpu_allocation_open", "source", "gpu_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_gpu_allocation_gpu", "source", "gpu_id", "opened_at"),
        Index("ix_gpu_allocation_tenant_id_opened_at", "tenant_id", "opened_at"),
        Index(
            "ix_gpu_allocation_unbilled", "source",
            postgresql_where=text("ended_at IS NULL OR billed_until <> ended_at"),
        ),
    )  # fmt: skip


class ProducerRow(Base):
    """The newest writer of a source, and the first instant that it reported: older writers end there."""

    __tablename__ = "usage_producer"

    source: Mapped[str] = mapped_column(String(256), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class BillingPeriodRow(Base):
    """A frozen period; written once."""

    __tablename__ = "billing_period"

    id: Mapped[BillingPeriodId] = mapped_column(IdType(BillingPeriodId), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(IdType(TenantId))
    starts_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    cutoff_batch_id: Mapped[int] = mapped_column(BigInteger)
    sequence: Mapped[int] = mapped_column(Integer)
    frozen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        UniqueConstraint("tenant_id", "sequence", name="uq_billing_period_tenant_id_sequence"),
        UniqueConstraint("tenant_id", "starts_at", name="uq_billing_period_tenant_id_starts_at"),
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    )
