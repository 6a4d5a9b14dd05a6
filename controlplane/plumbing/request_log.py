"""One line, one id, one trace and one count for each request: the outermost layer of every program that serves HTTP.

The id that a person is shown (`X-Request-Id`, `request_id` of a problem) stands in this line, with who asked, from
where, what for, and how it ended. Neither query strings nor bodies are written: they can hold what is private.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.kernel.ids import RequestId
from controlplane.plumbing.metrics import REFUSALS, REQUEST_SECONDS, REQUESTS
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
class Origin:
    """Where the running request came from: its id, its trace, the address and the program that sent it."""

    request_id: str
    traceparent: str
    client_address: str
    user_agent: str


_origin: ContextVar[Origin | None] = ContextVar("request_origin", default=None)


def current_origin() -> Origin | None:
    """The origin of the request that this code runs for; None outside a request."""
    return _origin.get()


# Turns what a handler raised into an answer; gives the request and the error.
AnswerError = Callable[[Request, Exception], Response]
AddressOf = Callable[[Scope], str]


def peer_address(scope: Scope) -> str:
    """The address at the other end of the connection."""
    client = scope.get("client")
    return str(client[0]) if client else ""


class RequestLog:
    """Give each request its id and trace, answer what nobody caught, then write and count it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        program: str,
        answer_error: AnswerError | None = None,
        address_of: AddressOf = peer_address,
    ) -> None:
        self.app = app
        self.program = program
        self.answer_error = answer_error
        self.address_of = address_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        trace = join_trace(
            headers.get("traceparent"), new_trace_id=secrets.token_hex(16), new_span_id=secrets.token_hex(8)
        )
        request_id = str(RequestId.new())
        scope.setdefault("state", {})["request_id"] = request_id
        agent = headers.get("user-agent", "")[:AGENT_LENGTH_MAX]
        origin = Origin(request_id, trace.traceparent, self.address_of(scope), agent)
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
        if is_refused:
            REFUSALS.labels(self.program, operation, code or str(status)).inc()
        if scope["path"] in SILENT_PATHS:
            return
        key_id, tenant_id = _caller_of(state)
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
            "key_id": key_id,
            "tenant_id": tenant_id,
        }
        write = log.warning if is_refused else log.info
        write("request_refused" if is_refused else "request", **line)


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


def _caller_of(state: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The key and the organization that asked, as the API's check of a key or a portal's session found them."""
    principal, session = state.get("principal"), state.get("session")
    if principal is not None:
        return principal.actor, None if principal.tenant_id is None else str(principal.tenant_id)
    if session is not None:
        return str(session.key_id), str(session.organization_id) or None
    return None, None


def operation_of(scope: Scope) -> str:
    """The operation's id (or its route's path) that answers this request: a name from a fixed set."""
    route = scope.get("route")
    named = getattr(route, "operation_id", None) or getattr(route, "path", None)
    return str(named) if named else NO_OPERATION
