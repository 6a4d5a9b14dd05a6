"""REST of usage: a tenant sees its own, the platform operator that of each tenant."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from controlplane.identity.service import require, require_platform
from controlplane.kernel.access import Action, Resource, tenant_of
from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.period import Period
from controlplane.kernel.principal import Principal
from controlplane.metering import service
from controlplane.metering.api_ingest import router as ingest_router
from controlplane.metering.domain import Granularity, GroupBy, Meter
from controlplane.metering.schemas import (
    UsageConflictList,
    UsageConflictShape,
    UsageDetailList,
    UsageDetailShape,
    UsageList,
    UsageShape,
)
from controlplane.metering.time_rules import read_zone
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import Edge, EdgeDep, Paging, PagingDep
from controlplane.tenancy import service as tenancy

router = APIRouter(tags=["usage"])
router.include_router(ingest_router)

# Pages are found by their distance from the start; nobody reads further than this.
OFFSET_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asked for."""

    period: Period
    zone_name: str
    granularity: Granularity
    group_by: tuple[GroupBy, ...]
    project_id: ProjectId | None
    service_id: str | None
    meter: str | None

    def scope(self, kind: str, tenant_id: TenantId) -> str:
        """Binds a cursor to the question that it belongs to."""
        return f"{kind}|{hashlib.sha256(f'{self}|{tenant_id}'.encode()).hexdigest()}"


def _wanted(
    edge: EdgeDep,
    since: Annotated[
        datetime | None,
        Query(alias="from", description="First instant, a whole hour; default: the start of this month."),
    ] = None,
    until: Annotated[
        datetime | None,
        Query(
            alias="to", description="First instant after it, a whole hour; default: the end of this month."
        ),
    ] = None,
    time_zone: Annotated[
        str, Query(max_length=64, description="Zone of days and months (IANA name).")
    ] = "Europe/Paris",
    granularity: Annotated[
        Granularity, Query(description="How time is cut; `total`: not at all.")
    ] = Granularity.TOTAL,
    group_by: Annotated[
        list[GroupBy] | None,
        Query(max_length=9, description="Repeat it for several. `day` and `hour` are granularities too."),
    ] = None,
    project_id: Annotated[str | None, Query(max_length=40, description="Only this project.")] = None,
    service_id: Annotated[str | None, Query(max_length=40, description="Only this service.")] = None,
    meter: Annotated[Meter | None, Query(description="Only this meter.")] = None,
) -> Wanted:
    groups = tuple(dict.fromkeys(group_by or ()))
    if GroupBy.HOUR in groups:
        granularity = Granularity.HOUR
    elif GroupBy.DAY in groups and granularity is Granularity.TOTAL:
        granularity = Granularity.DAY
    zone = read_zone(time_zone)
    month = Period.month_of(edge.read(lambda uow: uow.now) if since is None else _aware(since), zone)
    start, end = (
        (month.start if since is None else _aware(since)),
        (month.end if until is None else _aware(until)),
    )
    if end <= start:
        raise InvalidInput("'to' must lie after 'from'.")
    return Wanted(
        period=Period(start, end),
        zone_name=time_zone,
        granularity=granularity,
        group_by=tuple(g for g in groups if g not in {GroupBy.METER, GroupBy.DAY, GroupBy.HOUR}),
        project_id=None if project_id is None else ProjectId.parse(project_id),
        service_id=service_id,
        meter=None if meter is None else meter.value,
    )


WantedDep = Annotated[Wanted, Depends(_wanted)]


@router.get("/v1/usages", operation_id="list_usages", summary="Sum usage by meter, time and more")
def list_usages(edge: EdgeDep, wanted: WantedDep, page: PagingDep) -> UsageList:
    require(edge.principal, Resource.USAGE, Action.READ)
    return _list_usages(edge, tenant_of(edge.principal), wanted, page)


@router.get(
    "/v1/usages/details", operation_id="list_usage_details", summary="List the GPUs that instances held"
)
def list_usage_details(edge: EdgeDep, wanted: WantedDep, page: PagingDep) -> UsageDetailList:
    require(edge.principal, Resource.USAGE, Action.READ)
    tenant_id = tenant_of(edge.principal)
    scope, project_id = wanted.scope("usage_details", tenant_id), _project(edge.principal, wanted)
    offset = _offset(edge, page, scope)
    found = edge.read(
        lambda uow: service.list_allocations(
            uow,
            tenant_id,
            wanted.period,
            service_id=wanted.service_id,
            project_id=project_id,
            offset=offset,
            limit=page.limit,
        )
    )
    has_next = len(found) > page.limit
    return UsageDetailList(
        usage_details=[UsageDetailShape.of(each) for each in found[: page.limit]],
        limit=page.limit,
        has_next=has_next,
        next_cursor=_cursor(edge, offset + page.limit, scope) if has_next else None,
    )


@router.get(
    "/v1/admin/organizations/{organization_id}/usages",
    operation_id="list_organization_usages",
    summary="Sum an organization's usage (platform operator)",
)
def list_organization_usages(
    organization_id: str, edge: EdgeDep, wanted: WantedDep, page: PagingDep
) -> UsageList:
    require_platform(edge.principal)
    require(edge.principal, Resource.USAGE, Action.READ)
    tenant_id = TenantId.parse(organization_id)
    edge.read(lambda uow: tenancy.get_tenant(uow, tenant_id))
    return _list_usages(edge, tenant_id, wanted, page)


@router.get(
    "/v1/admin/usage_conflicts",
    operation_id="list_usage_conflicts",
    summary="List events that contradict known ones",
)
def list_usage_conflicts(edge: EdgeDep, page: PagingDep) -> UsageConflictList:
    require_platform(edge.principal)
    require(edge.principal, Resource.USAGE, Action.READ)
    after = edge.page_after(page, "usage_conflicts")
    found = edge.read(lambda uow: service.list_conflicts(uow, after=after, limit=page.limit))
    cursor = edge.next_cursor(found, "usage_conflicts")
    return UsageConflictList(
        usage_conflicts=[UsageConflictShape.of(each) for each in found.items],
        limit=page.limit,
        has_next=cursor is not None,
        next_cursor=cursor,
    )


def _list_usages(edge: Edge, tenant_id: TenantId, wanted: Wanted, page: Paging) -> UsageList:
    scope, project_id = wanted.scope("usages", tenant_id), _project(edge.principal, wanted)
    offset, zone = _offset(edge, page, scope), read_zone(wanted.zone_name)

    def query(uow: UnitOfWork) -> UsageList:
        totals = service.list_totals(
            uow,
            tenant_id,
            wanted.period,
            None,
            granularity=wanted.granularity,
            group_by=wanted.group_by,
            zone=zone,
            project_id=project_id,
            service_id=wanted.service_id,
            meter=wanted.meter,
            offset=offset,
            limit=page.limit + 1,
        )
        has_next = len(totals) > page.limit
        return UsageList(
            usages=[UsageShape.of(total) for total in totals[: page.limit]],
            as_of=uow.now,
            time_zone=zone.key,
            limit=page.limit,
            has_next=has_next,
            next_cursor=_cursor(edge, offset + page.limit, scope) if has_next else None,
        )

    return edge.read(query)


def _project(principal: Principal, wanted: Wanted) -> ProjectId | None:
    """A key that is bound to a project sees that project's usage alone; another's is empty for it."""
    if principal.project_id is None:
        return wanted.project_id
    if wanted.project_id is not None and wanted.project_id != principal.project_id:
        raise InvalidInput("This key is bound to another project.")
    return principal.project_id


def _offset(edge: Edge, page: Paging, scope: str) -> int:
    after = edge.page_after(page, scope)
    return 0 if after is None else min(after.int, OFFSET_MAX)


def _cursor(edge: Edge, offset: int, scope: str) -> str | None:
    return edge.next_cursor(Page((), uuid.UUID(int=offset)), scope)


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise InvalidInput("Times carry their offset, such as 2026-11-01T00:00:00+01:00.")
    return instant.astimezone(UTC)
