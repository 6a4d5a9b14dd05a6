"""Signing in with an API key, signing out, choosing a language."""

from __future__ import annotations

import structlog
from fastapi import APIRouter
from starlette.responses import Response

from controlplane.portal.format_rules import duration
from controlplane.portal.i18n import N_
from controlplane.portal.labels import SIGN_IN_REASONS
from controlplane.portal.request_rules import LANGUAGES, first, safe_next
from controlplane.portal.sessions import Session
from controlplane.portal.web import (
    LANGUAGE_COOKIE,
    LANGUAGE_SECONDS,
    SESSION_COOKIE,
    VISITOR_COOKIE,
    SignedInDep,
    Visit,
    VisitDep,
)
from controlplane.sdk import ApiError, ConnectionLost, Unauthenticated
from controlplane.sdk.key_shape import read_key

log = structlog.get_logger()
router = APIRouter()
# Sent in place of what was typed, which may be a password of something else.
WRONG_KEY = "rmp_wrong"
_TOO_OFTEN = N_("Too many wrong keys were tried. Try again in %(wait)s.")


@router.get("/sign-in")
def show_sign_in(visit: VisitDep) -> Response:
    query = visit.request.query_params
    return _sign_in_page(
        visit, going_to=safe_next(query.get("next")), reason=SIGN_IN_REASONS.get(query.get("reason", ""), "")
    )


@router.post("/sign-in")
def sign_in(visit: VisitDep) -> Response:
    visit.require_own_form()
    going_to = safe_next(first(visit.form, "next"))
    key = first(visit.form, "api_key")
    if not key:
        return _sign_in_page(visit, going_to=going_to, wrong=N_("Paste your API key here."))
    if read_key(key) is None:
        wait = _count_wrong_key(visit)
        if wait:
            return _wait_page(visit, going_to, wait)
        return _sign_in_page(
            visit,
            going_to=going_to,
            wrong=N_("This is no key of Rempart: a character is missing or wrong. Keys begin with rmp_."),
        )
    try:
        session = _open_session(visit, key)
    except ApiError as refused:
        if refused.status == 429:
            return _wait_page(visit, going_to, refused.retry_after_seconds or 1)
        if not isinstance(refused, Unauthenticated):
            raise
        log.info("sign_in_refused")
        return _sign_in_page(
            visit,
            going_to=going_to,
            wrong=N_("This key is not accepted: it is unknown, was revoked, or has expired."),
        )
    log.info("signed_in", key_id=session.key_id, organization_id=session.organization_id)
    response = visit.go(going_to)
    _set_cookie(response, SESSION_COOKIE, session.id)
    response.delete_cookie(VISITOR_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.post("/sign-out")
def sign_out(visit: SignedInDep) -> Response:
    visit.portal.sessions.close(visit.who.id)
    log.info("signed_out", key_id=visit.who.key_id)
    response = visit.go("/sign-in", reason="out")
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.get("/language/{language}")
def choose(visit: VisitDep, language: str) -> Response:
    """Changes nothing but how this browser is spoken to, so that a link may do it."""
    response = visit.go(safe_next(visit.request.query_params.get("next")))
    if language in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, language, max_age=LANGUAGE_SECONDS, path="/", secure=True, httponly=True,
            samesite="lax",
        )  # fmt: skip
    return response


@router.get("/accessibility")
def show_accessibility(visit: VisitDep) -> Response:
    session_id = visit.request.cookies.get(SESSION_COOKIE)
    visit.session = visit.portal.sessions.find(session_id) if session_id else None
    return visit.page("accessibility.html")


def _count_wrong_key(visit: Visit) -> int:
    """Have the API count a try that need not be sent there; return the seconds to wait after too many, else 0.

    All doors then count in one place: who guesses keys here is seen, and held back, as one who guesses them there.
    """
    try:
        with visit.portal.client(WRONG_KEY, visit.address, visit.agent) as client:
            client.caller()
    except ApiError as refused:
        return (refused.retry_after_seconds or 1) if refused.status == 429 else 0
    except ConnectionLost:
        log.warning("wrong_key_not_counted")
    return 0


def _open_session(visit: Visit, key: str) -> Session:
    """Ask the API whose key this is. Errors: Unauthenticated."""
    with visit.portal.client(key, visit.address, visit.agent) as client:
        caller = client.caller()
        organization = caller["organization_id"]
        name = str(client.organization()["legal_name"]) if organization else ""
    previous = visit.request.cookies.get(SESSION_COOKIE)
    if previous:
        visit.portal.sessions.close(previous)
    return visit.portal.sessions.open(
        key=key, key_id=caller["key_id"], role=caller["role"], organization_id=organization or "", name=name
    )


def _sign_in_page(
    visit: Visit, *, going_to: str, wrong: str = "", reason: str = "", status: int = 0
) -> Response:
    response = visit.page(
        "sign_in.html",
        status=status or (422 if wrong else 200),
        going_to=going_to,
        wrong=wrong,
        reason=reason,
    )
    _set_cookie(response, VISITOR_COOKIE, visit.visitor)
    return response


def _wait_page(visit: Visit, going_to: str, seconds: int) -> Response:
    """Say when to try again after too many wrong keys."""
    log.info("sign_in_too_often")
    wrong = visit.translate(_TOO_OFTEN) % {"wait": duration(seconds, visit.language)}
    response = _sign_in_page(visit, going_to=going_to, wrong=wrong, status=429)
    response.headers["Retry-After"] = str(seconds)
    return response


def _set_cookie(response: Response, name: str, value: str) -> None:
    response.set_cookie(name, value, path="/", secure=True, httponly=True, samesite="lax")
