"""Ask a container's probes over loopback."""

from __future__ import annotations

import asyncio
import contextlib

from infra.local.processnode.domain import Probe
from infra.local.processnode.status_rules import HOST_ADDRESS

STATUS_LINE_BYTES_MAX = 1024
"""A status line is short; a server that sends more is not answering HTTP."""


async def is_answering(probe: Probe, port: int) -> bool:
    """Ask once: TCP connects, or HTTP answers with a status from 200 to 399, within the probe's timeout."""
    try:
        async with asyncio.timeout(probe.timeout):
            return await _ask(probe, port)
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return False


async def _ask(probe: Probe, port: int) -> bool:
    reader, writer = await asyncio.open_connection(HOST_ADDRESS, port, limit=STATUS_LINE_BYTES_MAX)
    try:
        if not probe.path:
            return True
        request = f"GET {probe.path} HTTP/1.1\r\nHost: {HOST_ADDRESS}:{port}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        await writer.drain()
        words = (await reader.readline()).split()
        return len(words) >= 2 and words[0].startswith(b"HTTP/") and 200 <= int(words[1]) < 400
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
