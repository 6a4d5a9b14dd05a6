"""What the gateways ask for: hears `rempart:demand` at once, polls `rempart:demand:<id>` each second.

The channel is only the fast way: a lost message, a restarted or flushed Redis costs at most one poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import redis.asyncio
import structlog
from redis.exceptions import RedisError

from operators.inference.scaling_rules import DEMAND_STALE_SECONDS, SILENCE_SECONDS_MIN, Demand
from operators.inference.views import parse_time
from operators.lib.clock import Clock

CHANNEL = "rempart:demand"
KEY_PREFIX = "rempart:demand:"

POLL_SECONDS = 1.0
# One MGET of this many keys takes about a millisecond; more would hold up the subscriber's connection.
POLL_KEYS_MAX = 500
# A Redis on the same site answers in milliseconds; longer means it is not there.
SOCKET_SECONDS_MAX = 2.0
# Redis restarts in about a second: try often at first, then leave it in peace.
RETRY_SECONDS_MIN = 0.05
RETRY_SECONDS_MAX = 2.0

log = structlog.get_logger(__name__)


def connect(url: str) -> redis.asyncio.Redis:
    """A client whose every call ends within `SOCKET_SECONDS_MAX`."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=SOCKET_SECONDS_MAX,
        socket_connect_timeout=SOCKET_SECONDS_MAX,
        health_check_interval=5,
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """A report as read: `raw` tells a repeated reading from a new report."""

    raw: bytes | None
    demand: Demand | None
    active_at: datetime | None


class DemandBoard:
    """The latest report of each regional deployment; `on_change` hears what a decision depends on."""

    def __init__(
        self, client: redis.asyncio.Redis, clock: Clock, list_known: Callable[[], Collection[str]]
    ) -> None:
        self._client = client
        self._clock = clock
        self._list_known = list_known
        self._entries: dict[str, _Entry] = {}
        self._watched_since: datetime | None = None
        self._heard: dict[str, None] = {}
        self._has_heard = asyncio.Event()
        self._on_change: Callable[[str], None] = lambda _: None

    def listen(self, on_change: Callable[[str], None]) -> None:
        """`on_change` gets the id of each regional deployment whose demand changed."""
        self._on_change = on_change

    @property
    def is_observable(self) -> bool:
        """Redis answered the last poll."""
        return self._watched_since is not None

    def find(self, regional_deployment_id: str) -> Demand | None:
        """The latest report, however old; None if there is none."""
        entry = self._entries.get(regional_deployment_id)
        return entry.demand if entry is not None else None

    def is_quiet(self, regional_deployment_id: str, now: datetime) -> bool:
        """Surely no request in flight: the gateway says so, or nobody has said otherwise for long enough."""
        if self._watched_since is None:
            return False
        entry = self._entries.get(regional_deployment_id)
        demand = entry.demand if entry is not None else None
        if demand is not None and now - demand.reported_at < timedelta(seconds=DEMAND_STALE_SECONDS):
            return demand.in_flight == 0 and demand.waiting == 0
        active_at = entry.active_at if entry is not None else None
        silent_since = max(self._watched_since, active_at or self._watched_since)
        return now - silent_since >= timedelta(seconds=SILENCE_SECONDS_MIN)

    async def run(self) -> None:
        """Listen and poll until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._subscribe())
            group.create_task(self._answer_forever())
            group.create_task(self._poll_forever())

    async def _subscribe(self) -> None:
        delay = RETRY_SECONDS_MIN
        while True:
            try:
                async with self._client.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(CHANNEL)
                    delay = RETRY_SECONDS_MIN
                    while True:
                        message = await channel.get_message(timeout=POLL_SECONDS)
                        if message is not None:
                            self._hear(message["data"])
            except (RedisError, OSError) as error:
                log.warning("demand_channel_lost", error=type(error).__name__, retry_seconds=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_SECONDS_MAX)

    def _hear(self, data: object) -> None:
        regional_deployment_id = data.decode("utf-8", "replace") if isinstance(data, bytes) else ""
        if regional_deployment_id in self._list_known():
            self._heard[regional_deployment_id] = None
            self._has_heard.set()

    async def _answer_forever(self) -> None:
        """Read the records behind the messages, all that came meanwhile in one go."""
        while True:
            await self._has_heard.wait()
            self._has_heard.clear()
            ids, self._heard = list(self._heard), {}
            records: list[Any] = [None] * len(ids)
            try:
                records = await self._client.mget([KEY_PREFIX + each for each in ids])
            except (RedisError, OSError) as error:
                log.warning("demand_unread", error=type(error).__name__, count=len(ids))
            for regional_deployment_id, raw in zip(ids, records, strict=True):
                self._believe(regional_deployment_id, raw)

    def _believe(self, regional_deployment_id: str, raw: bytes | None) -> None:
        """A message means demand now: the record behind it gives figures, and is not needed to believe it."""
        self._observe(regional_deployment_id, raw)
        entry = self._entries[regional_deployment_id]
        if entry.demand is None or not entry.demand.is_active:
            now = self._clock.now()
            heard = Demand(is_wanted=True, in_flight=0, waiting=0, first_waiting_at=now, reported_at=now)
            self._entries[regional_deployment_id] = replace(entry, demand=heard, active_at=now)
            self._on_change(regional_deployment_id)

    async def _poll_forever(self) -> None:
        while True:
            try:
                await self._poll()
            except (RedisError, OSError) as error:
                if self._watched_since is not None:
                    log.warning("demand_unobservable", error=type(error).__name__)
                    self._watched_since = None
                    self._tell_all()
            else:
                if self._watched_since is None:
                    self._watched_since = self._clock.now()
                    self._tell_all()
            await asyncio.sleep(POLL_SECONDS)

    async def _poll(self) -> None:
        known = list(self._list_known())
        for start in range(0, len(known), POLL_KEYS_MAX):
            part = known[start : start + POLL_KEYS_MAX]
            values: list[Any] = await self._client.mget([KEY_PREFIX + each for each in part])
            for regional_deployment_id, raw in zip(part, values, strict=True):
                self._observe(regional_deployment_id, raw)
        if not known:
            await self._client.ping()
        for gone in self._entries.keys() - set(known):
            del self._entries[gone]

    def _observe(self, regional_deployment_id: str, raw: bytes | None) -> None:
        before = self._entries.get(regional_deployment_id)
        if before is not None and before.raw == raw and raw is not None:
            return
        now = self._clock.now()
        demand = parse_demand(raw, now) if raw is not None else None
        active_at = now if demand is not None and demand.is_active else None
        if active_at is None and before is not None:
            active_at = before.active_at
        self._entries[regional_deployment_id] = _Entry(raw, demand, active_at)
        if _weight(before.demand if before is not None else None) != _weight(demand):
            self._on_change(regional_deployment_id)

    def _tell_all(self) -> None:
        for regional_deployment_id in list(self._list_known()):
            self._on_change(regional_deployment_id)


def parse_demand(raw: bytes, now: datetime) -> Demand | None:
    """Read a record; None if it is not one. `now` is when it was received."""
    try:
        record = orjson.loads(raw)
        in_flight, waiting = int(record.get("in_flight") or 0), int(record.get("waiting") or 0)
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
        log.warning("demand_unreadable", size_bytes=len(raw))
        return None
    return Demand(
        is_wanted=bool(record.get("wanted")),
        in_flight=max(0, in_flight),
        waiting=max(0, waiting),
        first_waiting_at=parse_time(record.get("first_waiting_at")),
        reported_at=now,
    )


def _weight(demand: Demand | None) -> tuple[bool, int] | None:
    """What a decision depends on; a repeated report changes nothing."""
    return None if demand is None else (demand.is_active, demand.in_flight + demand.waiting)
