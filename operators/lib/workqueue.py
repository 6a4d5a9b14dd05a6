"""The queue of keys to reconcile: a key waits once, is worked once at a time, and is never lost.

`WorkQueueCore` is the rule (no clock, no waiting: the caller tells the time); `WorkQueue` adds waiting
for asyncio workers. Four promises, each with a property test:
- a key already waiting merges, and moves up if the new priority is more urgent;
- a key being worked is marked dirty and waits again once its worker is done;
- a key is never worked by two workers at once;
- a failing key waits longer each time, 5 ms to 1000 s, and failures share a bucket of 10/s, burst 100.
"""

import asyncio
import heapq
from collections.abc import Hashable
from enum import IntEnum
from typing import Generic, TypeVar

from operators.lib.bucket import TokenBucket
from operators.lib.clock import Clock

K = TypeVar("K", bound=Hashable)

# controller-runtime's defaults: quick first retries, then out of the way.
BACKOFF_FIRST_S = 0.005
BACKOFF_MAX_S = 1000.0
# 5 ms x 2^18 is above 1000 s: counting further failures changes nothing.
BACKOFF_DOUBLINGS_MAX = 18
RETRY_RATE_PER_S = 10.0
RETRY_BURST = 100.0


class Priority(IntEnum):
    """Lower is more urgent: a live change never waits behind a start-up listing of thousands of keys."""

    CHANGE = 0
    RETRY = 5
    RESYNC = 10


def backoff_s(failures: int) -> float:
    """Delay before attempt `failures + 1`."""
    assert failures >= 0
    return min(BACKOFF_FIRST_S * 2.0 ** min(failures, BACKOFF_DOUBLINGS_MAX), BACKOFF_MAX_S)


class WorkQueueCore(Generic[K]):
    """The queue's state. Every method that depends on time takes `now` in monotonic seconds."""

    def __init__(self) -> None:
        self._order = 0
        self._ready: list[tuple[int, int, K]] = []
        self._waiting: dict[K, tuple[int, int]] = {}
        self._working: set[K] = set()
        self._dirty: dict[K, int] = {}
        self._later: list[tuple[float, int, K, int]] = []
        self._later_at: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._retry_bucket = TokenBucket(RETRY_RATE_PER_S, RETRY_BURST)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def working(self) -> frozenset[K]:
        """Keys that a worker holds."""
        return frozenset(self._working)

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing is worked; delayed keys may exist."""
        return not self._waiting and not self._working

    def add(self, key: K, priority: int = Priority.CHANGE) -> None:
        """Ask for `key` now."""
        if key in self._working:
            self._dirty[key] = min(priority, self._dirty.get(key, priority))
            return
        current = self._waiting.get(key)
        if current is not None and current[0] <= priority:
            return
        self._order += 1
        self._waiting[key] = (priority, self._order)
        heapq.heappush(self._ready, (priority, self._order, key))

    def add_after(self, key: K, delay_s: float, now: float, priority: int = Priority.RETRY) -> None:
        """Ask for `key` in `delay_s`; an earlier appointment for the same key stands."""
        if delay_s <= 0:
            self.add(key, priority)
            return
        due = now + delay_s
        current = self._later_at.get(key)
        if current is not None and current <= due:
            return
        self._order += 1
        self._later_at[key] = due
        heapq.heappush(self._later, (due, self._order, key, priority))

    def add_failed(self, key: K, now: float) -> float:
        """Ask for `key` again after a failure; returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = max(backoff_s(failures), self._retry_bucket.reserve(now))
        self.add_after(key, delay, now)
        return delay

    def forget(self, key: K) -> None:
        """The key succeeded: its next failure waits 5 ms again."""
        self._failures.pop(key, None)

    def wake_due(self, now: float) -> float | None:
        """Move due appointments to the queue; seconds until the next one, None if there is none."""
        while self._later:
            due, _, key, priority = self._later[0]
            if self._later_at.get(key) != due:
                heapq.heappop(self._later)
                continue
            if due > now:
                return due - now
            heapq.heappop(self._later)
            del self._later_at[key]
            self.add(key, priority)
        return None

    def take(self) -> K | None:
        """The most urgent waiting key, now held by the caller; None if nothing waits."""
        while self._ready:
            priority, order, key = heapq.heappop(self._ready)
            if self._waiting.get(key) != (priority, order):
                continue
            del self._waiting[key]
            assert key not in self._working
            self._working.add(key)
            return key
        return None

    def done(self, key: K) -> None:
        """The worker lets go of `key`; if it was asked for meanwhile it waits again."""
        self._working.remove(key)
        priority = self._dirty.pop(key, None)
        if priority is not None:
            self.add(key, priority)


class WorkQueue(Generic[K]):
    """WorkQueueCore with waiting, for one event loop."""

    def __init__(self, clock: Clock) -> None:
        self.core: WorkQueueCore[K] = WorkQueueCore()
        self._clock = clock
        self._changed = asyncio.Event()

    def add(self, key: K, priority: int = Priority.CHANGE) -> None:
        """Ask for `key` now."""
        self.core.add(key, priority)
        self._changed.set()

    def add_after(self, key: K, delay_s: float) -> None:
        """Ask for `key` in `delay_s`."""
        self.core.add_after(key, delay_s, self._clock.monotonic())
        self._changed.set()

    def add_failed(self, key: K) -> float:
        """Ask for `key` again after a failure; returns the delay in seconds."""
        delay = self.core.add_failed(key, self._clock.monotonic())
        self._changed.set()
        return delay

    def forget(self, key: K) -> None:
        """The key succeeded."""
        self.core.forget(key)

    def done(self, key: K) -> None:
        """The worker lets go of `key`."""
        self.core.done(key)
        self._changed.set()

    async def get(self) -> K:
        """Wait for the most urgent key. Call `done` when finished with it."""
        while True:
            self._changed.clear()
            next_s = self.core.wake_due(self._clock.monotonic())
            key = self.core.take()
            if key is not None:
                if len(self.core):
                    self._changed.set()
                return key
            try:
                async with asyncio.timeout(next_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
