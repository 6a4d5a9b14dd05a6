"""Tell the operators who is waiting: at once when the first call comes, then every second."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime

import aiohttp
import orjson
import redis.asyncio as aioredis
import structlog
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

DEMAND_PREFIX = "rempart:demand:"
DEMAND_CHANNEL = "rempart:demand"
DEMAND_TTL_SECONDS = 60
REPORT_SECONDS = 1.0
ADMIN_SECONDS_MAX = 2.0

_GAUGE = re.compile(r"cluster\.(rdp_[a-z0-9]+)\.upstream_rq_active: (\d+)")


@dataclass(frozen=True, slots=True)
class DemandReport:
    """Demand for one regional deployment: calls at engines, calls held, and since when the oldest is held."""

    regional_deployment_id: str
    in_flight: int
    waiting: int
    first_waiting_at: datetime | None
    at: datetime

    def wire(self) -> bytes:
        first = None if self.first_waiting_at is None else self.first_waiting_at.isoformat()
        return orjson.dumps(
            {
                "wanted": self.in_flight > 0 or self.waiting > 0,
                "in_flight": self.in_flight,
                "waiting": self.waiting,
                "first_waiting_at": first,
                "at": self.at.isoformat(),
            }
        )


def parse_active_calls(stats: str) -> dict[str, int]:
    """Read Envoy's count of open calls for each regional deployment from its stats text. Pure."""
    return {name: int(value) for name, value in _GAUGE.findall(stats)}


class DemandPublisher:
    """Writes demand keys. A cut Redis loses a report, never a held call: the next second says it again."""

    def __init__(self, client: aioredis.Redis) -> None:
        self._client = client

    async def publish(self, reports: list[DemandReport], *, is_edge: bool = False) -> bool:
        """Write the reports in one round trip, with a hint when somebody begins to wait; return success."""
        if not reports:
            return True
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for report in reports:
                    pipe.set(
                        DEMAND_PREFIX + report.regional_deployment_id, report.wire(), ex=DEMAND_TTL_SECONDS
                    )
                    if is_edge:
                        pipe.publish(DEMAND_CHANNEL, report.regional_deployment_id)
                await pipe.execute()
        except (RedisError, OSError, TimeoutError) as err:
            log.warning("demand_not_published", reason=str(err), reports=len(reports))
            return False
        return True


async def read_active_calls(session: aiohttp.ClientSession, admin_port: int) -> dict[str, int]:
    """Ask Envoy how many calls each regional deployment has open; nothing when Envoy does not answer."""
    url = f"http://127.0.0.1:{admin_port}/stats"
    query = {"usedonly": "", "filter": r"^cluster\.rdp_[a-z0-9]+\.upstream_rq_active$"}
    try:
        timeout = aiohttp.ClientTimeout(total=ADMIN_SECONDS_MAX)
        async with session.get(url, params=query, timeout=timeout) as response:
            return parse_active_calls(await response.text())
    except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as err:
        log.info("envoy_not_asked", reason=str(err))
        return {}
