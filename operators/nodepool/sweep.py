"""Gives back machines whose claim is gone: removed by force, or lost in a crash of the provider's side."""

import asyncio
from collections.abc import Iterable

import structlog

from operators.lib.controller import World
from operators.lib.errors import ApiError
from operators.lib.objects import NODE_CLAIMS, ObjectKey, uid_of
from operators.lib.store import Store
from operators.nodepool.providers.base import Machine, Provider, ProviderError

log = structlog.get_logger(__name__)

# Nothing waits for it; a minute bounds how long a forgotten machine is held.
SWEEP_PERIOD_S = 60.0


class Sweep:
    """Takes no input: the first run, a retry and a restart are the same code."""

    def __init__(self, claims: Store, providers: Iterable[Provider], world: World) -> None:
        self._claims = claims
        self._providers = tuple(providers)
        self._world = world

    async def run(self) -> None:
        """Sweep now and every SWEEP_PERIOD_S, until cancelled."""
        while True:
            for provider in self._providers:
                try:
                    await self.once(provider)
                except (ApiError, ProviderError) as err:
                    log.warning("sweep_failed", provider=provider.kind.value, error=str(err))
            await asyncio.sleep(SWEEP_PERIOD_S)

    async def once(self, provider: Provider) -> int:
        """Release every machine of `provider` without a claim; how many."""
        live = {uid_of(claim) for claim in self._claims}
        orphans = [machine for machine in await provider.list_machines() if machine.claim_uid not in live]
        released = 0
        for machine in orphans:
            if not await self._has_claim(machine):
                log.warning("orphan_released", node=machine.node_name, provider_id=machine.provider_id)
                await provider.release(machine)
                released += 1
        return released

    async def _has_claim(self, machine: Machine) -> bool:
        # The cache may lag behind a claim that another leader just made: ask the API server itself.
        claim = await self._world.client.find(NODE_CLAIMS, ObjectKey("", machine.node_name))
        return claim is not None and uid_of(claim) == machine.claim_uid
