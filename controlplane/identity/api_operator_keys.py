"""REST of the operator's own keys, and of the way back in that it gives a tenant."""

from __future__ import annotations

from enum import Enum

from fastapi import APIRouter, Response
from pydantic import Field

from controlplane.identity import service
from controlplane.identity.api import key_maker
from controlplane.identity.domain import Action, Resource, Role
from controlplane.identity.schemas import (
    ApiKeyAnswer,
    ApiKeyCreated,
    ApiKeyCreatedShape,
    ApiKeyList,
    ApiKeyRoll,
    ApiKeyRolled,
    ApiKeyShape,
    OperatorKeyCreate,
)
from controlplane.kernel.ids import ApiKeyId, TenantId
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import Edge, EdgeDep, PagingDep, WireModel

router = APIRouter(prefix="/v1/admin")
_TAGS: list[str | Enum] = ["admin: keys"]
_SCOPE = "admin/api_keys"


class RecoveryRequest(WireModel):
    reason: str = Field(
        min_length=1, max_length=500, description="Why; the organization reads it in its audit.",
        examples=["Asked for in writing by its legal representative; identity checked."],
    )  # fmt: skip


@router.get("/api_keys", operation_id="admin_list_api_keys", summary="List the operator's keys", tags=_TAGS)
def list_api_keys(edge: EdgeDep, page: PagingDep) -> ApiKeyList:
    _require(edge, Action.READ)
    after = edge.page_after(page, _SCOPE)

    def query(uow: UnitOfWork) -> ApiKeyList:
        found = service.list_operator_keys(uow, after=after, limit=page.limit)
        cursor = edge.next_cursor(found, _SCOPE)
        keys = [ApiKeyShape.of(key, uow.now) for key in found.items]
        return ApiKeyList(api_keys=keys, limit=page.limit, has_next=cursor is not None, next_cursor=cursor)

    return edge.read(query)


@router.get(
    "/api_keys/{api_key_id}", operation_id="admin_get_api_key", summary="Show one of the operator's keys", tags=_TAGS
)  # fmt: skip
def get_api_key(api_key_id: str, edge: EdgeDep) -> ApiKeyAnswer:
    _require(edge, Action.READ)
    key_id = ApiKeyId.parse(api_key_id)
    return edge.read(
        lambda uow: ApiKeyAnswer(api_key=ApiKeyShape.of(service.get_operator_key(uow, key_id), uow.now))
    )


@router.post(
    "/api_keys", operation_id="admin_create_api_key",
    summary="Create a key for one of the operator's people or a producer; its text is shown once",
    tags=_TAGS, status_code=201, response_model=ApiKeyCreated,
)  # fmt: skip
def create_api_key(body: OperatorKeyCreate, edge: EdgeDep) -> Response:
    _require(edge, Action.CREATE)
    maker, actor = key_maker(edge.settings), edge.principal.actor
    return edge.write(
        lambda uow: ApiKeyCreated.of(
            service.create_operator_key(
                uow, body.name, Role(body.role.value), body.expires_in_days, body.source, maker, actor=actor
            ),
            uow.now,
        ),
        status=201,
        redact=ApiKeyCreated.redacted,
    )


@router.post(
    "/api_keys/{api_key_id}/roll", operation_id="admin_roll_api_key",
    summary="Replace one of the operator's keys; the old one works for the overlap",
    tags=_TAGS, status_code=201, response_model=ApiKeyRolled,
)  # fmt: skip
def roll_api_key(api_key_id: str, body: ApiKeyRoll, edge: EdgeDep) -> Response:
    _require(edge, Action.UPDATE)
    key_id, maker, actor = ApiKeyId.parse(api_key_id), key_maker(edge.settings), edge.principal.actor

    def change(uow: UnitOfWork) -> ApiKeyRolled:
        issued, previous = service.roll_operator_key(uow, key_id, body.overlap_hours, maker, actor=actor)
        return ApiKeyRolled(
            api_key=ApiKeyCreatedShape.of_issued(issued, uow.now), previous=ApiKeyShape.of(previous, uow.now)
        )

    return edge.write(change, status=201, redact=ApiKeyRolled.redacted)


@router.delete(
    "/api_keys/{api_key_id}", operation_id="admin_revoke_api_key",
    summary="Refuse one of the operator's keys from now on", tags=_TAGS, response_model=ApiKeyAnswer,
)  # fmt: skip
def revoke_api_key(api_key_id: str, edge: EdgeDep) -> Response:
    _require(edge, Action.DELETE)
    key_id, actor = ApiKeyId.parse(api_key_id), edge.principal.actor
    return edge.write(
        lambda uow: ApiKeyAnswer(
            api_key=ApiKeyShape.of(service.revoke_operator_key(uow, key_id, actor=actor), uow.now)
        )
    )


@router.post(
    "/organizations/{organization_id}/recovery_keys", operation_id="admin_recover_organization",
    summary="Give an organization that has lost its keys an owner's key for a week; its text is shown once",
    tags=["admin: organizations"], status_code=201, response_model=ApiKeyCreated,
)  # fmt: skip
def recover_organization(organization_id: str, body: RecoveryRequest, edge: EdgeDep) -> Response:
    service.require_platform(edge.principal)
    service.require(edge.principal, Resource.API_KEY, Action.OPERATE)
    tenant_id, maker = TenantId.parse(organization_id), key_maker(edge.settings)
    actor = edge.principal.actor
    return edge.write(
        lambda uow: ApiKeyCreated.of(
            service.recover_access(uow, tenant_id, body.reason, maker, actor=actor), uow.now
        ),
        status=201,
        redact=ApiKeyCreated.redacted,
    )


def _require(edge: Edge, action: Action) -> None:
    service.require_platform(edge.principal)
    service.require(edge.principal, Resource.OPERATOR_KEY, action)
