"""Ships the allocation spool to the control plane's usage ingest, each line once over any crash.

The cursor moves (fsync, rename) only after an answer that settles every line of a request; until then the same
lines are sent again, and the ingest knows them by their ids.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import aiohttp
import orjson
import structlog

from operators.allocation.shipper_rules import Verdict, decide_verdict
from operators.allocation.spool import SEGMENTS_RECOVERED, list_segments, segment_number
from operators.lib.metrics import Metrics

LINES_MAX = 1_000
# The ingest takes 8 MiB; a line of ours has at most 64 KiB, so one always fits.
BYTES_MAX = 4 * 1024 * 1024
IDLE_SECONDS = 1.0
# A control plane that is away is asked again after at most this.
WAIT_SECONDS_MAX = 30.0
REQUEST_SECONDS_MAX = 30.0

SPOOL = "allocation"

# (segment, bytes): everything before it.
Place = tuple[int, int]

log = structlog.get_logger(__name__)


class AllocationShipper:
    """`durable` says how far the writer has fsynced, None while no writer is open."""

    def __init__(
        self,
        spool: Path,
        state: Path,
        url: str,
        read_key: Callable[[], str],
        durable: Callable[[], Place | None],
        metrics: Metrics | None = None,
    ) -> None:
        self._spool = spool
        self._state = state
        self._url = f"{url.rstrip('/')}/v1/usage_events"
        self._read_key = read_key
        self._durable = durable
        counted = metrics or Metrics()
        self._shipped = counted.usage_shipped.labels(SPOOL)
        self._set_aside = counted.usage_set_aside.labels(SPOOL)
        self._not_taken = counted.usage_not_taken.labels(SPOOL)
        self._lines_max = LINES_MAX
        state.mkdir(parents=True, exist_ok=True)
        self._cursor = self._load()

    async def run(self) -> None:
        """Ship until cancelled."""
        wait = IDLE_SECONDS
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                try:
                    settled = await self.step(session)
                except OSError as err:
                    log.error("allocations_not_shipped", error=str(err))
                    settled = None
                if settled is None:
                    wait = min(WAIT_SECONDS_MAX, wait * 2)
                    await asyncio.sleep(wait)
                    continue
                wait = IDLE_SECONDS
                if settled == 0:
                    await asyncio.sleep(IDLE_SECONDS)

    async def step(self, session: aiohttp.ClientSession) -> int | None:
        """Send once. Returns how many lines were settled, None if the control plane settled none."""
        lines, end = await asyncio.to_thread(self._next_lines)
        if not lines:
            return 0
        verdict = await self._send(session, lines)
        if verdict.is_divisible:
            log.warning("allocations_refused_whole", why=verdict.why, lines=len(lines))
            self._lines_max = max(1, len(lines) // 2)
            return await self.step(session)
        if not verdict.is_settled:
            self._not_taken.inc()
            log.warning("allocations_not_taken", why=verdict.why, lines=len(lines))
            return None
        await asyncio.to_thread(self._settle, lines, end, verdict)
        self._lines_max = min(LINES_MAX, self._lines_max * 2)
        return len(lines)

    async def _send(self, session: aiohttp.ClientSession, lines: list[bytes]) -> Verdict:
        key = self._read_key()
        if not key:
            return Verdict(False, False, "no key yet")
        headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/cloudevents-batch+json",
        }
        try:
            async with session.post(
                self._url, data=b"[" + b",".join(lines) + b"]", headers=headers
            ) as answer:
                return decide_verdict(answer.status, await answer.read(), len(lines))
        except (aiohttp.ClientError, TimeoutError, OSError) as err:
            return Verdict(False, False, type(err).__name__)

    def _next_lines(self) -> tuple[list[bytes], Place]:
        durable = self._durable()
        if durable is None:
            return [], self._cursor
        for path in list_segments(self._spool):
            number = segment_number(path)
            if number < self._cursor[0] or number > durable[0]:
                continue
            start = self._cursor[1] if number == self._cursor[0] else 0
            end = durable[1] if number == durable[0] else path.stat().st_size
            with path.open("rb") as file:
                file.seek(start)
                data = file.read(max(0, min(BYTES_MAX, end - start)))
            lines = data.split(b"\n")[:-1][: self._lines_max]
            if lines:
                return lines, (number, start + sum(len(line) + 1 for line in lines))
        return [], self._cursor

    def _settle(self, lines: list[bytes], end: Place, verdict: Verdict) -> None:
        for at, why in verdict.refused:
            log.error("allocation_refused", why=why)
            self._keep_refused(lines[at], why)
        self._save(end)
        self._shipped.inc(len(lines))
        self._set_aside.inc(len(verdict.refused))
        # The writer recovers from its newest segments: those stay.
        for path in list_segments(self._spool)[:-SEGMENTS_RECOVERED]:
            if segment_number(path) < end[0]:
                path.unlink(missing_ok=True)

    def _keep_refused(self, line: bytes, why: str) -> None:
        """Nothing is thrown away: a person looks at what the control plane did not count."""
        with (self._state / "allocation-refused.jsonl").open("ab") as file:
            file.write(orjson.dumps({"reason": why, "line": line.decode(errors="replace")}) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _load(self) -> Place:
        try:
            segment, size = orjson.loads((self._state / "allocation-cursor.json").read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError, TypeError, ValueError):
            # From the oldest line on: what was shipped before is known to the ingest.
            return 0, 0
        return int(segment), int(size)

    def _save(self, place: Place) -> None:
        draft = self._state / ".allocation-cursor.json"
        with draft.open("wb") as file:
            file.write(orjson.dumps(place))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._state / "allocation-cursor.json")
        folder = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._cursor = place
