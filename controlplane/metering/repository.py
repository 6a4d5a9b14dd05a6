"""Reading: totals from the hourly sums, frozen periods, quarantine, and the raw events behind them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, literal, select, text

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.period import Period
from controlplane.metering.domain import (
    BatchId,
    BillingPeriodId,
    FrozenPeriod,
    Granularity,
    GroupBy,
    UsageConflict,
)
from controlplane.metering.models import (
    USAGE_EVENT,
    BillingPeriodRow,
    IngestBatchRow,
    UsageEventConflictRow,
    UsageHourlyRow,
)
from controlplane.plumbing.database import UnitOfWork

# Rows that a verification holds at once.
EVENTS_READ_AT_ONCE = 5_000

GROUP_COLUMNS: dict[GroupBy, ColumnElement[Any]] = {
    GroupBy.PROJECT: UsageHourlyRow.project_id.expression,
    GroupBy.SERVICE: UsageHourlyRow.service_id.expression,
    GroupBy.MODEL: UsageHourlyRow.model.expression,
    GroupBy.SKU: UsageHourlyRow.sku.expression,
    GroupBy.DATACENTER: UsageHourlyRow.datacenter.expression,
    GroupBy.COUNTRY: UsageHourlyRow.country.expression,
}


@dataclass(frozen=True, slots=True)
class TotalQuery:
    """What to sum. `generations` is a half-open range of the rollup's generation; None = no bound."""

    tenant_id: TenantId
    period: Period
    granularity: Granularity
    zone: ZoneInfo
    group_by: tuple[GroupBy, ...]
    generation_min: int | None = None
    generation_end: int | None = None
    project_id: ProjectId | None = None
    service_id: str | None = None
    meter: str | None = None
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class TotalRow:
    start: datetime | None
    meter: str
    is_simulated: bool
    groups: tuple[Any, ...]
    quantity: int
    event_count: int
    unknown_count: int


def list_totals(uow: UnitOfWork, query: TotalQuery) -> list[TotalRow]:
    """Sum the rollup. Simulated capacity is never summed together with real capacity."""
    row = UsageHourlyRow
    start: ColumnElement[Any] = literal(None)
    if query.granularity is not Granularity.TOTAL:
        start = func.date_trunc(query.granularity.value, row.hour, query.zone.key)
    groups = [GROUP_COLUMNS[name] for name in query.group_by]
    keys = [start.label("start"), row.meter, row.is_simulated, *groups]
    sums = (func.sum(row.quantity), func.sum(row.event_count), func.sum(row.unknown_count))
    grouping = keys if query.granularity is not Granularity.TOTAL else keys[1:]
    statement = (
        select(*keys, *sums)
        .where(row.tenant_id == query.tenant_id, *_filters(query))
        .group_by(*grouping)
        .order_by(*grouping)
        .offset(query.offset)
        .limit(query.limit)
    )
    width = 3 + len(groups)
    return [
        TotalRow(r[0], r[1], r[2], tuple(r[3:width]), int(r[width]), int(r[width + 1]), int(r[width + 2]))
        for r in uow.session.execute(statement)
    ]


def _filters(query: TotalQuery) -> list[ColumnElement[bool]]:
    row = UsageHourlyRow
    found = [row.hour >= query.period.start, row.hour < query.period.end]
    if query.generation_min is not None:
        found.append(row.generation >= query.generation_min)
    if query.generation_end is not None:
        found.append(row.generation < query.generation_end)
    if query.project_id is not None:
        found.append(row.project_id == query.project_id)
    if query.service_id is not None:
        found.append(row.service_id == query.service_id)
    if query.meter is not None:
        found.append(row.meter == query.meter)
    return found


def find_first_hour(uow: UnitOfWork, tenant_id: TenantId) -> datetime | None:
    found = uow.session.scalar(
        select(func.min(UsageHourlyRow.hour)).where(UsageHourlyRow.tenant_id == tenant_id)
    )
    return None if found is None else found.astimezone(UTC)


def list_usage_months(uow: UnitOfWork, before: datetime, zone: str) -> list[tuple[TenantId, datetime, int]]:
    """Tenants, the starts of their months with usage that ended by `before`, and how many events each holds."""
    month = func.date_trunc("month", UsageHourlyRow.hour, zone)
    rows = uow.session.execute(
        select(UsageHourlyRow.tenant_id, month, func.sum(UsageHourlyRow.event_count))
        .where(UsageHourlyRow.hour < before)
        .group_by(UsageHourlyRow.tenant_id, month)
        .order_by(month, UsageHourlyRow.tenant_id)
    )
    return [(tenant_id, start.astimezone(UTC), int(count)) for tenant_id, start, count in rows]


def list_frozen_periods(uow: UnitOfWork, tenant_id: TenantId) -> list[FrozenPeriod]:
    rows = uow.session.scalars(
        select(BillingPeriodRow)
        .where(BillingPeriodRow.tenant_id == tenant_id)
        .order_by(BillingPeriodRow.sequence)
    )
    return [
        FrozenPeriod(
            id=row.id,
            tenant_id=row.tenant_id,
            period=Period(row.starts_at, row.ends_at),
            cutoff_batch_id=BatchId(row.cutoff_batch_id),
            sequence=row.sequence,
            frozen_at=row.frozen_at,
        )
        for row in rows
    ]


def lock_freeze(uow: UnitOfWork, lock: int) -> None:
    """Wait for running ingests, and keep new ones out until this transaction ends."""
    uow.session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


def take_cutoff(uow: UnitOfWork) -> BatchId:
    """Take a batch's number that no batch will have: greater than all there are, and no other cutoff's."""
    return BatchId(uow.session.execute(text("SELECT nextval('ingest_batch_id')")).scalar_one())


def add_frozen_period(
    uow: UnitOfWork, tenant_id: TenantId, period: Period, cutoff: BatchId, sequence: int
) -> FrozenPeriod:
    row = BillingPeriodRow(
        id=BillingPeriodId.new(),
        tenant_id=tenant_id,
        starts_at=period.start,
        ends_at=period.end,
        cutoff_batch_id=cutoff,
        sequence=sequence,
        frozen_at=uow.now,
    )
    uow.session.add(row)
    uow.session.flush()
    return FrozenPeriod(row.id, tenant_id, period, cutoff, sequence, uow.now)


def list_conflicts(uow: UnitOfWork, *, after: uuid.UUID | None, limit: int) -> list[UsageConflict]:
    row = UsageEventConflictRow
    query = select(row) if after is None else select(row).where(row.id < after)
    found = uow.session.scalars(query.order_by(row.id.desc()).limit(limit))
    return [
        UsageConflict(each.id, each.tenant_id, each.source, each.event_id, each.payload, each.received_at)
        for each in found
    ]


@dataclass(frozen=True, slots=True)
class BatchLink:
    id: int
    shard: int
    position: int
    event_count: int
    root: bytes
    chain: bytes


def list_batches(uow: UnitOfWork, shard: int, after: int, limit: int) -> list[BatchLink]:
    """A shard's batches in the order of its chain."""
    row = IngestBatchRow
    rows = uow.session.execute(
        select(row.id, row.shard, row.position, row.event_count, row.root, row.chain)
        .where(row.shard == shard, row.position > after)
        .order_by(row.position)
        .limit(limit)
    )
    return [BatchLink(*each) for each in rows]


def list_batch_events(uow: UnitOfWork, batch_ids: Sequence[int]) -> dict[int, list[tuple[bytes, bytes]]]:
    found: dict[int, list[tuple[bytes, bytes]]] = {batch_id: [] for batch_id in batch_ids}
    columns = USAGE_EVENT.c
    rows = uow.session.execute(
        select(columns.batch_id, columns.key, columns.payload).where(columns.batch_id.in_(batch_ids))
    )
    for batch_id, key, payload in rows:
        found[batch_id].append((key.bytes, payload.encode()))
    return found


def stream_payloads(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> Iterator[tuple[str, str]]:
    """The raw events of a tenant in a period: type and canonical JSON."""
    columns = USAGE_EVENT.c
    rows = uow.session.execute(
        select(columns.type, columns.payload).where(
            columns.tenant_id == tenant_id,
            columns.occurred_at >= period.start,
            columns.occurred_at < period.end,
        ),
        execution_options={"yield_per": EVENTS_READ_AT_ONCE},
    )
    for row in rows:
        yield row[0], row[1]
