"""Buckets of `rate_rules` in Redis, shared by all processes; in this process while Redis is away.

Redis counts by its own clock, in one step for all buckets of a request: either every bucket gives or none does.
While Redis does not answer, each process counts for itself: N processes then let N times as much through, never
without bound. Nothing here waits for Redis longer than REDIS_SECONDS_MAX.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from weakref import WeakKeyDictionary

import redis.asyncio
import redis.exceptions
import structlog

from controlplane.plumbing.rate_rules import MICROSECONDS, Take, charge, decide

log = structlog.get_logger()

REDIS_PREFIX = "rempart:rate:"
REDIS_SECONDS_MAX = 0.5
# After a failure Redis is left alone for a moment: a request must not wait for it each time.
AWAY_SECONDS = 5.0
# Some 10 MB; what falls out is a bucket that has not been asked for longest.
BUCKETS_MAX = 50_000

_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local is_charge = ARGV[1] == '1'
local after, worst, wait = {}, 0, 0
for i, bucket in ipairs(KEYS) do
  local interval, burst, cost = tonumber(ARGV[3*i-1]), tonumber(ARGV[3*i]), tonumber(ARGV[3*i+1])
  local full = tonumber(redis.call('GET', bucket) or '') or now
  if full < now then full = now end
  after[i] = full + interval * cost
  if is_charge then
    after[i] = math.min(math.max(after[i], now), now + interval * burst)
  else
    local over = after[i] - now - interval * burst
    if over > wait then wait, worst = over, i end
  end
end
if wait > 0 then return {string.format('%.0f', wait), worst} end
for i, bucket in ipairs(KEYS) do
  local left = math.ceil((after[i] - now) / 1000)
  if left > 0 then
    redis.call('SET', bucket, string.format('%.0f', after[i]), 'PX', left)
  else
    redis.call('DEL', bucket)
  end
end
return {'0', 0}
"""


class RateLimiter:
    """One for each process. Bucket names carry no secret: they stand in Redis as they are."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        # A connection belongs to the event loop that opened it.
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = WeakKeyDictionary()
        self._own: OrderedDict[str, int] = OrderedDict()
        self._refused_until: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()
        self._away_until = 0.0

    async def take(self, takes: Sequence[Take]) -> tuple[int, int]:
        """Take from every bucket, or from none.

        Return 0, or the microseconds after which it is worth asking again; and which of the takes asks to wait longest.
        """
        now = _now_us()
        waits = [self._refused_until.get(take.bucket, 0) - now for take in takes]
        if max(waits) > 0:
            return max(waits), waits.index(max(waits))
        answer = await self._ask(takes, is_charge=False)
        wait, worst = self._take_here(takes) if answer is None else answer
        if wait > 0 and takes[worst].cost == 1:
            self._remember(self._refused_until, takes[worst].bucket, now + wait)
        return wait, worst

    async def charge(self, take: Take) -> None:
        """Take without asking; a negative cost gives back."""
        if await self._ask([take], is_charge=True) is None:
            with self._lock:
                now = _now_us()
                self._remember(self._own, take.bucket, charge(self._own.get(take.bucket, 0), now, take))

    def _take_here(self, takes: Sequence[Take]) -> tuple[int, int]:
        with self._lock:
            now = _now_us()
            decided = [decide(self._own.get(take.bucket, 0), now, take) for take in takes]
            worst = max(range(len(takes)), key=lambda index: decided[index][1])
            if decided[worst][1] > 0:
                return decided[worst][1], worst
            for take, (full_at, _) in zip(takes, decided, strict=True):
                self._remember(self._own, take.bucket, full_at)
        return 0, 0

    async def _ask(self, takes: Sequence[Take], *, is_charge: bool) -> tuple[int, int] | None:
        """Ask Redis; None while it is away."""
        if time.monotonic() < self._away_until:
            return None
        numbers: list[int] = [int(is_charge)]
        for take in takes:
            numbers += [take.limit.interval_us, take.limit.burst, take.cost if is_charge else take.tokens]
        names = [REDIS_PREFIX + take.bucket for take in takes]
        try:
            answer = await self._script()(keys=names, args=numbers)
        except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            log.warning("rate_limits_counted_here", reason=type(error).__name__, seconds=AWAY_SECONDS)
            return None
        return int(answer[0]), max(0, int(answer[1]) - 1)

    def _script(self) -> redis.commands.core.AsyncScript:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = redis.asyncio.Redis.from_url(
                self._url,
                protocol=2,
                socket_timeout=REDIS_SECONDS_MAX,
                socket_connect_timeout=REDIS_SECONDS_MAX,
            )
            self._clients[loop] = client
        return client.register_script(_SCRIPT)

    async def close(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    @staticmethod
    def _remember(table: OrderedDict[str, int], name: str, value: int) -> None:
        table[name] = value
        table.move_to_end(name)
        if len(table) > BUCKETS_MAX:
            table.popitem(last=False)


def _now_us() -> int:
    return time.monotonic_ns() * MICROSECONDS // 1_000_000_000
