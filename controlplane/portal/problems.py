"""A readable page for whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import redis
import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from controlplane.portal.errors import ForeignForm, PortalError, SignInNeeded, UnreadableForm, WrongDoor
from controlplane.portal.format_rules import duration
from controlplane.portal.i18n import N_
from controlplane.portal.labels import PROBLEMS
from controlplane.portal.request_rules import own_page, safe_next
from controlplane.portal.web import SESSION_COOKIE, Visit
from controlplane.sdk import ApiError, ConnectionLost, Unauthenticated

log = structlog.get_logger()
RETRY_SECONDS = 5
_TOO_OFTEN = N_("Too many requests came within a short time. Try again in %(wait)s.")
_BUSY: dict[str, tuple[int, str, str]] = {
    "busy": (
        503,
        N_("Try again in a moment"),
        N_(
            "Too many pages are being made just now, or the platform is slow. Nothing is lost; try again soon."
        ),
    ),
    "slow": (408, N_("This form was not accepted"), N_("It took too long to arrive. Send it again.")),
    "large": (413, N_("This form was not accepted"), N_("It is too large, or cannot be read.")),
}


def problem_page(request: Request, status: int, title: str, sentence: str, **more: Any) -> Response:
    """Show what went wrong in the visitor's language, inside the site's frame when somebody is signed in."""
    visit = Visit(request, {})
    visit.session = getattr(request.state, "session", None)
    return visit.page(
        "problem.html", status=status, title=visit.translate(title), sentence=visit.translate(sentence),
        said=more.get("said", ""), request_id=more.get("request_id", ""),
    )  # fmt: skip


def busy_page(request: Request, reason: str) -> Response:
    """Say that there was no place for this request in time; `reason` is one of `_BUSY`."""
    status, title, sentence = _BUSY[reason]
    log.warning("portal_busy", reason=reason, path=request.url.path)
    page = problem_page(request, status, title, sentence)
    if status == 503:
        page.headers["Retry-After"] = str(RETRY_SECONDS)
    return page


def _on_sign_in_needed(request: Request, error: Exception) -> Response:
    assert isinstance(error, SignInNeeded)
    visit = Visit(request, {})
    reason = {"reason": error.reason} if error.reason else {}
    response = visit.go("/sign-in", next=_way_back(visit), **reason)
    if visit.is_partial:
        # htmx would put the sign-in page into the middle of this one: let the browser go there instead.
        response = PlainTextResponse(
            "", status_code=401, headers={"HX-Redirect": response.headers["Location"]}
        )
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


def _way_back(visit: Visit) -> str:
    """The page where the person was: the one asked for, or the one that shows the form or the part."""
    headers = visit.request.headers
    shown_on = headers.get("HX-Current-URL") if visit.is_partial else headers.get("Referer")
    if visit.request.method == "GET" and not visit.is_partial:
        return safe_next(visit.here)
    return own_page(shown_on, headers.get("Host", ""))


def _on_refused_by_portal(request: Request, error: Exception) -> Response:
    status, title, sentence = _REFUSALS[type(error)]
    log.info("portal_refused", reason=type(error).__name__, path=request.url.path)
    return problem_page(request, status, title, sentence)


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
    if error.status == 429:
        seconds = error.retry_after_seconds or 1
        visit = Visit(request, {})
        sentence = visit.translate(_TOO_OFTEN) % {"wait": duration(seconds, visit.language)}
        page = problem_page(request, 429, N_("Try again in a moment"), sentence)
        page.headers["Retry-After"] = str(seconds)
        return page
    if error.status >= 500:
        log.warning("api_failed", status=error.status, code=error.code, path=request.url.path)
        sentence = N_("The platform cannot answer just now. Nothing is lost; try again in a moment.")
        return problem_page(request, 503, N_("Try again in a moment"), sentence, request_id=error.request_id)
    title = N_("There is nothing here") if error.status == 404 else N_("This was refused")
    sentence = PROBLEMS.get(error.code, N_("The platform refused this request."))
    said = "" if error.status == 404 else error.message
    return problem_page(request, error.status, title, sentence, said=said, request_id=error.request_id)


def _on_silence(request: Request, error: Exception) -> Response:
    if isinstance(error.__cause__, httpx.PoolTimeout):
        return busy_page(request, "busy")
    log.warning("api_silent", path=request.url.path, detail=str(error))
    sentence = N_(
        "The platform's API does not answer. What you have running goes on running; try again soon."
    )
    return problem_page(request, 502, N_("The platform does not answer"), sentence)


def _on_redis_error(request: Request, error: Exception) -> Response:
    log.warning("sessions_unavailable", path=request.url.path, detail=str(error))
    sentence = N_("Sessions cannot be read just now. Try again in a moment.")
    return problem_page(request, 503, N_("Try again in a moment"), sentence)


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = N_("There is no page at this address.")
    return problem_page(request, error.status_code, N_("There is nothing here"), sentence)


def _on_bad_address(request: Request, error: Exception) -> Response:
    del error
    return problem_page(request, 404, N_("There is nothing here"), N_("There is no page at this address."))


def on_surprise(request: Request, error: Exception) -> Response:
    log.error("page_failed", path=request.url.path, method=request.method, exc_info=error)
    sentence = N_("Something went wrong on our side; our logs say what.")
    return problem_page(request, 500, N_("This page failed"), sentence)


HANDLERS: dict[Any, Callable[[Request, Exception], Response]] = {
    SignInNeeded: _on_sign_in_needed,
    PortalError: _on_refused_by_portal,
    ApiError: _on_api_error,
    ConnectionLost: _on_silence,
    redis.RedisError: _on_redis_error,
    RequestValidationError: _on_bad_address,
    HTTPException: _on_http_error,
}
