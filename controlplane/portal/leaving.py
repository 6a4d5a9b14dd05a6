"""Visitors who leave before their answer is whole: what was opened for them is closed at once.

A server notices that a client has gone, cancels the task that answers it, and drops a generator that waits at its
`yield` for the garbage collector, which ends it at any time and in any thread. Here it is closed where it was made.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
# Closing a connection takes no answer from the other side.
CLOSE_SECONDS = 2.0
# Nobody reads an answer of the playground for longer; who does not read at all holds it no longer.
ANSWER_SECONDS = 300.0
ANSWERS_MAX = 200
ANSWERS_OF_ONE_KEY_MAX = 8


class ClosingStream(StreamingResponse):
    """A streamed answer whose source is closed when the last piece is sent, or when the client has gone."""

    def __init__(self, pieces: AsyncGenerator[bytes], **options: Any) -> None:
        super().__init__(pieces, **options)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with anyio.move_on_after(ANSWER_SECONDS):
                await super().__call__(scope, receive, send)
        finally:
            # Shielded: the task may be cancelled already, and would not wait for anything any more.
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await self._pieces.aclose()


class Left(Exception):
    """The client has gone: there is nobody to answer."""


async def while_present(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work` as long as the client is there; the request's body has been read.

    Errors: Left, and those of `work`.
    """
    tasks = asyncio.create_task(work), asyncio.create_task(_wait_until_gone(request))
    working, _ = tasks
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Left
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CLOSE_SECONDS)


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class AnswerSlots:
    """How many answers are being made at a time: of one key, so that nobody takes all, and altogether."""

    def __init__(self, limit: int = ANSWERS_MAX, limit_of_one: int = ANSWERS_OF_ONE_KEY_MAX) -> None:
        self._limit = limit
        self._limit_of_one = limit_of_one
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, key_id: str) -> Iterator[bool]:
        """Hold a place while the block runs; yields False when there is none. Of the event loop's thread alone."""
        if self._held.total() >= self._limit or self._held[key_id] >= self._limit_of_one:
            yield False
            return
        self._held[key_id] += 1
        try:
            yield True
        finally:
            self._held[key_id] -= 1
            if not self._held[key_id]:
                del self._held[key_id]
