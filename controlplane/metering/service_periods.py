"""Use cases of closing a period: the freeze, and which periods are frozen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from controlplane.audit import service as audit
from controlplane.kernel.errors import Conflict, InvalidInput
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS, Period
from controlplane.metering import repository, service_allocations
from controlplane.metering.domain import FrozenPeriod
from controlplane.metering.events import PeriodFrozen
from controlplane.metering.repository_ingest import FREEZE_LOCK, ensure_month
from controlplane.metering.time_rules import check_hours
from controlplane.plumbing.database import UnitOfWork

# Turns of slicing before a freeze: each covers thousands of intervals.
SLICING_TURNS_MAX = 100


def freeze_period(
    uow: UnitOfWork, tenant_id: TenantId, period: Period, *, actor: str = "metering"
) -> FrozenPeriod:
    """Close a period for a tenant; again gives the same (platform transaction).

    What was seen of its GPUs is billed first. Everything committed by then is in time, everything later is late.
    Ingest waits while this transaction is open: commit it soon, and rate in another one.
    Errors: InvalidInput for a period that is not over or has no whole hours, Conflict for one that overlaps a
    frozen one or lies before one.
    """
    check_hours(period, PARIS)
    if period.end > uow.now:
        raise InvalidInput("A period is closed after it has ended.")
    repository.lock_freeze(uow, FREEZE_LOCK)
    known = repository.list_frozen_periods(uow, tenant_id)
    for frozen in known:
        if frozen.period == period:
            return frozen
    if known and period.start < known[-1].period.end:
        raise Conflict("The period overlaps one that is closed, or lies before it.")
    _slice_tenant(uow, tenant_id)
    cutoff = repository.take_cutoff(uow)
    frozen = repository.add_frozen_period(uow, tenant_id, period, cutoff, len(known) + 1)
    audit.record(
        uow,
        tenant_id=tenant_id,
        actor=actor,
        action="usage_period.frozen",
        target=str(frozen.id),
        detail={"start": period.start.isoformat(), "end": period.end.isoformat(), "cutoff_batch_id": cutoff},
    )
    uow.emit(PeriodFrozen(tenant_id, frozen.id, period.start, period.end))
    return frozen


def _slice_tenant(uow: UnitOfWork, tenant_id: TenantId) -> None:
    for source in service_allocations.list_sources(uow):
        after = None
        for _ in range(SLICING_TURNS_MAX):
            after = service_allocations.slice_source(uow, source, after=after, tenant_id=tenant_id)
            if after is None:
                break


def list_frozen_periods(uow: UnitOfWork, tenant_id: TenantId) -> list[FrozenPeriod]:
    """A tenant's closed periods, oldest first."""
    return repository.list_frozen_periods(uow, tenant_id)


def find_first_usage(uow: UnitOfWork, tenant_id: TenantId) -> datetime | None:
    """The hour of a tenant's earliest usage; None when it used nothing."""
    return repository.find_first_hour(uow, tenant_id)


def list_usage_months(uow: UnitOfWork, before: datetime) -> list[tuple[TenantId, Period, int]]:
    """Whose months hold how many usage events, of months of Paris that lie before an instant."""
    return [
        (tenant_id, Period.month_of(start), count)
        for tenant_id, start, count in repository.list_usage_months(uow, before, PARIS.key)
    ]


def find_frozen_period(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> FrozenPeriod | None:
    return next((each for each in list_frozen_periods(uow, tenant_id) if each.period == period), None)


def ensure_months(uow: UnitOfWork, instants: Iterable[datetime]) -> None:
    """Make the partitions of these instants' months unless they are there (platform transaction)."""
    for day in sorted({instant.strftime("%Y-%m-01") for instant in instants}):
        ensure_month(uow, day)
