"""How many pages are made at a time: a visitor waits for a place a few seconds at most, never for ever.

Pages are made in worker threads, and each waits for the API. Were the API to hang, all threads would wait, and who
comes next would wait in a line without end. Here the line ends in a page that says so. One session holds a part of
the places only: what one person does, however slow, leaves room for the others.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

import anyio
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Fewer than the 40 worker threads: the rest answers health checks and files.
PLACES = 32
PLACES_OF_ONE = 8
WAIT_SECONDS = 3.0
# A form is small: who takes longer to send it is not sending one.
FORM_SECONDS = 10.0
# A prompt fits; everything else in a form is far smaller.
FORM_BYTES_MAX = 256 << 10
OPEN_PATHS = ("/healthz", "/livez", "/readyz", "/static/", "/robots.txt")
_STATE = "place"

Refuse = Callable[[Request, str], Response]


class Place:
    """A visitor's place; given back once."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def leave(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None


class Admission:
    """ASGI middleware: reads the form, finds a place, and hands the request on. `refuse` makes the page otherwise."""

    def __init__(
        self,
        app: ASGIApp,
        refuse: Refuse,
        session_cookie: str,
        places: int = PLACES,
        places_of_one: int = PLACES_OF_ONE,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.app = app
        self._refuse = refuse
        self._cookie = session_cookie
        self._limits = (places, places_of_one)
        self._wait_seconds = wait_seconds
        self._held: Counter[bytes] = Counter()
        self._changed = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(OPEN_PATHS):
            await self.app(scope, receive, send)
            return
        body, problem = await _read(receive)
        if problem == "gone":
            return
        place = None if problem else await self._find_place(self._name(scope))
        if place is None:
            await self._refuse(Request(scope), problem or "busy")(scope, receive, send)
            return
        scope.setdefault("state", {})[_STATE] = place

        async def first_the_body() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            whole, body = body, None
            return {"type": "http.request", "body": whole, "more_body": False}

        async def until_it_begins(message: Message) -> None:
            # The page is made; sending it to somebody slow takes no thread.
            place.leave()
            await send(message)

        try:
            await self.app(scope, first_the_body, until_it_begins)
        finally:
            place.leave()

    def _name(self, scope: Scope) -> bytes:
        cookies = cookie_parser(Headers(scope=scope).get("cookie", ""))
        # Not the cookie's own value: it opens a session.
        return hashlib.blake2b(cookies.get(self._cookie, "").encode(), digest_size=8).digest()

    async def _find_place(self, name: bytes) -> Place | None:
        places, of_one = self._limits
        with anyio.move_on_after(self._wait_seconds):
            while True:
                if self._held.total() < places and self._held[name] < of_one:
                    self._held[name] += 1
                    return Place(lambda: self._give_back(name))
                await self._changed.wait()
        return None

    def _give_back(self, name: bytes) -> None:
        self._held[name] -= 1
        if self._held[name] <= 0:
            del self._held[name]
        self._changed.set()
        self._changed = anyio.Event()


def leave_place(request: Request) -> None:
    """Give the place back before a wait that takes no thread."""
    place: Place | None = getattr(request.state, _STATE, None)
    if place is not None:
        place.leave()


async def _read(receive: Receive) -> tuple[bytes | None, str]:
    """Read the whole body; answers it and why it is refused: "large", "slow", or "gone"."""
    body = b""
    with anyio.move_on_after(FORM_SECONDS):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None, "gone"
            body += message.get("body", b"")
            if len(body) > FORM_BYTES_MAX:
                return None, "large"
            if not message.get("more_body"):
                return body, ""
    return None, "slow"
