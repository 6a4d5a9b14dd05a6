"""One line, one id, one trace and one count for each request: the outermost layer of every program that serves HTTP.

The id that a person is shown (`X-Request-Id`, `request_id` of a problem) stands in this line, with who asked, from
where, what for, and how it ended. Neither query strings nor bodies are written: they can hold what is private.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Set
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.kernel.ids import RequestId
from controlplane.kernel.principal import Principal
from controlplane.plumbing.address_rules import bucket_of, parse_address
from controlplane.plumbing.metrics import FAILED_AUTHENTICATIONS, REFUSALS, REQUEST_SECONDS, REQUESTS
from controlplane.plumbing.refusal_rules import Refusal, RefusalKind, kind_of
from controlplane.plumbing.trace_rules import Trace, join_trace, readable_client_id

log = structlog.get_logger()

# What a line holds of a text that the caller chose.
AGENT_LENGTH_MAX = 200
PATH_LENGTH_MAX = 300
# A program's label for requests that no route answers.
NO_OPERATION = "none"
# Asked every few seconds by probes: counted, but not written.
SILENT_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
REFUSED_STATUSES = frozenset({401, 403, 429})


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose key a request carried, whether or not it was let in: wire ids."""

    key_id: str | None
    tenant_id: str | None


NOBODY = Asker(None, None)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the running request came from: its id, its trace, the address and the program that sent it.

    `state` is the request's own, where whoever checks its key says whose it is.
    """

    request_id: str
    traceparent: str
    client_address: str
    user_agent: str
    state: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def asker(self) -> Asker:
        return asker_of(self.state)


_origin: ContextVar[Origin | None] = ContextVar("request_origin", default=None)


def current_origin() -> Origin | None:
    """The origin of the request that this code runs for; None outside a request."""
    return _origin.get()


# Turns what a handler raised into an answer; gives the request and the error.
AnswerError = Callable[[Request, Exception], Response]
AddressOf = Callable[[Scope], str]
NoteRefusal = Callable[[Refusal, datetime], None]


def peer_address(scope: Scope) -> str:
    """The address at the other end of the connection."""
    client = scope.get("client")
    return str(client[0]) if client else ""


class RequestLog:
    """Give each request its id and trace, answer what nobody caught, then write and count it.

    `collections` are the paths of the API's collections: where a request is refused before its route is looked for,
    they say what it was for. `note_refusal` is told of every refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        program: str,
        answer_error: AnswerError | None = None,
        address_of: AddressOf = peer_address,
        collections: Set[str] = frozenset(),
        note_refusal: NoteRefusal | None = None,
    ) -> None:
        self.app = app
        self.program = program
        self.answer_error = answer_error
        self.address_of = address_of
        self.collections = collections
        self.note_refusal = note_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        trace = join_trace(
            headers.get("traceparent"), new_trace_id=secrets.token_hex(16), new_span_id=secrets.token_hex(8)
        )
        request_id = str(RequestId.new())
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        agent = headers.get("user-agent", "")[:AGENT_LENGTH_MAX]
        origin = Origin(request_id, trace.traceparent, self.address_of(scope), agent, state)
        answer = _Answer(send, origin)
        token = _origin.set(origin)
        begun = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id, trace_id=trace.trace_id):
            try:
                await self._run(scope, receive, answer)
            finally:
                _origin.reset(token)
                self._write(scope, headers, origin, trace, answer, time.perf_counter() - begun)

    async def _run(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self.app(scope, receive, answer)
        except Exception as error:
            if answer.status is not None or self.answer_error is None:
                raise
            await self.answer_error(Request(scope), error)(scope, receive, answer)

    def _write(
        self, scope: Scope, headers: Headers, origin: Origin, trace: Trace, answer: _Answer, seconds: float
    ) -> None:
        operation = operation_of(scope)
        # Nobody was answered: the client left, or the handler broke off in the middle.
        status = answer.status or 499
        REQUESTS.labels(self.program, operation, str(status)).inc()
        REQUEST_SECONDS.labels(self.program, operation).observe(seconds)
        state = scope["state"]
        code = state.get("problem_code", "")
        is_refused = status in REFUSED_STATUSES
        asker = asker_of(state)
        if is_refused:
            REFUSALS.labels(self.program, operation, code or str(status)).inc()
        self._count(scope, status, code, asker, origin)
        if scope["path"] in SILENT_PATHS:
            return
        line: dict[str, Any] = {
            "method": scope["method"],
            "path": scope["path"][:PATH_LENGTH_MAX],
            "operation": operation,
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
            "answer_bytes": answer.size,
            "client_address": origin.client_address,
            "user_agent": origin.user_agent,
            "span_id": trace.span_id,
            "parent_span_id": trace.parent_id or None,
            "client_request_id": readable_client_id(headers.get("x-request-id")),
            "code": code or None,
            "key_id": asker.key_id,
            "tenant_id": asker.tenant_id,
        }
        write = log.warning if is_refused else log.info
        write("request_refused" if is_refused else "request", **line)

    def _count(self, scope: Scope, status: int, code: str, asker: Asker, origin: Origin) -> None:
        """Count a refusal by what an attack is looked for by."""
        kind = kind_of(status, code)
        if kind is None:
            return
        reason = scope["state"].get("refusal_reason") or code or str(status)
        route = operation_of(scope)
        if route == NO_OPERATION:
            route = collection_of(scope["path"], self.collections)
        if kind is RefusalKind.FAILED_AUTHENTICATION:
            FAILED_AUTHENTICATIONS.labels(self.program, route, reason).inc()
        if self.note_refusal is not None:
            address = bucket_of(parse_address(origin.client_address))
            refusal = Refusal(kind, reason, route, address, asker.key_id, asker.tenant_id)
            self.note_refusal(refusal, datetime.now(UTC))


class _Answer:
    """Pass an answer on with its id, and remember how it began and how much it was."""

    def __init__(self, send: Send, origin: Origin) -> None:
        self._send = send
        self._origin = origin
        self.status: int | None = None
        self.size = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._origin.request_id
            headers.setdefault("Cache-Control", "no-store")
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
        await self._send(message)


def asker_of(state: Mapping[str, Any]) -> Asker:
    """The key and the organization that asked, as the API's check of a key or a portal's session found them."""
    principal: Principal | None = state.get("principal")
    if principal is not None:
        return Asker(principal.actor, None if principal.tenant_id is None else str(principal.tenant_id))
    session = state.get("session")
    if session is not None:
        return Asker(str(session.key_id), str(session.organization_id) or None)
    known: Asker = state.get("asker", NOBODY)
    return known


def operation_of(scope: Scope) -> str:
    """The operation's id (or its route's path) that answers this request: a name from a fixed set."""
    route = scope.get("route")
    named = getattr(route, "operation_id", None) or getattr(route, "path", None)
    return str(named) if named else NO_OPERATION


def collection_of(path: str, known: Set[str]) -> str:
    """The collection that a path lies in: a name from a fixed set, so that nobody can invent one."""
    parts = path.split("/", 4)
    for length in (4, 3):
        found = "/".join(parts[:length])
        if found in known:
            return found
    return NO_OPERATION
