"""uvicorn's HTTP/1.1 with an end to waiting: for a request's head, for its body, and a bound on connections.

uvicorn itself ends only connections that have been answered before: one that sends nothing, or a byte a minute, it
keeps for ever. When a bound is met, the connection that has been idle longest makes room: whoever opens thousands
loses their own, and a new caller still gets in. Source: RFC 9110 §15.5.9 (408); OWASP on slow HTTP attacks.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from controlplane.plumbing.address_rules import bucket_of, is_trusted, parse_address
from controlplane.plumbing.settings import Settings

HEAD_SECONDS_MAX = 10.0
BODY_SECONDS_MAX = 60.0
KEEP_ALIVE_SECONDS = 15


@dataclass(slots=True)
class Connections:
    """All connections of a server: how many, whose, and which ones are idle."""

    settings: Settings
    by_address: dict[str, OrderedDict[GuardedProtocol, None]] = field(default_factory=dict)
    idle: OrderedDict[GuardedProtocol, None] = field(default_factory=OrderedDict)
    count: int = 0

    def admit(self, connection: GuardedProtocol, address: str, *, is_counted: bool) -> bool:
        """Count a new connection in, closing an idle one where a bound is met; False when none is idle."""
        own = self.by_address.setdefault(address, OrderedDict())
        if is_counted and len(own) >= self.settings.connections_per_address_max:
            victim = next((each for each in own if each in self.idle), None)
            if victim is None:
                return False
            victim.end()
        if self.count >= self.settings.connections_max:
            if not self.idle:
                return False
            next(iter(self.idle)).end()
        self.by_address.setdefault(address, own)[connection] = None
        self.count += 1
        return True

    def forget(self, connection: GuardedProtocol, address: str) -> None:
        own = self.by_address.get(address)
        if own is not None and connection in own:
            del own[connection]
            self.count -= 1
            if not own:
                del self.by_address[address]
        self.idle.pop(connection, None)


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `guards` is set by `guarded`."""

    guards: Connections
    _timer: asyncio.TimerHandle | None = None
    _address = ""
    _is_admitted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = parse_address(self.client[0]) if self.client else None
        self._address = bucket_of(peer)
        is_proxy = peer is not None and is_trusted(peer, self.guards.settings.trusted_networks)
        self._is_admitted = self.guards.admit(self, self._address, is_counted=not is_proxy)
        if not self._is_admitted:
            transport.abort()
            return
        self.guards.idle[self] = None
        self._start(HEAD_SECONDS_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self.guards.forget(self, self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._timer is None and not self._is_busy:
            self._start(HEAD_SECONDS_MAX)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self.guards.idle.pop(self, None)
        self._start(BODY_SECONDS_MAX)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._stop()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and not self.pipeline:
            self._stop()
            self.guards.idle[self] = None
            self.guards.idle.move_to_end(self)

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self.end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Close at once; what was being sent is lost with it."""
        self.guards.forget(self, self._address)
        self.transport.abort()


def guarded(settings: Settings) -> type[GuardedProtocol]:
    """Return the protocol of one server with its own counts."""
    return type("GuardedProtocol", (GuardedProtocol,), {"guards": Connections(settings)})


def make_server(
    app: Callable[..., Any], settings: Settings, host: str, port: int, *, stop_seconds: int
) -> uvicorn.Server:
    """Build the server of a door. Addresses of callers come from `address_rules`, never from uvicorn's own guess."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=guarded(settings),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=stop_seconds,
        )
    )
