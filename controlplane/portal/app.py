"""The application: its pages, its headers, and a readable page for whatever goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import redis
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, PlainTextResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.kernel.clock import Clock, SystemClock
from controlplane.plumbing import redis as plumbing_redis
from controlplane.plumbing.settings import Settings
from controlplane.portal import (
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
from controlplane.portal.errors import ForeignForm, PortalError, SignInNeeded, UnreadableForm, WrongDoor
from controlplane.portal.i18n import N_
from controlplane.portal.labels import PROBLEMS
from controlplane.portal.render import Renderer
from controlplane.portal.sessions import Sessions
from controlplane.portal.web import SESSION_COOKIE, Portal, SharedConnections, Visit
from controlplane.sdk import ApiError, ConnectionLost, Unauthenticated

log = structlog.get_logger()

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
            await _on_surprise(Request(scope), error)(scope, receive, with_headers)


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
        sessions=Sessions(store, settings.pepper, chosen),
        renderer=Renderer(),
        clock=chosen,
        api_url=settings.api_url,
        gateway_url=settings.gateway_url,
        connections=shared,
    )
    app.add_middleware(Edge)
    for error_type, handler in _HANDLERS.items():
        app.add_exception_handler(error_type, handler)
    for pages in PAGES:
        app.include_router(pages.router)
    _add_files(app)
    return app


def _add_files(app: FastAPI) -> None:
    files = app.state.portal.renderer.files

    @app.get("/healthz")
    def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        path = files.get(name)
        if path is None:
            return PlainTextResponse("There is no such file.", status_code=404)
        return FileResponse(path, headers={"Cache-Control": STATIC_CACHE})

    @app.get("/robots.txt")
    def robots() -> Response:
        return PlainTextResponse("User-agent: *\nDisallow: /\n")


def _problem_page(request: Request, status: int, title: str, sentence: str, **more: Any) -> Response:
    """Show what went wrong in the visitor's language, inside the site's frame when somebody is signed in."""
    visit = Visit(request, {})
    visit.session = getattr(request.state, "session", None)
    return visit.page(
        "problem.html", status=status, title=visit.translate(title), sentence=visit.translate(sentence),
        said=more.get("said", ""), request_id=more.get("request_id", ""),
    )  # fmt: skip


def _on_sign_in_needed(request: Request, error: Exception) -> Response:
    assert isinstance(error, SignInNeeded)
    visit = Visit(request, {})
    reason = {"reason": error.reason} if error.reason else {}
    if visit.is_partial:
        # htmx would put the sign-in page into the middle of this one: let the browser go there instead.
        response: Response = PlainTextResponse("", status_code=401, headers={"HX-Redirect": "/sign-in"})
    elif request.method == "GET":
        response = visit.go("/sign-in", next=visit.here, **reason)
    else:
        response = visit.go("/sign-in", **reason)
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


def _on_refused_by_portal(request: Request, error: Exception) -> Response:
    status, title, sentence = _REFUSALS[type(error)]
    log.info("portal_refused", reason=type(error).__name__, path=request.url.path)
    return _problem_page(request, status, title, sentence)


_REFUSALS: dict[type[Exception], tuple[int, str, str]] = {
    ForeignForm: (
        403,
        N_("This form was not accepted"),
        N_(
            "It did not come from a page of this site that was shown to you. Go back, load the page again and retry."
        ),
    ),
    UnreadableForm: (
        413,
        N_("This form was not accepted"),
        N_("It is too large, or cannot be read."),
    ),
    WrongDoor: (
        404,
        N_("There is nothing here"),
        N_("This page is not for the kind of key that you are signed in with."),
    ),
}


def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    if isinstance(error, Unauthenticated):
        session = getattr(request.state, "session", None)
        if session is not None:
            request.app.state.portal.sessions.close(session.id)
        return _on_sign_in_needed(request, SignInNeeded("key"))
    if error.status >= 500 or error.status == 429:
        log.warning("api_failed", status=error.status, code=error.code, path=request.url.path)
        sentence = N_("The platform cannot answer just now. Nothing is lost; try again in a moment.")
        return _problem_page(request, 503, N_("Try again in a moment"), sentence, request_id=error.request_id)
    title = N_("There is nothing here") if error.status == 404 else N_("This was refused")
    sentence = PROBLEMS.get(error.code, N_("The platform refused this request."))
    said = "" if error.status == 404 else error.message
    return _problem_page(request, error.status, title, sentence, said=said, request_id=error.request_id)


def _on_silence(request: Request, error: Exception) -> Response:
    log.warning("api_silent", path=request.url.path, detail=str(error))
    sentence = N_(
        "The platform's API does not answer. What you have running goes on running; try again soon."
    )
    return _problem_page(request, 502, N_("The platform does not answer"), sentence)


def _on_redis_error(request: Request, error: Exception) -> Response:
    log.warning("sessions_unavailable", path=request.url.path, detail=str(error))
    sentence = N_("Sessions cannot be read just now. Try again in a moment.")
    return _problem_page(request, 503, N_("Try again in a moment"), sentence)


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = N_("There is no page at this address.")
    return _problem_page(request, error.status_code, N_("There is nothing here"), sentence)


def _on_bad_address(request: Request, error: Exception) -> Response:
    del error
    return _problem_page(request, 404, N_("There is nothing here"), N_("There is no page at this address."))


def _on_surprise(request: Request, error: Exception) -> Response:
    log.error("page_failed", path=request.url.path, method=request.method, exc_info=error)
    sentence = N_("Something went wrong on our side; our logs say what.")
    return _problem_page(request, 500, N_("This page failed"), sentence)


_HANDLERS: dict[Any, Callable[[Request, Exception], Response]] = {
    SignInNeeded: _on_sign_in_needed,
    PortalError: _on_refused_by_portal,
    ApiError: _on_api_error,
    ConnectionLost: _on_silence,
    redis.RedisError: _on_redis_error,
    RequestValidationError: _on_bad_address,
    HTTPException: _on_http_error,
}
