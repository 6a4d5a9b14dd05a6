"""The REST door: `python -m controlplane.entrypoints.api`. Routers come from the rooms; this file only wires."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from threading import Lock
from typing import Any

import anyio.to_thread
import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy import text
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.entrypoints.admin_rules import ADMIN_PREFIX, right_of
from controlplane.entrypoints.admission import KEY_MISSING, Admission, bearer_of
from controlplane.entrypoints.openapi_rules import complete
from controlplane.entrypoints.reference import add_reference
from controlplane.entrypoints.refusal_keeper import RefusalKeeper
from controlplane.entrypoints.routers import PUBLIC_ROUTERS, ROUTERS
from controlplane.identity import service as identity
from controlplane.kernel.errors import (
    FieldProblem,
    Forbidden,
    InvalidInput,
    NotFound,
    RempartError,
    Unauthenticated,
    Unavailable,
)
from controlplane.plumbing.address_rules import written_address
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.database import Database
from controlplane.plumbing.http_server import make_server
from controlplane.plumbing.logging import configure
from controlplane.plumbing.metrics import serve_metrics
from controlplane.plumbing.query import refuse_unknown
from controlplane.plumbing.rate_limit import RateLimiter
from controlplane.plumbing.refusal_counts import RefusalCounts
from controlplane.plumbing.request_log import Asker, RequestLog
from controlplane.plumbing.settings import Settings, load_settings
from controlplane.plumbing.web import ERRORS, outage_of, outage_response, problem_response

log = structlog.get_logger()

# A definition with its config files fits; anything larger is not one of our requests.
BODY_BYTES_MAX = 1 << 20
# Producers send usage in batches of thousands; anybody else's body is refused there before it is read as JSON.
LARGE_BODIES = {"/v1/usage_events": 8 << 20}
# What all requests hold together: far below the memory that the chart gives this program.
BODY_BYTES_HELD_MAX = 64 << 20
READY_SECONDS = 1.0
BODIES_BUSY = "Too many large requests are being taken in just now; send this one again."
SURPRISE = "Something went wrong on our side; the request id finds it in the logs."


class PayloadTooLarge(RempartError):
    code = "payload_too_large"
    http_status = 413


class MethodNotAllowed(RempartError):
    code = "method_not_allowed"
    http_status = 405


class BodyLimit:
    """Refuse bodies over the bound while they arrive, declared length or not; and those that all together are."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0
        allowed = LARGE_BODIES.get(scope["path"], BODY_BYTES_MAX)

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            arrived = len(message.get("body", b""))
            received += arrived
            self.held += arrived
            # FastAPI passes on this kind of error alone from where it reads a body.
            if received > allowed:
                raise HTTPException(PayloadTooLarge.http_status)
            if self.held > BODY_BYTES_HELD_MAX:
                raise HTTPException(503, BODIES_BUSY, {"Retry-After": "1"})
            return message

        try:
            await self.app(scope, bounded, send)
        finally:
            self.held -= received


class DescribedApi(FastAPI):
    """An application whose `/openapi.json` says all that the edge does."""

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = complete(super().openapi())
        return self.openapi_schema


def authenticate(request: Request) -> None:
    """Check the caller's key before any handler runs."""
    raw_key = bearer_of(request.headers.get("Authorization", ""))
    if raw_key is None:
        raise Unauthenticated(KEY_MISSING, reason="missing_key")
    database: Database = request.app.state.database
    settings: Settings = request.app.state.settings
    with database.system(is_read_only=True) as uow:
        holder = identity.look_up(uow, raw_key, settings.hash_ring)
        now = uow.now
    if holder.key is not None:
        # Before anything is refused: a refusal names whose key it was, revoked or not.
        tenant_id = holder.key.tenant_id
        request.state.asker = Asker(str(holder.key.id), None if tenant_id is None else str(tenant_id))
    principal = identity.admit(holder, now)
    identity.require_open(principal, request.method)
    if request.url.path.startswith(ADMIN_PREFIX):
        # Each handler checks too; a handler that forgets is still behind this door.
        identity.require_platform(principal)
        right = right_of(request.method, request.scope["route"].path)
        if right is None:
            raise Forbidden("No role of the platform operator has this operation.")
        identity.require(principal, *right)
    request.state.principal = principal
    recent_uses: identity.RecentUses = request.app.state.recent_uses
    if recent_uses.is_due(principal.key_id, now):
        with database.system() as uow:
            identity.record_use(uow, principal.key_id, raw_key, settings.hash_ring)


def create_app(settings: Settings, database: Database | None = None) -> FastAPI:
    """Build the application; tests give their own database."""
    owned = database or Database(settings)

    refusals = RefusalCounts()

    @asynccontextmanager
    async def lifespan(started: FastAPI) -> AsyncIterator[None]:
        keeper = RefusalKeeper(refusals, owned)
        keeper.start()
        yield
        await anyio.to_thread.run_sync(keeper.stop)
        await started.state.limiter.close()
        owned.dispose()

    app = DescribedApi(
        title="Rempart",
        version="1",
        summary="Sovereign AI cloud: deploy models where the law you chose applies, and prove it.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.database = owned
    app.state.settings = settings
    app.state.recent_uses = identity.RecentUses()
    app.state.clusters = Clusters(settings.kubeconfig)
    app.state.limiter = RateLimiter(settings.redis_url)
    app.state.refusals = refusals
    app.add_middleware(BodyLimit)
    app.add_middleware(Admission, settings=settings, limiter=app.state.limiter)
    # Outermost: what it wraps is answered, written and counted, whatever becomes of it.
    address_of = partial(written_address, settings.trusted_networks)
    app.add_middleware(
        RequestLog, program="api", answer_error=_answer_surprise, address_of=address_of,
        collections=_collections(), note_refusal=refusals.note,
    )  # fmt: skip
    for error_type, handler in _HANDLERS.items():
        app.add_exception_handler(error_type, handler)
    app.router.routes.extend(_operations())
    _add_health(app, owned)
    add_reference(app)
    return app


@cache
def _operations() -> tuple[BaseRoute, ...]:
    """Every operation of the rooms, the same for each application of this process.

    FastAPI prepares an included router at its first request; for all of them that is some 0.4 s of CPU, paid once.
    """
    operations = APIRouter()
    for router in PUBLIC_ROUTERS:
        operations.include_router(router, dependencies=[Depends(refuse_unknown)])
    for router in ROUTERS:
        checks = [Depends(authenticate), Depends(refuse_unknown)]
        operations.include_router(router, dependencies=checks, responses=ERRORS)
    return tuple(operations.routes)


@cache
def _collections() -> frozenset[str]:
    """The paths of all collections: `/v1/services`, `/v1/admin/organizations`."""
    paths = (path.split("/") for router in (*PUBLIC_ROUTERS, *ROUTERS) for path in _paths(router))
    return frozenset("/".join(parts[: 4 if parts[2:3] == ["admin"] else 3]) for parts in paths)


def _paths(router: APIRouter) -> Iterator[str]:
    for route in router.routes:
        # FastAPI keeps an included router whole.
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield getattr(route, "path", "")
        else:
            yield from _paths(inner)


def _add_health(app: FastAPI, database: Database) -> None:
    @app.get("/healthz", include_in_schema=False)
    def live() -> dict[str, str]:
        return {"status": "ok"}

    asking, asked_at = Lock(), -READY_SECONDS

    @app.get("/readyz", include_in_schema=False)
    def ready() -> dict[str, str]:
        nonlocal asked_at
        with asking:
            # Anybody may ask; the database is asked once a second all the same.
            if time.monotonic() - asked_at >= READY_SECONDS:
                with database.system(is_read_only=True) as uow:
                    uow.session.execute(text("SELECT 1"))
                asked_at = time.monotonic()
        return {"status": "ready"}


def _answer_surprise(request: Request, error: Exception) -> Response:
    """Turn what no handler caught into a problem document."""
    request_id = request.state.request_id
    if isinstance(error, RempartError):
        return _problem(request, error)
    outage = outage_of(error)
    if outage is None:
        log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
        return _problem(request, RempartError(SURPRISE))
    reason = type(error).__name__
    log.warning("database_unavailable", method=request.method, path=request.url.path, reason=reason)
    request.state.problem_code = outage.code
    return outage_response(outage, request_id)


def _problem(request: Request, error: RempartError, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document whose code the request's line shows, too."""
    request.state.problem_code = error.code
    request.state.refusal_reason = error.reason if isinstance(error, Unauthenticated) else ""
    return problem_response(error, request.state.request_id, headers)


async def _on_rempart_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RempartError)
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None
    return _problem(request, error, headers)


async def _on_bad_shape(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = tuple(
        FieldProblem(".".join(str(part) for part in problem["loc"]), problem["msg"], problem["type"])
        for problem in error.errors()[:50]
    )
    return await _on_rempart_error(
        request, InvalidInput("The request is not understood; see `errors` for each field.", fields=fields)
    )


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known: RempartError
    if error.status_code == 404:
        known = NotFound("There is nothing at this path.")
    elif error.status_code == 405:
        known = MethodNotAllowed(f"{request.method} is not possible at this path.")
    elif error.status_code == PayloadTooLarge.http_status:
        allowed = LARGE_BODIES.get(request.url.path, BODY_BYTES_MAX)
        known = PayloadTooLarge(f"The request body is larger than {allowed} bytes.")
    elif error.status_code == 400:
        known = InvalidInput("The body is not valid JSON.")
    else:
        known = Unavailable(str(error.detail))
    return _problem(request, known, dict(error.headers or {}))


_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    RempartError: _on_rempart_error,
    RequestValidationError: _on_bad_shape,
    HTTPException: _on_http_error,
}


def main() -> None:
    settings = load_settings()
    configure("api", settings.log_level)
    serve_metrics(settings.metrics_port, settings.metrics_host)
    app = create_app(settings)
    make_server(app, settings, settings.api_host, settings.api_port, stop_seconds=25).run()


if __name__ == "__main__":
    main()
