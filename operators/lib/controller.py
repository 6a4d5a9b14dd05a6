"""A level-triggered controller: events only name keys; `reconcile` reads the world and converges."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from operators.lib.client import KubernetesClient
from operators.lib.clock import Clock
from operators.lib.errors import ApiError, Conflict, NotFound
from operators.lib.metrics import Metrics
from operators.lib.objects import Obj, ObjectKey
from operators.lib.store import Change, Store
from operators.lib.workqueue import Priority, WorkQueue

log = structlog.get_logger(__name__)

# Missed events must not stay missed; ten minutes is Cluster API's period.
RESYNC_S = 600.0
# A reconcile that waits longer than this has lost its peer.
RECONCILE_TIMEOUT_S = 120.0
WORKERS_DEFAULT = 16


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile wants next: nothing, or to run again in `requeue_after_s`."""

    requeue_after_s: float | None = None


class Recorder(Protocol):
    """Where news about an object is told (operators.lib.events)."""

    def record(self, regarding: Obj, reason: str, message: str, *, is_warning: bool = False) -> None:
        """Tell news; never waits, never fails."""
        ...


class Silence:
    """Tells nobody: for a world without a manager."""

    def record(self, regarding: Obj, reason: str, message: str, *, is_warning: bool = False) -> None:
        """Drop the news."""


@dataclass(frozen=True, slots=True)
class World:
    """What every reconcile may use. Stores are read only."""

    client: KubernetesClient
    clock: Clock
    metrics: Metrics
    events: Recorder = field(default_factory=Silence)


Reconcile = Callable[[ObjectKey, World], Awaitable[Result]]
ToKeys = Callable[[Change], Iterable[ObjectKey]]


def own_key(change: Change) -> Iterable[ObjectKey]:
    """The changed object's own key."""
    return (change.key,)


class Controller:
    """A reconcile with the stores that wake it.

    `primary` is the kind it owns: its keys are reconciled again every RESYNC_S. Other stores are added
    by `watches` with a mapping from a change to the keys it concerns.
    """

    def __init__(
        self, name: str, reconcile: Reconcile, primary: Store, *, workers: int = WORKERS_DEFAULT
    ) -> None:
        self.name = name
        self.primary = primary
        self.stores: list[Store] = [primary]
        self._reconcile = reconcile
        self._sources: list[tuple[Store, ToKeys]] = [(primary, own_key)]
        self._workers = workers
        self._queue: WorkQueue[ObjectKey] | None = None

    def watches(self, store: Store, to_keys: ToKeys) -> "Controller":
        """Also wake the keys that `to_keys` names when `store` changes."""
        self.stores.append(store)
        self._sources.append((store, to_keys))
        return self

    def enqueue(self, key: ObjectKey, delay_s: float = 0.0) -> None:
        """Wake a key from outside (a Redis message, a timer). Dropped while the controller does not run:
        a starting controller reconciles every key anyway."""
        if self._queue is not None:
            if delay_s > 0:
                self._queue.add_after(key, delay_s)
            else:
                self._queue.add(key)

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing is worked."""
        return self._queue is None or self._queue.core.is_idle

    async def run(self, world: World) -> None:
        """Work until cancelled. The caller has waited for every store to be synced."""
        assert all(store.is_synced for store in self.stores), f"{self.name} started before its caches"
        queue: WorkQueue[ObjectKey] = WorkQueue(world.clock)
        if self._queue is None:
            for store, to_keys in self._sources:
                store.add_listener(self._listener(to_keys))
        self._queue = queue
        for key in self.primary.keys():  # noqa: SIM118 (a Store iterates over objects)
            queue.add(key, Priority.RESYNC)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work(queue, world))
            group.create_task(self._resync(queue))

    def _listener(self, to_keys: ToKeys) -> Callable[[Change], None]:
        def listen(change: Change) -> None:
            assert self._queue is not None
            priority = Priority.RESYNC if change.cause == "list" else Priority.CHANGE
            for key in to_keys(change):
                self._queue.add(key, priority)

        return listen

    async def _resync(self, queue: WorkQueue[ObjectKey]) -> None:
        while True:
            await asyncio.sleep(RESYNC_S)
            for key in self.primary.keys():  # noqa: SIM118
                queue.add(key, Priority.RESYNC)

    async def _work(self, queue: WorkQueue[ObjectKey], world: World) -> None:
        depth = world.metrics.queue_depth.labels(self.name)
        while True:
            key = await queue.get()
            depth.set(len(queue.core))
            try:
                await self._once(key, queue, world)
            finally:
                queue.done(key)

    async def _once(self, key: ObjectKey, queue: WorkQueue[ObjectKey], world: World) -> None:
        started = world.clock.monotonic()
        outcome = "ok"
        try:
            # Not wait_for: before Python 3.12 it swallows a cancel that comes as the call returns.
            async with asyncio.timeout(RECONCILE_TIMEOUT_S):
                result = await self._reconcile(key, world)
            queue.forget(key)
            if result.requeue_after_s is not None:
                queue.add_after(key, result.requeue_after_s)
        except (Conflict, NotFound) as err:
            # The world moved on between reading and writing: look again soon, nothing is wrong.
            outcome = "stale"
            queue.add_failed(key)
            log.debug("reconcile_stale", controller=self.name, key=str(key), error=err.message)
        except (ApiError, TimeoutError) as err:
            outcome = "api_error"
            delay_s = queue.add_failed(key)
            log.warning(
                "reconcile_failed", controller=self.name, key=str(key), error=str(err), retry_s=delay_s
            )
        except Exception as err:
            # One object's defect must not stop the other objects.
            outcome = "defect"
            delay_s = queue.add_failed(key)
            log.error(
                "reconcile_defect", controller=self.name, key=str(key), error=repr(err), retry_s=delay_s,
                exc_info=True,
            )  # fmt: skip
        finally:
            world.metrics.reconciles.labels(self.name, outcome).inc()
            world.metrics.reconcile_seconds.labels(self.name).observe(world.clock.monotonic() - started)
