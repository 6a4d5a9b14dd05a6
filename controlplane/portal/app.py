"""The application: its pages, its headers, and a readable page for whatever goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import redis
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, PlainTextResponse
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.kernel.clock import Clock, SystemClock
from controlplane.plumbing import redis as plumbing_redis
from controlplane.plumbing.address_rules import written_address
from controlplane.plumbing.request_log import RequestLog
from controlplane.plumbing.settings import Settings
from controlplane.portal import (
    health,
    pages_audit,
    pages_invoices,
    pages_keys,
    pages_operator,
    pages_overview,
    pages_playground,
    pages_service_changes,
    pages_services,
    pages_sign_in,
    pages_usage,
)
from controlplane.portal.admission import Admission
from controlplane.portal.connections import SharedConnections
from controlplane.portal.problems import HANDLERS, busy_page, on_surprise
from controlplane.portal.render import Renderer
from controlplane.portal.sessions import Sessions
from controlplane.portal.web import SESSION_COOKIE, Portal

# Nothing but this site's own files, no inline script or style, no plug-in, no frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Strict-Transport-Security": "max-age=31536000",
}
# A file's address carries a hash of its content.
STATIC_CACHE = "public, max-age=31536000, immutable"
PAGES = (
    pages_sign_in,
    pages_overview,
    pages_service_changes,
    pages_services,
    pages_playground,
    pages_usage,
    pages_invoices,
    pages_keys,
    pages_audit,
    pages_operator,
)


class Edge:
    """Put the headers on every answer, errors too; a page that fails is answered with one that says so."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except Exception as error:
            if has_begun or scope["type"] != "http":
                raise
            await on_surprise(Request(scope), error)(scope, receive, with_headers)


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    client: redis.Redis | None = None,
    connections: SharedConnections | None = None,
) -> FastAPI:
    """Build the application; tests give their own clock."""
    chosen = clock or SystemClock()
    store = client or plumbing_redis.connect(settings.redis_url)
    shared = connections or SharedConnections()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        shared.dispose()
        store.close()

    app = FastAPI(title="Rempart portal", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.portal = Portal(
        sessions=Sessions(store, settings.session_ring, chosen),
        renderer=Renderer(),
        clock=chosen,
        api_url=settings.api_url,
        gateway_url=settings.gateway_url,
        connections=shared,
        trusted_networks=settings.trusted_networks,
    )
    app.state.health = health.HealthChecks()
    # The last one added is the outermost.
    app.add_middleware(Admission, refuse=busy_page, session_cookie=SESSION_COOKIE)
    app.add_middleware(Edge)
    # Outermost: what a page's error layer answers is written and counted, too.
    app.add_middleware(
        RequestLog, program="portal", address_of=partial(written_address, settings.trusted_networks)
    )
    for error_type, handler in HANDLERS.items():
        app.add_exception_handler(error_type, handler)
    app.include_router(health.router)
    for pages in PAGES:
        app.include_router(pages.router)
    _add_files(app)
    return app


def _add_files(app: FastAPI) -> None:
    files = app.state.portal.renderer.files

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        path = files.get(name)
        if path is None:
            return PlainTextResponse("There is no such file.", status_code=404)
        return FileResponse(path, headers={"Cache-Control": STATIC_CACHE})

    @app.get("/robots.txt")
    def robots() -> Response:
        return PlainTextResponse("User-agent: *\nDisallow: /\n")
