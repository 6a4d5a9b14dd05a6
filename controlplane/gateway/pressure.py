"""Tell Envoy how many of its connections are open, so that it lets go of idle ones before newcomers are shut out.

Envoy's own monitor of connections refuses new ones at the bound and can start no action; the injected resource can
(Envoy 1.40, overload manager: `reduce_timeouts`).
"""

from __future__ import annotations

import asyncio
import re

import aiohttp
import structlog

from controlplane.gateway.xds_writer import XdsWriter

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
ADMIN_SECONDS_MAX = 2.0

_CONNECTIONS = re.compile(r"^http\.tenants\.downstream_cx_active: (\d+)$", re.MULTILINE)


def parse_connections(stats: str) -> int:
    """Read the number of callers' open connections from Envoy's stats text; none when it is not there. Pure."""
    found = _CONNECTIONS.search(stats)
    return int(found[1]) if found else 0


async def report_pressure(
    session: aiohttp.ClientSession, admin_port: int, connections_max: int, writer: XdsWriter
) -> None:
    """Look again and again, for ever. While Envoy does not answer, what was last written stands."""
    url = f"http://127.0.0.1:{admin_port}/stats"
    query = {"filter": r"^http\.tenants\.downstream_cx_active$"}
    timeout = aiohttp.ClientTimeout(total=ADMIN_SECONDS_MAX)
    while True:
        try:
            async with session.get(url, params=query, timeout=timeout) as response:
                open_now = parse_connections(await response.text())
            writer.write_pressure(open_now / connections_max)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as err:
            log.debug("pressure_not_reported", reason=str(err))
        await asyncio.sleep(LOOK_SECONDS)
