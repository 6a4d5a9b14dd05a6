"""Which month closes next and which earlier ones a bill corrects, read from what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.invoicing import repository
from controlplane.invoicing.month_rules import (
    CORRECTED_MONTHS_MAX,
    MonthBook,
    list_correctable,
    next_to_close,
)
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import Period
from controlplane.metering import service as metering
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy


def read_months(uow: UnitOfWork, tenant_id: TenantId) -> MonthBook:
    """Errors: NotFound without the tenant."""
    return MonthBook(
        begins_at=tenancy.get_tenant(uow, tenant_id).created_at,
        first_usage_at=metering.find_first_usage(uow, tenant_id),
        frozen=tuple(frozen.period for frozen in metering.list_frozen_periods(uow, tenant_id)),
        closed=repository.list_closes(uow, tenant_id),
        waiting=repository.list_waiting_months(uow, tenant_id),
    )


def find_next_month(uow: UnitOfWork, tenant_id: TenantId) -> Period:
    """The oldest month that is not closed, whether it has ended or not."""
    return next_to_close(read_months(uow, tenant_id))


@dataclass(frozen=True, slots=True)
class UnreachableUsage:
    """Usage that was accepted and that no bill will look at any more."""

    tenant_id: TenantId
    month: Period
    event_count: int


def list_unreachable_usage(uow: UnitOfWork, now: datetime) -> list[UnreachableUsage]:
    """Usage of months that were never closed and lie further back than bills look; empty when all is well."""
    reach = Period.month_of(now)
    for _ in range(CORRECTED_MONTHS_MAX):
        reach = Period.month_of(reach.start - timedelta(microseconds=1))
    months = metering.list_usage_months(uow, reach.start)
    closes = {
        tenant_id: repository.list_closes(uow, tenant_id) for tenant_id in sorted({one[0] for one in months})
    }
    return [
        UnreachableUsage(tenant_id, month, count)
        for tenant_id, month, count in months
        if month.start not in closes[tenant_id]
    ]


def list_corrected_months(uow: UnitOfWork, tenant_id: TenantId, before: Period) -> list[Period]:
    return list_correctable(read_months(uow, tenant_id), before)
