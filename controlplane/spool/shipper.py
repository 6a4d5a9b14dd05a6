"""Carry a spool to the usage ingest: every record once, over any crash of either side and any failure of the disk.

Order of every step: read durable lines → send → wait for the answer, which the ingest gives after its commit → keep
what it refused → move the cursor (fsync, rename). A crash before the last one sends lines again; the ingest knows them
by their ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import aiohttp
import orjson
import structlog

from controlplane.spool import disk
from controlplane.spool.answer_rules import Decision, Step, decide_next
from controlplane.spool.record_rules import (
    CURSOR_BYTES_MAX,
    Position,
    read_cursor,
    read_line,
    write_cursor,
)
from controlplane.spool.segments import list_segments, segment_path, set_segment_aside

log = structlog.get_logger(__name__)

LINES_MAX = 1_000
BATCH_BYTES_MAX = 4 * 1024 * 1024
"""Half of what the ingest takes in one request; a record has at most 64 KiB."""

IDLE_SECONDS = 0.5
"""Between two looks at a spool that was carried over in full."""

BACKOFF_SECONDS_MAX = 30.0
REQUEST_SECONDS_MAX = 30.0
READ_FAILURES_MAX = 20
"""A segment that cannot be read so often in a row (some ten minutes) is set aside: those behind it go on."""

CONTENT_TYPE = "application/cloudevents-batch+json"
UNREADABLE = "the line cannot be read"


class Count(Protocol):
    """One number that only grows: a Prometheus counter, or a child of one."""

    def inc(self, amount: float = 1) -> None: ...


@dataclass(slots=True)
class Tally:
    """A Count for whoever keeps no metrics."""

    value: float = 0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


@dataclass(frozen=True, slots=True)
class Counts:
    """`shipped`: records settled; `set_aside`: lines that nobody counted; `not_taken`: batches sent again."""

    shipped: Count = field(default_factory=Tally)
    set_aside: Count = field(default_factory=Tally)
    not_taken: Count = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class IngestTarget:
    """Where usage goes. The key's file is read each time: it may appear later, or hold a new key."""

    url: str
    key: str = field(repr=False, default="")
    key_file: Path | None = None

    def read_key(self) -> str:
        """Return the key, "" while there is none. Errors: OSError, UnicodeDecodeError (a ValueError)."""
        if self.key or self.key_file is None:
            return self.key
        try:
            return self.key_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole lines, what of the same stretch is damaged, and the place behind all of it."""

    lines: tuple[bytes, ...]
    damaged: tuple[bytes, ...]
    end: Position


class Shipper:
    """Reads behind its cursor, up to what the spool's writer has made durable (None while no writer is open).

    `name` names the cursor's file, the file of what was refused, and the lines of the log.
    """

    def __init__(
        self,
        folder: Path,
        state: Path,
        name: str,
        target: IngestTarget,
        durable: Callable[[], Position | None],
        *,
        counts: Counts | None = None,
        kept: int = 1,
        lines_max: int | None = None,
    ) -> None:
        self._folder = folder
        self._cursor_path = state / f"{name}-cursor.json"
        self._refused_path = state / f"{name}-refused.jsonl"
        self._target = target
        self._durable = durable
        self._counts = counts or Counts()
        self._kept = kept
        self._lines_limit = self._lines_max = lines_max or LINES_MAX
        self._log = log.bind(spool=name)
        self._failures: dict[int, int] = {}
        self._cursor: Position | None = None

    async def run(self, session: aiohttp.ClientSession | None = None) -> None:
        """Ship until cancelled. An ingest or a disk that is away is asked again, ever more slowly."""
        if session is None:
            async with aiohttp.ClientSession() as own:
                return await self.run(own)
        failures = 0
        while True:
            try:
                shipped = await self.step(session)
            except OSError as err:
                self._log.error("usage_not_shipped", reason=str(err))
                shipped = None
            failures = 0 if shipped is not None else failures + 1
            if failures:
                await asyncio.sleep(min(BACKOFF_SECONDS_MAX, IDLE_SECONDS * 2 ** min(failures, 10)))
            elif not shipped:
                await asyncio.sleep(IDLE_SECONDS)

    async def step(self, session: aiohttp.ClientSession) -> int | None:
        """Ship one batch; return how many lines were settled, None when the ingest settled none. Errors: OSError."""
        batch = await asyncio.to_thread(self._read)
        if batch is None:
            return 0
        decision = await self._send(session, batch.lines) if batch.lines else Decision(Step.ADVANCE)
        if decision.step is Step.SPLIT:
            self._log.warning("usage_refused_whole", reason=decision.reason, lines=len(batch.lines))
            self._lines_max = max(1, len(batch.lines) // 2)
            return await self.step(session)
        if decision.step is Step.WAIT:
            self._counts.not_taken.inc()
            self._log.warning("usage_not_taken", reason=decision.reason, lines=len(batch.lines))
            return None
        await asyncio.to_thread(self._settle, batch, decision)
        self._lines_max = min(self._lines_limit, self._lines_max * 2)
        return len(batch.lines) + len(batch.damaged)

    async def _send(self, session: aiohttp.ClientSession, lines: tuple[bytes, ...]) -> Decision:
        try:
            key = await asyncio.to_thread(self._target.read_key)
            if not key:
                return Decision(Step.WAIT, reason="there is no key yet")
            headers = {"Authorization": f"Bearer {key}", "Content-Type": CONTENT_TYPE}
            body = b"[" + b",".join(lines) + b"]"
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
            url = f"{self._target.url.rstrip('/')}/v1/usage_events"
            async with session.post(url, data=body, headers=headers, timeout=timeout) as response:
                return decide_next(response.status, await response.read(), len(lines))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
            # A ValueError: a key's file or an address that is none. It may be put right while this runs.
            return Decision(Step.WAIT, reason=type(err).__name__)

    def _read(self) -> Batch | None:
        """Read the next lines. Only durable ones: a line that the writer takes back was never shipped."""
        durable = self._durable()
        if durable is None:
            return None
        numbers = [number for number in list_segments(self._folder) if number <= durable.segment]
        cursor = self._place(numbers, durable)
        for number in numbers:
            if number < cursor.segment:
                continue
            start = cursor.length if number == cursor.segment else 0
            end = durable.length if number == durable.segment else None
            batch = self._read_readable(number, start, end)
            if batch is not None and batch.end != Position(number, start):
                return batch
            if number > cursor.segment:
                self._move(Position(number, 0))
                self._drop_shipped(numbers)
        return None

    def _read_readable(self, number: int, start: int, end: int | None) -> Batch | None:
        """Read lines of a segment; one that cannot be read for long is set aside (None)."""
        try:
            batch = self._read_lines(number, start, end)
        except FileNotFoundError:
            return None
        except OSError as err:
            failures = self._failures[number] = self._failures.get(number, 0) + 1
            if failures < READ_FAILURES_MAX or not set_segment_aside(segment_path(self._folder, number)):
                raise
            self._counts.set_aside.inc()
            self._log.error("spool_segment_set_aside", segment=number, reason=str(err))
            return None
        self._failures.pop(number, None)
        return batch

    def _read_lines(self, number: int, start: int, end: int | None) -> Batch:
        lines: list[bytes] = []
        damaged: list[bytes] = []
        size, reached = 0, start
        for line in disk.read_lines(segment_path(self._folder, number), start, end):
            if not line.is_ended or len(lines) == self._lines_max or size + len(line.text) > BATCH_BYTES_MAX:
                break
            found = read_line(line.text, is_cut=line.is_cut)
            if found.is_damaged:
                damaged.append(line.text[: found.offset])
            if found.record is not None:
                lines.append(line.text[found.offset :])
            size, reached = size + len(line.text), line.end
        return Batch(tuple(lines), tuple(damaged), Position(number, reached))

    def _place(self, numbers: list[int], durable: Position) -> Position:
        """Where to go on: a cursor that cannot be true (a damaged file, a cut or missing segment) goes back.

        What is sent again is known to the ingest, so going back is always safe.
        """
        cursor = self._cursor
        if cursor is None:
            cursor = self._load()
            if cursor > durable:
                self._log.error("cursor_behind_the_end", segment=cursor.segment, length=cursor.length)
                cursor = Position(0, 0)
            elif cursor.segment in numbers and not self._is_line_start(cursor):
                self._log.error("cursor_within_a_line", segment=cursor.segment, length=cursor.length)
                cursor = Position(0, 0)
            elif cursor.segment and numbers and cursor.segment not in numbers:
                self._log.error("spool_segment_missing", segment=cursor.segment)
        elif cursor > durable:
            cursor = Position(0, 0)
        self._cursor = cursor
        return cursor

    def _is_line_start(self, place: Position) -> bool:
        if place.length == 0:
            return True
        path = segment_path(self._folder, place.segment)
        return any(
            line.end == place.length and line.is_ended for line in disk.read_lines(path, place.length - 1)
        )

    def _settle(self, batch: Batch, decision: Decision) -> None:
        for index, reason in decision.refused:
            self._log.error("usage_event_set_aside", reason=reason)
            self._keep_refused(batch.lines[index], reason)
        for text in batch.damaged:
            self._log.error("usage_event_set_aside", reason=UNREADABLE)
            self._keep_refused(text, UNREADABLE)
        self._move(batch.end)
        self._counts.shipped.inc(len(batch.lines))
        self._counts.set_aside.inc(len(decision.refused) + len(batch.damaged))
        self._drop_shipped(list_segments(self._folder))

    def _keep_refused(self, line: bytes, reason: str) -> None:
        """Keep what is not counted for a person to look at: nothing is thrown away. Errors: OSError."""
        disk.make_folder(self._refused_path.parent)
        note = orjson.dumps({"reason": reason, "line": line.decode(errors="replace")})
        disk.append_line(self._refused_path, note)

    def _drop_shipped(self, numbers: list[int]) -> None:
        """Remove segments before the cursor's, except the newest, from which their writer recovers."""
        assert self._cursor is not None
        for number in numbers[: -self._kept]:
            if number < self._cursor.segment:
                try:
                    disk.remove(segment_path(self._folder, number))
                except OSError as err:
                    self._log.error("shipped_segment_not_removed", segment=number, reason=str(err))

    def _move(self, position: Position) -> None:
        """Go on from here. On a full disk in memory alone: shipped segments go, and make room."""
        self._cursor = position
        try:
            disk.make_folder(self._cursor_path.parent)
            disk.replace_file(self._cursor_path, write_cursor(position))
        except OSError as err:
            self._log.error("cursor_not_kept", reason=str(err))

    def _load(self) -> Position:
        """Read the cursor; without a good one from the start: what was shipped before is known to the ingest."""
        try:
            found = read_cursor(disk.read_file(self._cursor_path, CURSOR_BYTES_MAX))
        except FileNotFoundError:
            return Position(0, 0)
        except (OSError, ValueError) as err:
            self._log.error("cursor_unreadable", reason=str(err))
            return Position(0, 0)
        if found is None:
            self._log.error("cursor_damaged")
        return found or Position(0, 0)
