"""Connections to the API: one pool for all pages, and an end to what one page waits for.

The pool is for whole answers only. An answer that comes in pieces is never read through it: whoever leaves such an
answer half-read would keep a connection that other people's pages wait for.
"""

from __future__ import annotations

import time

import httpx

AGENT = "rempart-portal"
CONNECTIONS_MAX = 100
KEPT_MAX = 40
# Connecting happens inside one data centre, and a connection is free in milliseconds or something is wrong.
CONNECT_SECONDS = 3.0
POOL_SECONDS = 3.0
# A page asks several things, one after the other: together they may take this long.
PAGE_SECONDS = 15.0


class SharedConnections(httpx.BaseTransport):
    """One pool of connections for all clients: closing a client leaves it open for the next one."""

    def __init__(self, inner: httpx.BaseTransport | None = None) -> None:
        self._inner = inner or httpx.HTTPTransport(
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=KEPT_MAX)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._inner.handle_request(request)

    def close(self) -> None:
        """A client's end is not the pool's."""

    def dispose(self) -> None:
        self._inner.close()


class BoundedConnections(httpx.BaseTransport):
    """The pool as one page uses it: every wait ends, and all of them together after `seconds`.

    `visitor` is the address that the page is for. The API counts wrong keys by address: without it all visitors of
    the portal would be one, and one who guesses keys would keep the others out. `agent` is the visitor's browser.
    """

    def __init__(
        self, shared: SharedConnections, visitor: str = "", agent: str = "", seconds: float = PAGE_SECONDS
    ) -> None:
        self._shared = shared
        self._visitor = visitor
        self._agent = "".join(each for each in agent if each.isascii() and each.isprintable())
        self._end = time.monotonic() + seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpx.ReadTimeout("the page has waited long enough", request=request)
        if self._visitor:
            request.headers["X-Forwarded-For"] = self._visitor
        request.headers["User-Agent"] = f"{AGENT} {self._agent}".strip()
        asked = request.extensions.get("timeout", {})
        most = {"connect": CONNECT_SECONDS, "pool": POOL_SECONDS}
        request.extensions["timeout"] = {
            kind: min(left, most.get(kind, left), left if asked.get(kind) is None else asked[kind])
            for kind in ("connect", "pool", "read", "write")
        }
        return self._shared.handle_request(request)
