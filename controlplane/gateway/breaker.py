"""Let as many held calls through as the engines take, in their order, and hold no more than allowed."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from dataclasses import dataclass, field

from controlplane.gateway.domain import Endpoint, QueueLimits
from controlplane.gateway.refusal_rules import BODY_OVER_QUEUE, QUEUE_FULL, WAKE_TIMEOUT, Refusal


class CallRefused(Exception):
    """The activator cannot take or keep a call."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


@dataclass(eq=False, slots=True)
class Slot:
    """The right to send one call to one endpoint; given back by `Breaker.release`."""

    endpoint: Endpoint


@dataclass(eq=False, slots=True)
class _Waiter:
    ready: asyncio.Future[Slot]
    avoid: frozenset[Endpoint] = field(default_factory=frozenset)


class Breaker:
    """Of one regional deployment: at most `concurrency` calls an endpoint, first come first served."""

    def __init__(self, concurrency: int, limits: QueueLimits) -> None:
        self.concurrency = concurrency
        self.limits = limits
        self.endpoints: tuple[Endpoint, ...] = ()
        self._waiters: deque[_Waiter] = deque()
        self._in_flight: Counter[Endpoint] = Counter()
        self._held_requests = 0
        self._held_bytes = 0

    @property
    def waiting(self) -> int:
        """Calls held and not yet sent to an engine."""
        return self._held_requests

    @property
    def in_flight(self) -> int:
        """Calls sent to an engine through the activator and not yet answered in full."""
        return sum(self._in_flight.values())

    def hold(self, size: int) -> None:
        """Count a call in. Errors: CallRefused when the queue's count or bytes would be passed.

        A call that finds an engine free is never refused by the queue's bounds, even if they are zero.
        """
        if self._free(frozenset()) is None or self._waiters:
            if self._held_requests >= self.limits.requests_max:
                raise CallRefused(QUEUE_FULL)
            if self._held_bytes + size > self.limits.bytes_max:
                raise CallRefused(BODY_OVER_QUEUE)
        self._held_requests += 1
        self._held_bytes += size

    def let_go(self, size: int) -> None:
        """Count a call out that `hold` counted in: it has been sent, refused or hung up."""
        self._held_requests -= 1
        self._held_bytes -= size
        assert self._held_requests >= 0
        assert self._held_bytes >= 0

    async def acquire(self, seconds_max: float, avoid: frozenset[Endpoint] = frozenset()) -> Slot:
        """Wait for a place at an endpoint that is not in `avoid`. Errors: CallRefused when time is up."""
        endpoint = None if self._waiters else self._free(avoid)
        if endpoint is not None:
            return self._take(endpoint)
        waiter = _Waiter(asyncio.get_running_loop().create_future(), avoid)
        self._waiters.append(waiter)
        is_taken = False
        try:
            async with asyncio.timeout(seconds_max):
                slot = await waiter.ready
            is_taken = True
            return slot
        except TimeoutError as err:
            raise CallRefused(WAKE_TIMEOUT) from err
        finally:
            if not is_taken:
                self._withdraw(waiter)

    def release(self, slot: Slot) -> None:
        """Give a place back and let the next waiting call have it."""
        self._in_flight[slot.endpoint] -= 1
        if self._in_flight[slot.endpoint] <= 0:
            del self._in_flight[slot.endpoint]
        self._wake()

    def set_endpoints(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Replace what may be sent to; calls already sent are not touched."""
        self.endpoints = endpoints
        self._wake()

    def _withdraw(self, waiter: _Waiter) -> None:
        with contextlib.suppress(ValueError):
            self._waiters.remove(waiter)
        # The place was given in the same instant in which the caller gave up: it goes to the next.
        if waiter.ready.done() and not waiter.ready.cancelled():
            self.release(waiter.ready.result())

    def _wake(self) -> None:
        for waiter in list(self._waiters):
            endpoint = self._free(waiter.avoid)
            if endpoint is None:
                if not waiter.avoid:
                    break
                continue
            self._waiters.remove(waiter)
            if not waiter.ready.done():
                waiter.ready.set_result(self._take(endpoint))

    def _take(self, endpoint: Endpoint) -> Slot:
        self._in_flight[endpoint] += 1
        return Slot(endpoint)

    def _free(self, avoid: frozenset[Endpoint]) -> Endpoint | None:
        candidates = [e for e in self.endpoints if e not in avoid and self._in_flight[e] < self.concurrency]
        return min(candidates, key=lambda e: self._in_flight[e], default=None)
