"""Use cases of reading usage: totals, what came late, GPU intervals, and the proof that nothing was altered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.period import PARIS, Period
from controlplane.metering import repository, repository_allocations
from controlplane.metering.chain_rules import SHARDS, decide_chain, decide_digest, decide_root, first_link
from controlplane.metering.domain import (
    MICROSECONDS,
    Allocation,
    BatchId,
    FrozenPeriod,
    Granularity,
    GroupBy,
    Meter,
    UsageConflict,
    UsageTotal,
)
from controlplane.metering.repository import TotalQuery, TotalRow
from controlplane.metering.rollup_rules import decide_additions
from controlplane.metering.stored_rules import read_stored
from controlplane.metering.time_rules import bucket_end, check_hours
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork

ALL_GROUPS = (
    GroupBy.PROJECT, GroupBy.SERVICE, GroupBy.MODEL, GroupBy.SKU, GroupBy.DATACENTER, GroupBy.COUNTRY,
)  # fmt: skip
BATCHES_VERIFIED_AT_ONCE = 50
_WHATEVER_IT_COSTS: dict[str, str] = {
    Meter.UNBILLED_INPUT_TOKENS: Meter.INPUT_TOKENS,
    Meter.UNBILLED_OUTPUT_TOKENS: Meter.OUTPUT_TOKENS,
}


def list_totals(
    uow: UnitOfWork,
    tenant_id: TenantId,
    period: Period,
    cutoff: BatchId | None,
    *,
    granularity: Granularity | str = Granularity.HOUR,
    group_by: Iterable[GroupBy | str] = ALL_GROUPS,
    zone: ZoneInfo = PARIS,
    project_id: ProjectId | None = None,
    service_id: str | None = None,
    meter: str | None = None,
    offset: int = 0,
    limit: int | None = None,
) -> list[UsageTotal]:
    """Sum a tenant's usage of a period by meter, by what is grouped by, and by stretches of time.

    `cutoff` None counts everything that has come so far. Else it is the `cutoff_batch_id` of one of the tenant's
    frozen periods: what had come by that freeze, in time or late, and nothing that came after it; asked again it
    gives the same. Simulated capacity is always told apart (`dimensions["is_simulated"]`).
    Errors: InvalidInput for a period or zone that whole UTC hours cannot express, or a cutoff that is none.
    """
    query = TotalQuery(
        tenant_id=tenant_id,
        period=period,
        granularity=Granularity(granularity),
        zone=zone,
        group_by=tuple(GroupBy(name) for name in group_by),
        generation_end=None if cutoff is None else _sequence_of(uow, tenant_id, period, cutoff),
        project_id=project_id,
        service_id=service_id,
        meter=meter,
        offset=offset,
        limit=limit,
    )
    return _sum_up(uow, query)


def list_late_totals(
    uow: UnitOfWork,
    tenant_id: TenantId,
    frozen: FrozenPeriod,
    *,
    until: FrozenPeriod | None = None,
    granularity: Granularity | str = Granularity.HOUR,
    group_by: Iterable[GroupBy | str] = ALL_GROUPS,
) -> list[UsageTotal]:
    """Sum what came for a frozen period after its freeze; `until`: only what had come by that later freeze."""
    query = TotalQuery(
        tenant_id=tenant_id,
        period=frozen.period,
        granularity=Granularity(granularity),
        zone=PARIS,
        group_by=tuple(GroupBy(name) for name in group_by),
        generation_min=frozen.sequence,
        generation_end=None if until is None else until.sequence,
    )
    return _sum_up(uow, query)


def _sequence_of(uow: UnitOfWork, tenant_id: TenantId, period: Period, cutoff: BatchId) -> int:
    for frozen in repository.list_frozen_periods(uow, tenant_id):
        if frozen.cutoff_batch_id == cutoff:
            if period.end > frozen.period.end:
                raise InvalidInput("That cutoff closed an earlier period: it cannot bound this one.")
            return frozen.sequence
    raise InvalidInput("The cutoff is not one of a frozen period of this organization.")


def _sum_up(uow: UnitOfWork, query: TotalQuery) -> list[UsageTotal]:
    check_hours(query.period, query.zone)
    return [_to_total(row, query) for row in repository.list_totals(uow, query)]


def _to_total(row: TotalRow, query: TotalQuery) -> UsageTotal:
    start, end = query.period.start, query.period.end
    if row.start is not None:
        # The first and the last bucket may reach out of the period; what was summed does not.
        bucket_start = row.start.astimezone(UTC)
        end = min(end, bucket_end(bucket_start, query.granularity, query.zone))
        start = max(start, bucket_start)
    groups = dict(zip(query.group_by, row.groups, strict=True))
    dimensions = {
        name.value: str(groups[name]) for name in groups if name not in {GroupBy.PROJECT, GroupBy.SERVICE}
    }
    quantity = Decimal(row.quantity)
    if row.meter == Meter.GPU_SECONDS:
        quantity /= MICROSECONDS
    return UsageTotal(
        tenant_id=query.tenant_id,
        project_id=groups.get(GroupBy.PROJECT),
        service_id=str(groups.get(GroupBy.SERVICE, "")),
        meter=row.meter,
        dimensions={**dimensions, "is_simulated": "true" if row.is_simulated else "false"},
        period_start=start,
        period_end=end,
        quantity=quantity,
        event_count=row.event_count,
        unknown_count=row.unknown_count,
    )


def list_allocations(
    uow: UnitOfWork,
    tenant_id: TenantId,
    period: Period,
    *,
    service_id: str | None = None,
    project_id: ProjectId | None = None,
    offset: int,
    limit: int,
) -> Sequence[Allocation]:
    """A tenant's GPU intervals that touch a period, newest first; one more than `limit` if there are more."""
    return repository_allocations.list_of_tenant(
        uow, tenant_id, period, service_id=service_id, project_id=project_id, offset=offset, limit=limit + 1
    )


def list_conflicts(uow: UnitOfWork, *, after: UUID | None, limit: int) -> Page[UsageConflict]:
    """The quarantine, newest first (platform transaction)."""
    rows = repository.list_conflicts(uow, after=after, limit=limit + 1)
    return Page.of(rows, limit, lambda each: each.id)


def find_damage(uow: UnitOfWork) -> str | None:
    """Recompute every shard's chain from the stored events; a sentence about the first difference, or None."""
    for shard in range(SHARDS):
        chain, position = first_link(shard), 0
        while batches := repository.list_batches(uow, shard, position, BATCHES_VERIFIED_AT_ONCE):
            events = repository.list_batch_events(uow, [batch.id for batch in batches])
            for batch in batches:
                stored = events[batch.id]
                root = decide_root((key, decide_digest(payload)) for key, payload in stored)
                chain = decide_chain(chain, root, batch.id, len(stored))
                expected = (position + 1, root, chain, len(stored))
                if expected != (batch.position, bytes(batch.root), bytes(batch.chain), batch.event_count):
                    return f"Batch {batch.id} of shard {shard} does not agree with its events."
                position = batch.position
    return None


def find_drift(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> str | None:
    """Count a tenant's stored events again and compare with the sums; a sentence about the difference, or None.

    Tokens are compared whether they are billed or not: what was summed before failed calls were free stays as it was
    billed.
    """
    counted: dict[str, tuple[Decimal, int]] = {}
    events = (
        read_stored(kind, payload) for kind, payload in repository.stream_payloads(uow, tenant_id, period)
    )
    additions = decide_additions((event for event in events if event is not None), ())
    for key, addition in additions.items():
        meter = _WHATEVER_IT_COSTS.get(key[2], key[2])
        quantity, count = counted.get(meter, (Decimal(0), 0))
        amount = Decimal(addition.quantity)
        if key[2] == Meter.GPU_SECONDS:
            amount /= MICROSECONDS
        counted[meter] = (quantity + amount, count + addition.event_count)
    summed: dict[str, tuple[Decimal, int]] = {}
    for total in list_totals(uow, tenant_id, period, None, granularity=Granularity.TOTAL, group_by=()):
        meter = _WHATEVER_IT_COSTS.get(total.meter, total.meter)
        quantity, count = summed.get(meter, (Decimal(0), 0))
        summed[meter] = (quantity + total.quantity, count + total.event_count)
    for meter in sorted({*counted, *summed}):
        if counted.get(meter) != summed.get(meter):
            return f"{meter}: the events say {counted.get(meter)}, the sums {summed.get(meter)}."
    return None
