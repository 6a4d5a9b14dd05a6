"""What the room's routers share: who may enter, page fields, filter values."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, TypeVar

from controlplane.identity.service import require
from controlplane.kernel.access import Action, Resource, tenant_of
from controlplane.kernel.errors import FieldProblem, InvalidInput
from controlplane.kernel.ids import Id, ProjectId
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.web import Edge, Paging

I = TypeVar("I", bound=Id)  # noqa: E741 - the type variable of an Id
S = TypeVar("S", bound=StrEnum)
STATUSES_MAX = 20


def enter(edge: Edge, resource: Resource, action: Action) -> ProjectId | None:
    """Let a tenant's caller in who may do this; return the project that its key is bound to.

    Errors: Forbidden, also for the platform operator, to whom no tenant's services belong.
    """
    require(edge.principal, resource, action)
    tenant_of(edge.principal)
    return edge.principal.project_id


def reach(bound: ProjectId | None, wanted: str | None) -> ProjectId | None:
    """Which project a list is limited to; a key that is bound to one never sees another."""
    asked = parse(ProjectId, wanted)
    return bound if bound is not None else asked


def parse(kind: type[I], text: str | None) -> I | None:
    return None if text is None else kind.parse(text)


def parse_statuses(kind: type[S], texts: Sequence[str]) -> list[S]:
    """Read status filters; InvalidInput names the first that is none."""
    found: list[S] = []
    for text in texts[:STATUSES_MAX]:
        try:
            found.append(kind(text))
        except ValueError as err:
            known = ", ".join(kind)
            raise InvalidInput(
                f"'{text[:40]}' is not a status; known are {known}.",
                fields=(FieldProblem("statuses", "is not a status", "unknown"),),
            ) from err
    return found


def page_fields(edge: Edge, paging: Paging, page: Page[Any], scope: str) -> dict[str, Any]:
    cursor = edge.next_cursor(page, scope)
    return {"limit": paging.limit, "has_next": cursor is not None, "next_cursor": cursor}
