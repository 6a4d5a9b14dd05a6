"""REST of audit chains: a tenant reads its own, the operator the platform's.

The decision who may comes from the identity room, which stands above this one: the entry point hands it in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from controlplane.audit import service
from controlplane.audit.domain import AuditRecord, RecordOrigin
from controlplane.audit.schemas import (
    AuditEventList,
    BreakShape,
    ChainHeadShape,
    ExportEnd,
    ListedAuditEventShape,
    VerificationAnswer,
    VerificationShape,
)
from controlplane.kernel.access import Action, Authorize, Resource, tenant_of
from controlplane.kernel.errors import Forbidden
from controlplane.kernel.ids import TenantId
from controlplane.kernel.principal import Principal
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import Edge, EdgeDep, PagingDep

_JSON_LINES = "application/jsonl"
# Which chain a caller reads by this router; raises Forbidden.
ChainOf = Callable[[Principal], TenantId | None]

Filter = Annotated[str | None, Query(max_length=200, description="Only records with exactly this value.")]


def make_router(authorize: Authorize) -> APIRouter:
    """The caller's own chain."""

    def own_chain(principal: Principal) -> TenantId | None:
        authorize(principal, Resource.AUDIT_EVENT, Action.READ)
        return tenant_of(principal)

    return _make("/v1/audit_events", "", "audit", own_chain)


def make_admin_router(authorize: Authorize) -> APIRouter:
    """The platform's chain: what its operator did."""

    def platform_chain(principal: Principal) -> TenantId | None:
        if not principal.is_platform:
            raise Forbidden("Only the platform operator may do this.")
        authorize(principal, Resource.AUDIT_EVENT, Action.READ)
        return None

    return _make("/v1/admin/audit_events", "admin_", "admin: audit", platform_chain)


def _make(prefix: str, operation_prefix: str, tag: str, chain_of: ChainOf) -> APIRouter:
    router = APIRouter(prefix=prefix, tags=[tag])

    @router.get(
        "", operation_id=f"{operation_prefix}list_audit_events", summary="List what was done, newest first"
    )
    def list_events(
        edge: EdgeDep, page: PagingDep, actor: Filter = None, action: Filter = None, target: Filter = None
    ) -> AuditEventList:
        tenant_id = chain_of(edge.principal)
        after = edge.page_after(page, prefix)
        before = None if after is None else after.int

        def read(uow: UnitOfWork) -> tuple[Page[AuditRecord], dict[int, RecordOrigin]]:
            records = service.list_newest(
                uow, tenant_id, before=before, limit=page.limit + 1, actor=actor, action=action, target=target
            )
            found = Page.of(records, page.limit, lambda record: UUID(int=record.sequence))
            return found, service.list_origins(uow, tenant_id, found.items)

        found, origins = edge.read(read)
        cursor = edge.next_cursor(found, prefix)
        events = [
            ListedAuditEventShape.listed(record, origins.get(record.sequence)) for record in found.items
        ]
        return AuditEventList(
            audit_events=events, limit=page.limit, has_next=cursor is not None, next_cursor=cursor
        )

    @router.get(
        "/export", operation_id=f"{operation_prefix}export_audit_events",
        summary="Download the whole chain as JSON lines, its head last", response_class=StreamingResponse,
        responses={200: {"content": {_JSON_LINES: {}}}},
    )  # fmt: skip
    def export(edge: EdgeDep) -> StreamingResponse:
        tenant_id = chain_of(edge.principal)
        name = f"audit-{service.chain_of(tenant_id)}.jsonl"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(_lines(edge, tenant_id), media_type=_JSON_LINES, headers=headers)

    @router.get(
        "/verification", operation_id=f"{operation_prefix}verify_audit_events",
        summary="Check the chain's every hash",
    )  # fmt: skip
    def verify(edge: EdgeDep) -> VerificationAnswer:
        tenant_id = chain_of(edge.principal)
        return edge.read(lambda uow: _verify(uow, tenant_id))

    return router


def _lines(edge: Edge, tenant_id: TenantId | None) -> Iterator[str]:
    """Stream in a transaction of its own; an export that breaks off lacks its last line, which names the head."""
    database = edge.database
    opened = (
        database.system(is_read_only=True)
        if tenant_id is None
        else database.tenant(tenant_id, is_read_only=True)
    )
    with opened as uow:
        head = _head(uow, tenant_id)
        for record, origin in service.walk_with_origins(uow, tenant_id):
            if record.sequence > head.sequence:
                break
            yield _line(record, origin)
        yield ExportEnd(head=head).model_dump_json() + "\n"


def _line(record: AuditRecord, origin: RecordOrigin | None) -> str:
    """One record; where it was asked for stands beside what is hashed, and only where it is known."""
    left_out = {"origin"} if origin is None else set()
    return ListedAuditEventShape.listed(record, origin).model_dump_json(exclude=left_out) + "\n"


def _verify(uow: UnitOfWork, tenant_id: TenantId | None) -> VerificationAnswer:
    found = service.verify(uow, tenant_id)
    return VerificationAnswer(
        verification=VerificationShape(
            is_intact=found is None,
            head=_head(uow, tenant_id),
            first_break=None if found is None else BreakShape.of(found),
            verified_at=uow.now,
        )
    )


def _head(uow: UnitOfWork, tenant_id: TenantId | None) -> ChainHeadShape:
    sequence, digest = service.get_head(uow, tenant_id)
    return ChainHeadShape(chain=service.chain_of(tenant_id), sequence=sequence, hash=digest)
