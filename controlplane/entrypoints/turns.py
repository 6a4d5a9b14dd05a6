"""How many requests of one caller are worked on at once, so that nobody fills the door's threads alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


class TooManyWaiting(Exception):
    """The caller has as many requests waiting as it may."""


@dataclass(slots=True)
class _Queue:
    turn: asyncio.Semaphore
    held: int = 0


@dataclass(slots=True)
class Turns:
    """`at_once` requests of a caller run, `waiting_max` wait for their turn, further ones are refused."""

    at_once: int
    waiting_max: int
    _queues: dict[tuple[int, str], _Queue] = field(default_factory=dict)

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Wait for a turn of the caller's. Errors: TooManyWaiting."""
        # A lock belongs to the event loop in which it was waited for.
        name = (id(asyncio.get_running_loop()), caller)
        queue = self._queues.setdefault(name, _Queue(asyncio.Semaphore(self.at_once)))
        if queue.held >= self.at_once + self.waiting_max:
            raise TooManyWaiting
        queue.held += 1
        try:
            async with queue.turn:
                yield
        finally:
            queue.held -= 1
            if queue.held == 0:
                self._queues.pop(name, None)
