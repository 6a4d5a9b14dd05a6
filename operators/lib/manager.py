"""Runs the caches always, and the controllers while this process leads."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from operators.lib.client import KubernetesClient
from operators.lib.clock import Clock, SystemClock
from operators.lib.controller import Controller, World
from operators.lib.events import EventRecorder
from operators.lib.health import HealthServer
from operators.lib.lease import LeaderLease
from operators.lib.objects import Obj, ObjectKey, Resource
from operators.lib.pulse import Pulse
from operators.lib.reflector import Reflector, Selection
from operators.lib.settings import OperatorSettings
from operators.lib.store import Indexer, Store

log = structlog.get_logger(__name__)

LEASE_NAME = "rempart-operators"
# On SIGTERM a reconcile in hand may finish its write; a cut-off one is finished by the next leader.
STOP_GRACE_S = 5.0

Runnable = Callable[[], Awaitable[None]]


class LeadershipLost(Exception):
    """Another process leads now: exit, so that no two act."""


class Manager:
    """One operator process: client, stores, controllers, election, probes."""

    def __init__(
        self, client: KubernetesClient, settings: OperatorSettings, clock: Clock | None = None
    ) -> None:
        self.client = client
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        events = EventRecorder(client, self.clock, settings.identity)
        self.world = World(client, self.clock, client.metrics, events)
        self.controllers: list[Controller] = []
        self._reflectors: dict[Selection, Reflector] = {}
        self._runnables: list[tuple[str, Runnable]] = [("events", events.run)]
        self._is_leading = False
        # Where the probes are served, once `run` has begun.
        self.health_port = 0

    def store(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        indexers: dict[str, Indexer] | None = None,
        transform: Callable[[Obj], Obj] | None = None,
    ) -> Store:
        """The cache of a selection; asked for twice it is one cache, with both sets of indexes.

        `transform` cuts each object down to what its readers need; it is part of the selection.
        """
        selection = Selection(resource, namespace, label_selector, transform=transform)
        reflector = self._reflectors.get(selection)
        if reflector is None:
            reflector = Reflector(self.client, Store(resource), selection)
            self._reflectors[selection] = reflector
        for name, indexer in (indexers or {}).items():
            reflector.store.add_indexer(name, indexer)
        return reflector.store

    def add_controller(self, controller: Controller) -> None:
        """Run `controller` while leading. Its stores must come from this manager."""
        known = [reflector.store for reflector in self._reflectors.values()]
        assert all(any(store is other for other in known) for store in controller.stores)
        self.controllers.append(controller)

    def add_runnable(self, name: str, runnable: Runnable) -> None:
        """Run a coroutine beside the controllers while leading; it runs until cancelled."""
        self._runnables.append((name, runnable))

    @property
    def is_synced(self) -> bool:
        """Every cache has been filled once."""
        return all(reflector.synced.is_set() for reflector in self._reflectors.values())

    @property
    def is_leading(self) -> bool:
        """The controllers run here."""
        return self._is_leading

    @property
    def is_idle(self) -> bool:
        """Leading, and no controller has anything in hand."""
        return self._is_leading and all(controller.is_idle for controller in self.controllers)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Errors: LeadershipLost; anything a runnable raised."""
        pulse = Pulse(self.client, self.clock, self._reflectors.values())
        health = HealthServer(
            self.settings.health_host, self.settings.health_port, pulse.why_not_ready, self.client.metrics
        )
        await health.start()
        log.info("health_listening", port=health.port)
        self.health_port = health.port
        tasks = [asyncio.create_task(reflector.run()) for reflector in self._reflectors.values()]
        tasks.append(asyncio.create_task(pulse.run()))
        acting = asyncio.create_task(self._act())
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({acting, stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
        finally:
            for task in (acting, stopping, *tasks):
                task.cancel()
            await asyncio.wait({acting, stopping, *tasks}, timeout=STOP_GRACE_S)
            await health.stop()

    async def _act(self) -> None:
        for reflector in self._reflectors.values():
            await reflector.synced.wait()
        log.info("caches_filled", stores=len(self._reflectors))
        if not self.settings.is_leader_election_on:
            await self._lead()
            return
        key = ObjectKey(self.settings.namespace, LEASE_NAME)
        lease = LeaderLease(self.client, self.clock, key, self.settings.identity)
        await lease.acquire()
        holding = asyncio.create_task(lease.hold())
        leading = asyncio.create_task(self._lead())
        try:
            await asyncio.wait({holding, leading}, return_when=asyncio.FIRST_COMPLETED)
            if holding.done():
                raise LeadershipLost(self.settings.identity)
            leading.result()
        finally:
            leading.cancel()
            holding.cancel()
            # Release only after the last write: the next leader may start at once.
            await asyncio.wait({leading, holding}, timeout=STOP_GRACE_S)
            if leading.done():
                await lease.release()

    async def _lead(self) -> None:
        self._is_leading = True
        self.client.metrics.is_leader.set(1)
        try:
            async with asyncio.TaskGroup() as group:
                for controller in self.controllers:
                    group.create_task(controller.run(self.world), name=controller.name)
                for name, runnable in self._runnables:
                    group.create_task(_as_coroutine(runnable), name=name)
        finally:
            self._is_leading = False
            self.client.metrics.is_leader.set(0)


async def _as_coroutine(runnable: Runnable) -> None:
    await runnable()
