"""Whether the caches see the present: the API server is asked for its revision, and the answer compared.

A watch that was begun at a revision of the future (etcd was restored from a backup) is silent, not broken.
So each kind is asked every PULSE_S for its present revision, by a list of one object. An answer below what
the caches have seen makes them list anew; and the process is ready only while the last answer is young and
every cache follows it.
"""

import asyncio
from collections.abc import Iterable

import structlog

from operators.lib.client import KubernetesClient
from operators.lib.clock import Clock
from operators.lib.errors import ApiError
from operators.lib.objects import Resource
from operators.lib.reflector import Reflector

log = structlog.get_logger(__name__)

PULSE_S = 10.0
# Two pulses may be missed: a restart of the API server is over by then.
FRESH_S = 30.0


class Pulse:
    """Compares all caches of a process with the API server. `run` never returns; cancel it."""

    def __init__(self, client: KubernetesClient, clock: Clock, reflectors: Iterable[Reflector]) -> None:
        self._client = client
        self._clock = clock
        self._by_resource: dict[Resource, list[Reflector]] = {}
        for reflector in reflectors:
            self._by_resource.setdefault(reflector.selection.resource, []).append(reflector)
        self._answered_at: dict[Resource, float] = {}

    def why_not_ready(self) -> str:
        """Which caches do not see the present, as a sentence; empty when all do."""
        unsynced, behind, silent = set(), set(), set()
        now = self._clock.monotonic()
        for resource, reflectors in self._by_resource.items():
            if not all(reflector.synced.is_set() for reflector in reflectors):
                unsynced.add(resource.plural)
            elif not all(reflector.is_current for reflector in reflectors):
                behind.add(resource.plural)
            elif now - self._answered_at.get(resource, -FRESH_S) >= FRESH_S:
                silent.add(resource.plural)
        parts = [
            f"{text}: {', '.join(sorted(names))}"
            for text, names in (
                ("caches are not filled", unsynced),
                ("caches do not follow the API server", behind),
                (f"no answer about the present within {FRESH_S:.0f} s", silent),
            )
            if names
        ]
        return "; ".join(parts)

    async def run(self) -> None:
        """Ask about every kind, now and every PULSE_S."""
        while True:
            await asyncio.gather(*(self._ask(resource) for resource in self._by_resource))
            await asyncio.sleep(PULSE_S)

    async def _ask(self, resource: Resource) -> None:
        seen = {reflector: reflector.revision for reflector in self._by_resource[resource]}
        try:
            present = await self._client.present_revision(resource)
        except ApiError as err:
            log.warning("pulse_failed", resource=resource.plural, status=err.status, error=err.message)
            return
        for reflector, revision in seen.items():
            reflector.observe_present(present, revision)
        self._answered_at[resource] = self._clock.monotonic()
