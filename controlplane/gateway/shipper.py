"""Carry the usage spool to the ingest: every event once, over any crash of either side.

Order of every step: read durable lines → send → wait for the answer, which the ingest gives after its commit → move
the cursor by rename and fsync. A crash before the last one sends lines again; the ingest knows them by their ids.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import orjson
import structlog

from controlplane.gateway.metrics import Metrics
from controlplane.gateway.shipper_rules import Decision, Step, decide_next
from controlplane.gateway.spool import Position, sync_folder
from controlplane.gateway.xds_writer import write_atomically

log = structlog.get_logger(__name__)

BATCH_EVENTS_MAX = 1_000
BATCH_BYTES_MAX = 4 * 1024 * 1024
"""Half of what the ingest takes in one request; a line has at most 64 KiB."""

IDLE_SECONDS = 0.5
"""Between two looks at a spool that was carried over in full."""

BACKOFF_SECONDS_MAX = 30.0
REQUEST_SECONDS_MAX = 30.0
CONTENT_TYPE = "application/cloudevents-batch+json"


@dataclass(frozen=True, slots=True)
class IngestTarget:
    """Where usage goes. The key's file is read each time: it may appear later, or hold a new key."""

    url: str
    key: str = ""
    key_file: Path | None = None

    def __repr__(self) -> str:
        return f"IngestTarget({self.url})"

    def read_key(self) -> str:
        """Return the key, "" while there is none."""
        if self.key or self.key_file is None:
            return self.key
        try:
            return self.key_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole lines and the place behind them."""

    lines: tuple[bytes, ...]
    end: Position


class UsageShipper:
    """Reads behind its cursor, up to what the spool's writer has made durable."""

    def __init__(
        self,
        folder: Path,
        cursor_path: Path,
        target: IngestTarget,
        durable: Callable[[], Position | None],
        metrics: Metrics | None = None,
    ) -> None:
        self._folder = folder
        self._cursor_path = cursor_path
        self._target = target
        self._durable = durable
        self._metrics = metrics or Metrics()
        self._events_max = BATCH_EVENTS_MAX
        cursor_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._cursor = self._read_cursor()

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Ship until cancelled. An ingest that is away is asked again, ever more slowly."""
        failures = 0
        while True:
            try:
                shipped = await self.step(session)
            except OSError as err:
                log.error("usage_not_shipped", reason=str(err))
                shipped = None
            failures = 0 if shipped is not None else failures + 1
            if failures:
                await asyncio.sleep(min(BACKOFF_SECONDS_MAX, IDLE_SECONDS * 2 ** min(failures, 10)))
            elif not shipped:
                await asyncio.sleep(IDLE_SECONDS)

    async def step(self, session: aiohttp.ClientSession) -> int | None:
        """Ship one batch; return how many events were settled, None when the ingest did not settle them."""
        batch = await asyncio.to_thread(self._read)
        if batch is None:
            return 0
        decision = await self._send(session, batch.lines)
        if decision.step is Step.SPLIT:
            log.warning("usage_refused_whole", reason=decision.reason, events=len(batch.lines))
            self._events_max = max(1, len(batch.lines) // 2)
            return 0 if self._events_max < len(batch.lines) else None
        if decision.step is Step.WAIT:
            self._metrics.usage_not_taken.inc()
            log.warning("usage_not_taken", reason=decision.reason, events=len(batch.lines))
            return None
        await asyncio.to_thread(self._settle, batch, decision)
        self._events_max = min(BATCH_EVENTS_MAX, self._events_max * 2)
        return len(batch.lines)

    async def _send(self, session: aiohttp.ClientSession, lines: tuple[bytes, ...]) -> Decision:
        key = await asyncio.to_thread(self._target.read_key)
        if not key:
            return Decision(Step.WAIT, reason="there is no key yet")
        headers = {"Authorization": f"Bearer {key}", "Content-Type": CONTENT_TYPE}
        body = b"[" + b",".join(lines) + b"]"
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
        url = f"{self._target.url.rstrip('/')}/v1/usage_events"
        try:
            async with session.post(url, data=body, headers=headers, timeout=timeout) as response:
                return decide_next(response.status, await response.read(), len(lines))
        except (aiohttp.ClientError, TimeoutError, OSError) as err:
            return Decision(Step.WAIT, reason=type(err).__name__)

    def _read(self) -> Batch | None:
        """Read the next lines. Only durable ones: a line that the writer takes back was never shipped."""
        durable = self._durable()
        while durable is not None and self._cursor < durable:
            end = durable.length if self._cursor.segment == durable.segment else None
            lines, offset = self._read_lines(self._path(self._cursor.segment), self._cursor.length, end)
            if lines:
                return Batch(lines, Position(self._cursor.segment, offset))
            following = [number for number in self._segments() if number > self._cursor.segment]
            if not following:
                return None
            self._move(Position(following[0], 0))
            self._drop_shipped()
        return None

    def _read_lines(self, path: Path, start: int, end: int | None) -> tuple[tuple[bytes, ...], int]:
        try:
            with path.open("rb") as file:
                file.seek(start)
                data = file.read(BATCH_BYTES_MAX if end is None else min(BATCH_BYTES_MAX, end - start))
        except FileNotFoundError:
            return (), start
        lines = data.split(b"\n")[:-1][: self._events_max]
        return tuple(lines), start + sum(len(line) + 1 for line in lines)

    def _settle(self, batch: Batch, decision: Decision) -> None:
        for at, reason in decision.aside:
            log.error("usage_event_set_aside", reason=reason)
            self._set_aside(batch.lines[at], reason)
        self._move(batch.end)
        self._metrics.usage_shipped.inc(len(batch.lines))
        self._metrics.usage_set_aside.inc(len(decision.aside))

    def _set_aside(self, line: bytes, reason: str) -> None:
        """Keep what the ingest will not take for a person to look at: nothing is thrown away."""
        path = self._cursor_path.with_name("usage-refused.jsonl")
        with path.open("ab") as file:
            file.write(orjson.dumps({"reason": reason, "line": line.decode(errors="replace")}) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _drop_shipped(self) -> None:
        """Remove segments before the cursor's; the last one stays with its writer."""
        for number in self._segments()[:-1]:
            if number < self._cursor.segment:
                self._path(number).unlink(missing_ok=True)

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.jsonl"))

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:012d}.jsonl"

    def _move(self, position: Position) -> None:
        write_atomically(self._cursor_path, orjson.dumps(asdict(position)))
        sync_folder(self._cursor_path.parent)
        self._cursor = position

    def _read_cursor(self) -> Position:
        try:
            return Position(**orjson.loads(self._cursor_path.read_bytes()))
        except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
            # From the start: what was shipped before is known to the ingest.
            return Position(0, 0)
