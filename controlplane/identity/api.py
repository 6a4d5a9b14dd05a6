"""REST of API keys and permissions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from controlplane.identity import service
from controlplane.identity.domain import Action, KeyKind, Resource, Role
from controlplane.identity.schemas import (
    ApiKeyAnswer,
    ApiKeyCreate,
    ApiKeyCreated,
    ApiKeyCreatedShape,
    ApiKeyList,
    ApiKeyRoll,
    ApiKeyRolled,
    ApiKeyShape,
    CallerAnswer,
    CallerShape,
    PermissionAnswer,
    PermissionShape,
)
from controlplane.identity.service import KeyMaker, KeyWish
from controlplane.kernel.ids import ApiKeyId, ProjectId
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.settings import Settings
from controlplane.plumbing.web import EdgeDep, PagingDep

router = APIRouter(prefix="/v1")

_SCOPE = "api_keys"


def key_maker(settings: Settings) -> KeyMaker:
    """A key's text says whether it belongs to a real installation or to one on somebody's machine."""
    return KeyMaker(settings.hash_ring, "live" if settings.environment == "production" else "local")


@router.get("/caller", operation_id="get_caller", summary="Show who I am", tags=["permissions"])
def get_caller(edge: EdgeDep) -> CallerAnswer:
    who = edge.principal
    ends_at = None
    if who.role is not Role.PRODUCER:
        ends_at = edge.read(lambda uow: service.find_access_end(uow, who.tenant_id))
    return CallerAnswer(
        caller=CallerShape(
            key_id=str(who.key_id),
            role=who.role,
            organization_id=None if who.tenant_id is None else str(who.tenant_id),
            project_id=None if who.project_id is None else str(who.project_id),
            access_ends_at=ends_at,
        )
    )


@router.get(
    "/permissions",
    operation_id="explain_permission",
    summary="Say whether I may, and why",
    tags=["permissions"],
)
def explain_permission(
    resource: Annotated[Resource, Query(description="The kind of thing.")],
    action: Annotated[Action, Query(description="What would be done to it.")],
    edge: EdgeDep,
) -> PermissionAnswer:
    decision = service.explain(edge.principal, resource, action)
    return PermissionAnswer(
        permission=PermissionShape(
            is_allowed=decision.is_allowed,
            reason=decision.reason,
            role=edge.principal.role,
            roles=list(decision.roles),
            resource=resource,
            action=action,
        )
    )


@router.get("/api_keys", operation_id="list_api_keys", summary="List API keys", tags=["api keys"])
def list_api_keys(edge: EdgeDep, page: PagingDep) -> ApiKeyList:
    service.require(edge.principal, Resource.API_KEY, Action.READ)
    tenant_id, after = service.require_tenant(edge.principal), edge.page_after(page, _SCOPE)

    def query(uow: UnitOfWork) -> ApiKeyList:
        found = service.list_keys(uow, tenant_id, after=after, limit=page.limit)
        cursor = edge.next_cursor(found, _SCOPE)
        keys = [ApiKeyShape.of(key, uow.now) for key in found.items]
        return ApiKeyList(api_keys=keys, limit=page.limit, has_next=cursor is not None, next_cursor=cursor)

    return edge.read(query)


@router.get(
    "/api_keys/{api_key_id}", operation_id="get_api_key", summary="Show an API key", tags=["api keys"]
)
def get_api_key(api_key_id: str, edge: EdgeDep) -> ApiKeyAnswer:
    service.require(edge.principal, Resource.API_KEY, Action.READ)
    tenant_id, key_id = service.require_tenant(edge.principal), ApiKeyId.parse(api_key_id)
    return edge.read(
        lambda uow: ApiKeyAnswer(api_key=ApiKeyShape.of(service.get_key(uow, tenant_id, key_id), uow.now))
    )


@router.post(
    "/api_keys", operation_id="create_api_key", summary="Create an API key; its text is shown once",
    tags=["api keys"], status_code=201, response_model=ApiKeyCreated,
)  # fmt: skip
def create_api_key(body: ApiKeyCreate, edge: EdgeDep) -> Response:
    service.require(edge.principal, Resource.API_KEY, Action.CREATE)
    service.require_tenant(edge.principal)
    wish = KeyWish(
        name=body.name,
        role=Role(body.role.value),
        kind=KeyKind(body.kind.value),
        project_id=None if body.project_id is None else ProjectId.parse(body.project_id),
        scopes=None if body.scopes is None else frozenset(body.scopes),
        expires_in_days=body.expires_in_days,
    )
    maker = key_maker(edge.settings)
    return edge.write(
        lambda uow: ApiKeyCreated.of(service.create_key(uow, edge.principal, wish, maker), uow.now),
        status=201,
        redact=ApiKeyCreated.redacted,
    )


@router.post(
    "/api_keys/{api_key_id}/roll", operation_id="roll_api_key",
    summary="Replace an API key; the old one works for the overlap",
    tags=["api keys"], status_code=201, response_model=ApiKeyRolled,
)  # fmt: skip
def roll_api_key(api_key_id: str, body: ApiKeyRoll, edge: EdgeDep) -> Response:
    service.require(edge.principal, Resource.API_KEY, Action.UPDATE)
    service.require_tenant(edge.principal)
    key_id, maker = ApiKeyId.parse(api_key_id), key_maker(edge.settings)

    def change(uow: UnitOfWork) -> ApiKeyRolled:
        issued, previous = service.roll_key(uow, edge.principal, key_id, body.overlap_hours, maker)
        return ApiKeyRolled(
            api_key=ApiKeyCreatedShape.of_issued(issued, uow.now), previous=ApiKeyShape.of(previous, uow.now)
        )

    return edge.write(change, status=201, redact=ApiKeyRolled.redacted)


@router.delete(
    "/api_keys/{api_key_id}", operation_id="revoke_api_key", summary="Refuse an API key from now on",
    tags=["api keys"], response_model=ApiKeyAnswer,
)  # fmt: skip
def revoke_api_key(api_key_id: str, edge: EdgeDep) -> Response:
    service.require(edge.principal, Resource.API_KEY, Action.DELETE)
    service.require_tenant(edge.principal)
    key_id = ApiKeyId.parse(api_key_id)
    return edge.write(
        lambda uow: ApiKeyAnswer(
            api_key=ApiKeyShape.of(service.revoke_key(uow, edge.principal, key_id), uow.now)
        )
    )
