"""Follow the datacenter's Redis: hints by subscription, truth by reading again every few seconds."""

from __future__ import annotations

import asyncio
import contextlib

import redis.asyncio as aioredis
import structlog
from redis.exceptions import RedisError

from controlplane.gateway.store import BUDGETS_KEY, ENDPOINTS_PREFIX, KEYS_KEY, ROUTING_KEY, Store

log = structlog.get_logger(__name__)

CHANGED_CHANNEL = "rempart:changed"

READ_AGAIN_SECONDS = 2.0
"""A hint that got lost delays a change by this much: with the key table's 4 s it would pass 5 s, so keys are
read again each second (KEYS_AGAIN_SECONDS)."""

KEYS_AGAIN_SECONDS = 0.8
RECONNECT_SECONDS = 0.5
OPERATION_SECONDS_MAX = 3.0
BATCH = 500
"""Keys asked for in one round trip."""


def connect(url: str) -> aioredis.Redis:
    """Open a client that gives up on one operation after a few seconds instead of hanging."""
    return aioredis.from_url(
        url,
        socket_timeout=OPERATION_SECONDS_MAX,
        socket_connect_timeout=OPERATION_SECONDS_MAX,
        max_connections=64,
    )


class RedisFeed:
    """Keeps a Store up to date until cancelled."""

    def __init__(self, client: aioredis.Redis, store: Store) -> None:
        self._client = client
        self._store = store
        self.is_connected = False

    async def run(self) -> None:
        """Follow hints and read again in turn, for ever; a cut Redis is waited for."""
        await asyncio.gather(self._follow(), self._poll())

    async def read_all(self) -> None:
        """Read every key once. Errors: RedisError, OSError."""
        await self.read([ROUTING_KEY, KEYS_KEY, BUDGETS_KEY])
        await self.read([ENDPOINTS_PREFIX + name for name in sorted(self._store.routes_by_id())])

    async def read(self, keys: list[str]) -> None:
        """Read the named keys; one that is missing changes nothing (its writer will assert it again)."""
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            for key, value in zip(batch, await self._client.mget(batch), strict=True):
                if isinstance(value, bytes):
                    self._store.take(key, value)

    async def _follow(self) -> None:
        while True:
            try:
                async with self._client.pubsub(ignore_subscribe_messages=True) as hints:
                    await hints.subscribe(CHANGED_CHANNEL)
                    await self.read_all()
                    while True:
                        message = await hints.get_message(timeout=READ_AGAIN_SECONDS)
                        if message is not None:
                            await self._on_hint(message["data"])
            except (RedisError, OSError, TimeoutError) as err:
                self._mark(False, err)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _on_hint(self, data: bytes) -> None:
        key = data.decode(errors="replace")
        if key in {ROUTING_KEY, KEYS_KEY, BUDGETS_KEY} or key.startswith(ENDPOINTS_PREFIX):
            await self.read([key])

    async def _poll(self) -> None:
        clock = asyncio.get_running_loop().time
        next_full = clock()
        while True:
            with contextlib.suppress(TimeoutError):
                try:
                    if clock() >= next_full:
                        await self.read_all()
                        next_full = clock() + READ_AGAIN_SECONDS
                    else:
                        await self.read([KEYS_KEY])
                    self._mark(True, None)
                except (RedisError, OSError) as err:
                    self._mark(False, err)
            await asyncio.sleep(KEYS_AGAIN_SECONDS)

    def _mark(self, is_connected: bool, err: BaseException | None) -> None:
        if is_connected != self.is_connected:
            self.is_connected = is_connected
            log.warning("redis_connection_changed", is_connected=is_connected, reason=str(err or ""))
