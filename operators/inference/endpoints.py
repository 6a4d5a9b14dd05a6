"""Tells the gateways where replicas serve: `rempart:endpoints:<id>`, re-asserted so that Redis may forget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import orjson
import redis.asyncio
import structlog
from redis.exceptions import RedisError

from operators.inference.views import format_time
from operators.lib.clock import Clock

CHANNEL = "rempart:changed"
KEY_PREFIX = "rempart:endpoints:"

# The contract with the gateways: a lost key is back within this time.
REASSERT_SECONDS = 5.0
# What could not be written (Redis away) is tried again this often.
RETRY_SECONDS = 0.5
# One pipeline of this many keys stays well under the socket timeout.
PIPELINE_KEYS_MAX = 200

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one replica answers."""

    address: str
    port: int
    instance: str


@dataclass(frozen=True, slots=True)
class _Publication:
    version: int
    is_simulated: bool
    endpoints: tuple[Endpoint, ...]
    is_written: bool


class EndpointPublisher:
    """The only writer of endpoints. What it was told last is asserted until it is withdrawn."""

    def __init__(self, client: redis.asyncio.Redis, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._publications: dict[str, _Publication] = {}
        # A re-assertion in flight must not bring a withdrawn key back.
        self._writing = asyncio.Lock()

    async def publish(
        self, regional_deployment_id: str, endpoints: Sequence[Endpoint], *, is_simulated: bool
    ) -> bool:
        """Make these the endpoints; writes only on change. False: Redis is away, it will be written later."""
        wanted = tuple(endpoints)
        known = self._publications.get(regional_deployment_id)
        is_same = known is not None and (known.endpoints, known.is_simulated) == (wanted, is_simulated)
        if known is not None and is_same and known.is_written:
            return True
        if known is None or not is_same:
            version = _next_version(known, self._clock.now())
            self._publications[regional_deployment_id] = _Publication(version, is_simulated, wanted, False)
        return await self._write([regional_deployment_id])

    async def withdraw(self, regional_deployment_id: str) -> bool:
        """Remove the key for good. False: Redis is away, nothing was removed."""
        self._publications.pop(regional_deployment_id, None)
        key = KEY_PREFIX + regional_deployment_id
        try:
            async with self._writing, self._client.pipeline(transaction=True) as pipeline:
                pipeline.delete(key)
                pipeline.publish(CHANNEL, key)
                await pipeline.execute()
        except (RedisError, OSError) as error:
            log.warning("endpoints_not_withdrawn", error=type(error).__name__)
            return False
        return True

    async def run(self) -> None:
        """Re-assert everything every `REASSERT_SECONDS`, what is not written yet sooner; until cancelled."""
        due_at = self._clock.monotonic() + REASSERT_SECONDS
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            is_due = self._clock.monotonic() >= due_at
            chosen = [key for key, each in self._publications.items() if is_due or not each.is_written]
            if is_due:
                due_at = self._clock.monotonic() + REASSERT_SECONDS
            for start in range(0, len(chosen), PIPELINE_KEYS_MAX):
                await self._write(chosen[start : start + PIPELINE_KEYS_MAX])

    async def _write(self, ids: Sequence[str]) -> bool:
        """Write these keys; announce those whose content in Redis was another or was lost."""
        async with self._writing:
            return await self._write_alone(ids)

    async def _write_alone(self, ids: Sequence[str]) -> bool:
        written = {each: self._publications[each] for each in ids if each in self._publications}
        now = self._clock.now()
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for each, publication in written.items():
                    pipeline.set(KEY_PREFIX + each, _payload(each, publication, now), get=True)
                previous = await pipeline.execute()
            changed = [
                KEY_PREFIX + each
                for (each, publication), raw in zip(written.items(), previous, strict=True)
                if not _has_version(raw, publication.version)
            ]
            if changed:
                async with self._client.pipeline(transaction=False) as pipeline:
                    for key in changed:
                        pipeline.publish(CHANNEL, key)
                    await pipeline.execute()
        except (RedisError, OSError) as error:
            log.warning("endpoints_not_written", error=type(error).__name__, count=len(written))
            for each, publication in written.items():
                self._mark(each, publication, is_written=False)
            return False
        for each, publication in written.items():
            self._mark(each, publication, is_written=True)
        return True

    def _mark(self, regional_deployment_id: str, publication: _Publication, *, is_written: bool) -> None:
        # Only if it is still the one that was written: a newer one may have been told meanwhile.
        current = self._publications.get(regional_deployment_id)
        if current is not None and current.version == publication.version:
            self._publications[regional_deployment_id] = replace(current, is_written=is_written)


def _next_version(known: _Publication | None, now: datetime) -> int:
    """Milliseconds since the epoch, always rising: a restarted operator goes on above its predecessor."""
    by_clock = int(now.timestamp() * 1000)
    return by_clock if known is None else max(by_clock, known.version + 1)


def _payload(regional_deployment_id: str, publication: _Publication, now: datetime) -> bytes:
    return orjson.dumps(
        {
            "regional_deployment_id": regional_deployment_id,
            "version": publication.version,
            "generated_at": format_time(now),
            "simulated": publication.is_simulated,
            "endpoints": [
                {"address": each.address, "port": each.port, "instance": each.instance}
                for each in publication.endpoints
            ],
        }
    )


def _has_version(raw: object, version: int) -> bool:
    if not isinstance(raw, bytes):
        return False
    try:
        stored = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return False
    return isinstance(stored, dict) and stored.get("version") == version
