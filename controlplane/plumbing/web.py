"""The HTTP edge that all routers share: one unit of work a request, problem documents, idempotency, ETags, pages.

Sources: RFC 9457 (problem+json), RFC 9110 §8.8.3 and §13 (ETag, If-Match), RFC 6585 §3 (428).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import orjson
import psycopg
from fastapi import Depends, Header, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from controlplane.kernel.errors import (
    InvalidInput,
    PreconditionFailed,
    PreconditionRequired,
    RempartError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from controlplane.kernel.principal import Principal
from controlplane.plumbing.cursors import PAGE_DEFAULT, PAGE_MAX, Page, decode_cursor, encode_cursor
from controlplane.plumbing.database import Database, UnitOfWork
from controlplane.plumbing.idempotency import StoredResponse, hash_request, replay_or_begin, store_response
from controlplane.plumbing.settings import Settings
from controlplane.plumbing.versions import check_version

__all__ = [
    "ERRORS",
    "Edge",
    "EdgeDep",
    "Paging",
    "PagingDep",
    "Problem",
    "WireModel",
    "check_version",
    "outage_of",
    "outage_response",
    "problem_response",
]

T = TypeVar("T")
# The escape of U+0000, unless its backslash is itself escaped.
_NUL_IN_JSON = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
PROBLEM_TYPE_BASE = "https://rempart.eu/problems/"


class WireModel(BaseModel):
    """Base of all wire shapes: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class ProblemField(BaseModel):
    """One refused field."""

    field: str = Field(description="Where it is, dotted.", examples=["body.name"])
    message: str = Field(description="What is wrong with it.", examples=["Field required"])
    code: str = Field(description="Stable code of the rule that it breaks.", examples=["missing"])


class Problem(BaseModel):
    """RFC 9457 problem document, as every error of the API is answered."""

    type: str = Field(description="Names the kind of problem.", examples=[PROBLEM_TYPE_BASE + "not_found"])
    title: str = Field(description="The kind of problem for people.", examples=["Not found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What happened, in a sentence.", examples=["There is no such app."])
    code: str = Field(description="Stable code to decide on.", examples=["not_found"])
    message: str = Field(description="The same as `detail`.", examples=["There is no such app."])
    request_id: str = Field(
        description="Finds the request in the logs.", examples=["req_01jd00000000000000000000a0"]
    )
    errors: list[ProblemField] = Field(
        default=[], description="Every refused field; empty if it is not about one."
    )


class DatabaseAway(Unavailable):
    """The database is not there, is ending or starting, or gave up on a statement that waited too long."""

    code = "database_unavailable"


# Recovery after a crash takes seconds; who asks sooner only waits in line.
DATABASE_RETRY_SECONDS = 2
_READ_ONLY = psycopg.errors.ReadOnlySqlTransaction


def outage_of(error: Exception) -> DatabaseAway | None:
    """Return what to answer when an error means that the database could not do its work just now; else None.

    A lost connection, a server that is shutting down or recovering, a full disk or connection table, a pool
    without a free connection, a timeout, a deadlock: all of them end a transaction without its commit, except
    that a connection lost during the commit leaves open whether it happened.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, (psycopg.OperationalError, psycopg.InterfaceError, _READ_ONLY, PoolTimeout)):
        return None
    return DatabaseAway(
        "The database does not answer just now. Send the request again; a POST with the same Idempotency-Key "
        "is done once."
    )


def outage_response(error: DatabaseAway, request_id: str) -> Response:
    return problem_response(error, request_id, {"Retry-After": str(DATABASE_RETRY_SECONDS)})


def problem_response(
    error: RempartError, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    body = {
        "type": PROBLEM_TYPE_BASE + error.code,
        "title": error.code.replace("_", " ").capitalize(),
        "status": error.http_status,
        "detail": error.message,
        "code": error.code,
        "message": error.message,
        "request_id": request_id,
        "errors": [{"field": f.field, "message": f.message, "code": f.code} for f in error.fields],
    }
    extra = dict(headers or {})
    if isinstance(error, TooManyRequests):
        extra.setdefault("Retry-After", str(error.retry_after_seconds))
    if error.is_retryable:
        extra.setdefault("Retry-After", "1")
    return Response(
        orjson.dumps(body),
        status_code=error.http_status,
        media_type="application/problem+json",
        headers=extra,
    )


# What OpenAPI says every authenticated operation can answer.
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text, "content": {"application/problem+json": {}}}
    for status, text in {
        401: "The key is missing, wrong, expired or revoked.",
        403: "The caller's role does not allow this.",
        404: "No such resource for this caller.",
        409: "The resource's state does not allow this, or the name is taken.",
        422: "The request is not understood; `errors` names each field.",
        429: "Too much was asked for in a short time: send the same again after Retry-After.",
        503: "The database does not answer just now: send the same again after Retry-After.",
    }.items()
}


class Edge:
    """One request as a router sees it: who calls, and how to read or change rows in one transaction."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.database: Database = request.app.state.database
        self.settings: Settings = request.app.state.settings
        self.request_id: str = request.state.request_id

    @property
    def principal(self) -> Principal:
        principal: Principal | None = getattr(self.request.state, "principal", None)
        if principal is None:
            raise Unauthenticated("This request needs an API key: send it as 'Authorization: Bearer rmp_…'.")
        return principal

    def read(self, query: Callable[[UnitOfWork], T]) -> T:
        """Run a query in a read-only transaction of the caller's tenant (or of the platform)."""
        with self._open(is_read_only=True) as uow:
            return query(uow)

    def write(
        self,
        change: Callable[[UnitOfWork], BaseModel | None],
        *,
        status: int = 200,
        etag: Callable[[Any], int | None] | None = None,
        redact: Callable[[Any], BaseModel] | None = None,
    ) -> Response:
        """Run a change and answer with its result; honours `Idempotency-Key` on POST.

        The stored answer, the rows, the audit line and the events commit together or not at all. `redact` takes
        what is shown once out of the answer that is stored: a repeated request does not see it again.
        """
        key = self.request.headers.get("Idempotency-Key") if self.request.method == "POST" else None
        scope = self._scope()
        with self._open() as uow:
            hashes = hash_request(
                self.settings.token_ring, self.request.method, self.request.url.path, self.request.state.body
            )
            if key is not None:
                stored = replay_or_begin(uow, scope, key, hashes)
                if stored is not None:
                    return _respond(stored, is_replay=True)
            result = change(uow)
            stored = StoredResponse(
                status=status if result is not None else 204,
                body=b"" if result is None else result.model_dump_json(by_alias=True).encode(),
                etag=None if etag is None or result is None else f'"{etag(result)}"',
            )
            if key is not None:
                kept = stored
                if redact is not None and result is not None:
                    kept = replace(stored, body=redact(result).model_dump_json(by_alias=True).encode())
                store_response(uow, scope, key, hashes[0], kept)
        return _respond(stored)

    def answer(self, result: BaseModel, version: int | None = None) -> Response:
        """Answer a read with its ETag."""
        return _respond(
            StoredResponse(
                200,
                result.model_dump_json(by_alias=True).encode(),
                None if version is None else f'"{version}"',
            )
        )

    def expected_version(self) -> int:
        """Return the version in `If-Match`; 428 when it is missing, 412 when it cannot match anything."""
        header = self.request.headers.get("If-Match")
        if header is None:
            raise PreconditionRequired("Send If-Match with the ETag of the version that you mean to change.")
        text = header.strip().removeprefix("W/").strip('"')
        if not text.isdigit() or len(text) > 9:
            raise PreconditionFailed("If-Match does not hold an ETag of this resource.")
        return int(text)

    def page_after(self, paging: Paging, scope: str) -> Any:
        return (
            None if paging.cursor is None else decode_cursor(paging.cursor, scope, self.settings.token_ring)
        )

    def next_cursor(self, page: Page[Any], scope: str) -> str | None:
        return (
            None
            if page.next_after is None
            else encode_cursor(page.next_after, scope, self.settings.token_ring)
        )

    def _open(self, *, is_read_only: bool = False) -> Any:
        principal: Principal | None = getattr(self.request.state, "principal", None)
        if principal is None or principal.tenant_id is None:
            return self.database.system(is_read_only=is_read_only)
        return self.database.tenant(principal.tenant_id, is_read_only=is_read_only)

    def _scope(self) -> str:
        principal: Principal | None = getattr(self.request.state, "principal", None)
        if principal is None:
            # Strangers share no answers: a key that somebody guesses shows nothing of another's request.
            return f"anonymous {getattr(self.request.state, 'address', '')}"[:64]
        return "platform" if principal.tenant_id is None else str(principal.tenant_id)


class Paging(BaseModel):
    """`limit` and `cursor` of a list."""

    limit: int = PAGE_DEFAULT
    cursor: str | None = None


def paging(
    limit: Annotated[
        int, Query(ge=1, le=PAGE_MAX, description="How many items a page holds.")
    ] = PAGE_DEFAULT,
    cursor: Annotated[
        str | None, Query(max_length=200, description="`next_cursor` of the page before.")
    ] = None,
) -> Paging:
    return Paging(limit=limit, cursor=cursor)


async def edge(
    request: Request,
    idempotency_key: Annotated[  # noqa: ARG001 - read by Edge.write; named here so that OpenAPI shows it
        str | None, Header(description="Repeat a POST safely: the first answer is given again for 24 hours.")
    ] = None,
) -> Edge:
    """FastAPI dependency: read the (bounded) body once and hand out the Edge."""
    request.state.body = await request.body()
    _refuse_nul(request.scope["path"], request.scope["query_string"], request.state.body)
    return Edge(request)


def _refuse_nul(path: str, query: bytes, body: bytes) -> None:
    """PostgreSQL's text holds every character but this one; nobody means it."""
    # The pattern is tried at every byte of a body of megabytes; the plain search before it takes a hundredth of that.
    if "\x00" in path or b"%00" in query or (b"\\u0000" in body and _NUL_IN_JSON.search(body)):
        raise InvalidInput("A text must not hold the character U+0000.")


EdgeDep = Annotated[Edge, Depends(edge)]
PagingDep = Annotated[Paging, Depends(paging)]


def _respond(stored: StoredResponse, *, is_replay: bool = False) -> Response:
    headers = {} if stored.etag is None else {"ETag": stored.etag}
    if is_replay:
        headers["Idempotent-Replayed"] = "true"
    if stored.status == 204:
        return Response(status_code=204, headers=headers)
    return Response(stored.body, status_code=stored.status, media_type="application/json", headers=headers)
