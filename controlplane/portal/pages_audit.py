"""Who did what: the hash chain, its check and its export."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from controlplane.portal.web import SignedIn, SignedInDep
from controlplane.sdk.resources import AuditEvents

router = APIRouter()
_FILTERS = ("actor", "action", "target")


@router.get("/audit")
def list_events(visit: SignedInDep) -> Response:
    query = visit.request.query_params
    filters = {name: query.get(name, "").strip() for name in _FILTERS}
    asked = {name: value for name, value in filters.items() if value}
    page = visit.listed(_chain(visit), **asked)
    verification = _chain(visit).verify() if query.get("verify") == "yes" else None
    return visit.page(
        "audit.html", events=page.items, next_cursor=page.next_cursor, filters=filters,
        verification=verification,
    )  # fmt: skip


@router.get("/audit/export")
def export(visit: SignedInDep) -> Response:
    return Response(
        _chain(visit).export(),
        media_type="application/jsonl",
        headers={
            "Content-Disposition": 'attachment; filename="audit.jsonl"',
            "Cache-Control": "no-store",
        },
    )


def _chain(visit: SignedIn) -> AuditEvents:
    return visit.api.platform_audit_events if visit.who.is_operator else visit.api.audit_events
