"""REST of security events: a tenant reads its own, the operator all, and gateways report theirs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from controlplane.audit import service_security
from controlplane.audit.schemas_security import (
    EventReport,
    ReportAnswer,
    SecurityEventList,
    SecurityEventShape,
)
from controlplane.kernel.access import Action, Authorize, Resource, tenant_of
from controlplane.kernel.errors import Forbidden
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.address_rules import bucket_of, parse_address
from controlplane.plumbing.refusal_rules import RefusalKind
from controlplane.plumbing.web import Edge, EdgeDep, Paging, PagingDep

_PATH = "/v1/security_events"
_ADMIN_PATH = "/v1/admin/security_events"
# What the first producers' key, which names no source, reports for.
_UNNAMED = "/gateways/unnamed"

KindFilter = Annotated[RefusalKind | None, Query(description="Only refusals of this kind.")]
AddressFilter = Annotated[
    str | None,
    Query(max_length=64, description="Only from this network address; of IPv6, its /64 network."),
]
SinceFilter = Annotated[datetime | None, Query(description="Only what still went on at this time or later.")]


def make_security_router(authorize: Authorize) -> APIRouter:
    """A tenant's own refusals, and the door of the gateways."""
    router = APIRouter(prefix=_PATH, tags=["security events"])

    @router.get("", operation_id="list_security_events", summary="List what was refused, newest first")
    def list_own(
        edge: EdgeDep,
        page: PagingDep,
        kind: KindFilter = None,
        address: AddressFilter = None,
        since: SinceFilter = None,
    ) -> SecurityEventList:
        authorize(edge.principal, Resource.SECURITY_EVENT, Action.READ)
        return _list(edge, page, tenant_of(edge.principal), _PATH, (kind, address, since))

    @router.post(
        "",
        operation_id="report_security_events",
        summary="Report what a gateway refused (producers only)",
        response_model=ReportAnswer,
    )
    def report(body: EventReport, edge: EdgeDep) -> Response:
        # Who reports what a gateway served reports what it refused.
        authorize(edge.principal, Resource.USAGE, Action.CREATE)
        if edge.principal.tenant_id is not None:
            raise Forbidden("Only gateways report security events.")
        source = edge.principal.source or _UNNAMED
        events = [event.to_event(source) for event in body.security_events]
        return edge.write(lambda uow: ReportAnswer(accepted=service_security.take_in(uow, events)))

    return router


def make_admin_security_router(authorize: Authorize) -> APIRouter:
    """All refusals, for the platform operator."""
    router = APIRouter(prefix=_ADMIN_PATH, tags=["admin: security events"])

    @router.get(
        "",
        operation_id="admin_list_security_events",
        summary="List what was refused to anybody, newest first",
    )
    def list_all(
        edge: EdgeDep,
        page: PagingDep,
        kind: KindFilter = None,
        address: AddressFilter = None,
        since: SinceFilter = None,
    ) -> SecurityEventList:
        authorize(edge.principal, Resource.SECURITY_EVENT, Action.READ)
        return _list(edge, page, None, _ADMIN_PATH, (kind, address, since))

    return router


def _list(
    edge: Edge,
    page: Paging,
    tenant_id: TenantId | None,
    scope: str,
    filters: tuple[RefusalKind | None, str | None, datetime | None],
) -> SecurityEventList:
    kind, address, since = filters
    after = edge.page_after(page, scope)
    parsed = None if address is None else parse_address(address)

    found = edge.read(
        lambda uow: service_security.list_events(
            uow, tenant_id, after=after, limit=page.limit, kind=kind, since=_aware(since),
            address=address if parsed is None else bucket_of(parsed),
        )
    )  # fmt: skip
    cursor = edge.next_cursor(found, scope)
    return SecurityEventList(
        security_events=[SecurityEventShape.of(event) for event in found.items],
        limit=page.limit,
        has_next=cursor is not None,
        next_cursor=cursor,
    )


def _aware(moment: datetime | None) -> datetime | None:
    """A time without a zone is UTC, as all our times are."""
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)
