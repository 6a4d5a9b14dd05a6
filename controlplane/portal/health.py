"""Whether people can be served: asked through what their pages go through, each wait bounded.

`/livez` says whether this process still works: a worker thread and a connection of the pool can be had. It fails when
only a restart helps. `/healthz` and `/readyz` say whether a page would come: the sessions and the API answer too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import anyio.to_thread
import httpx
import redis
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from controlplane.portal.connections import BoundedConnections
from controlplane.portal.web import Portal

router = APIRouter()
# A probe waits some 3 s: the answer says more than its silence.
CHECK_SECONDS = 2.5
# One check serves all who ask meanwhile: asking often must not cost what pages need.
FRESH_SECONDS = 1.0
_GOOD = "ok"


class HealthChecks:
    """Runs the checks, at most one at a time, and remembers a verdict for a moment."""

    def __init__(self) -> None:
        self._lock: anyio.Lock | None = None
        self._known: tuple[float, dict[str, str]] = (-FRESH_SECONDS * 2, {})

    async def read(self, portal: Portal) -> dict[str, str]:
        """What each part answers: "ok", or what is wrong with it."""
        if self._lock is None:
            self._lock = anyio.Lock()
        async with self._lock:
            checked_at, found = self._known
            if time.monotonic() - checked_at < FRESH_SECONDS:
                return found
            found = await _check(portal)
            self._known = (time.monotonic(), found)
            return found


async def _check(portal: Portal) -> dict[str, str]:
    found = {"workers": "no worker thread is free", "sessions": "not asked", "api": "not asked"}
    found["connections"] = "not asked"

    async def ask(name: str, question: Callable[[Portal], dict[str, str]]) -> None:
        found[name] = f"no answer within {CHECK_SECONDS} s"
        answer = await anyio.to_thread.run_sync(question, portal, abandon_on_cancel=True)
        found.update(answer)

    with anyio.move_on_after(CHECK_SECONDS):
        await anyio.to_thread.run_sync(lambda: None, abandon_on_cancel=True)
        found["workers"] = _GOOD
        async with anyio.create_task_group() as group:
            group.start_soon(ask, "sessions", _sessions)
            group.start_soon(ask, "api", _api)
    if found["connections"] == "not asked" and found["workers"] == _GOOD:
        # The API was asked and is silent: that is its fault, as long as the pool had a connection for the question.
        found["connections"] = _GOOD
    return found


def _sessions(portal: Portal) -> dict[str, str]:
    try:
        portal.sessions.ping()
    except redis.RedisError as error:
        return {"sessions": f"Redis does not answer: {type(error).__name__}"}
    return {"sessions": _GOOD}


def _api(portal: Portal) -> dict[str, str]:
    # Leaves the bound above a moment, so that the answer names the part that is silent.
    bounded = BoundedConnections(portal.connections, seconds=CHECK_SECONDS - 0.5)
    try:
        with httpx.Client(base_url=portal.api_url, transport=bounded) as client:
            answer = client.get("/readyz")
    except httpx.PoolTimeout:
        return {"connections": "no connection of the pool is free", "api": "not asked"}
    except httpx.TransportError as error:
        return {"connections": _GOOD, "api": f"the API does not answer: {type(error).__name__}"}
    return {
        "connections": _GOOD,
        "api": _GOOD if answer.is_success else f"the API answers {answer.status_code}",
    }


async def _answer(request: Request, parts: tuple[str, ...]) -> Response:
    found = await request.app.state.health.read(request.app.state.portal)
    asked = {name: found[name] for name in parts}
    is_good = all(each == _GOOD for each in asked.values())
    return JSONResponse(
        {"status": _GOOD if is_good else "unavailable", "parts": asked}, status_code=200 if is_good else 503
    )


@router.get("/livez")
async def live(request: Request) -> Response:
    return await _answer(request, ("workers", "connections"))


@router.get("/healthz")
@router.get("/readyz")
async def ready(request: Request) -> Response:
    return await _answer(request, ("workers", "connections", "sessions", "api"))
