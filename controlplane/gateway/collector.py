"""Carry finished calls from Envoy's access log to the usage spool: each once, none lost, over any crash.

Order of every step: read lines → append to the spool and fsync → move the cursor by rename. A crash between
the last two repeats lines that the spool already has: they are known by their ids behind the cursor's spool
position.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import structlog

from controlplane.gateway.domain import Routing
from controlplane.gateway.starts import Starts
from controlplane.gateway.starts_rules import build_unknown, find_route
from controlplane.gateway.usage_rules import decide_usage
from controlplane.spool import disk
from controlplane.spool.record_rules import RECORD_BYTES_MAX, Position
from controlplane.spool.segments import Spool

log = structlog.get_logger(__name__)

BATCH_BYTES_MAX = 1024 * 1024
"""Read at once; one fsync confirms about a thousand calls."""

LINE_BYTES_MAX = 64 * 1024
"""A longer line is not one of ours (models' names are at most 256 characters)."""

_IDS = re.compile(rb'"id": ?"(req_[0-9a-z]+)"')

GLUED_STARTS_MAX = 64
"""Places tried for the start of an entry behind a torn one: an entry has fewer than ten braces of its own."""

LOG_BYTES_MAX = 16 * 1024 * 1024
"""The access log is turned over past this; at most two files of it exist when the collector keeps up."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the log has been carried over: file identity, byte offset, and where the spool then ended."""

    inode: int
    offset: int
    segment: int
    length: int


class Collector:
    """Reads `access.log` and what it was turned over into (`access.<number>.log`), oldest first."""

    def __init__(
        self,
        access_log: Path,
        spool: Spool,
        cursor_path: Path,
        gateway: str,
        starts_dir: Path | None = None,
        find_routing: Callable[[], Routing | None] = lambda: None,
    ) -> None:
        self._log = access_log
        self._spool = spool
        self._cursor_path = cursor_path
        self._gateway = gateway
        self._find_routing = find_routing
        self._held: Any = None
        self._ended: set[str] = set()
        self._cursor = self._read_cursor()
        self.starts = Starts(starts_dir or access_log.with_name("starts"), self._held)
        after = None if self._cursor is None else Position(self._cursor.segment, self._cursor.length)
        # Without a cursor the whole log is read again, so every id in the spool counts as seen.
        self._replayed = spool.ids_after(after)

    def step(self) -> int:
        """Carry one batch over; return how many bytes of the log were done with (0: nothing new)."""
        path, inode, offset = self._source()
        if path is None:
            return 0
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(BATCH_BYTES_MAX)
        end = data.rfind(b"\n") + 1
        if end == 0:
            if len(data) < BATCH_BYTES_MAX and not self._is_finished(path, inode):
                return 0
            # No line ends here and none will: a torn last line of a killed Envoy, or rubbish.
            end = len(data)
        events = self._events(data[:end]) if end else []
        position = self._spool.append([event for event in events if event["id"] not in self._replayed])
        # Behind the log: a start stands in its file before its end can stand in the log.
        self.starts.read()
        self.starts.end(self._ended)
        self._move(Cursor(inode, offset + end, position.segment, position.length))
        # Not before: a step that fails is made again, and must still know them.
        self._replayed -= {event["id"] for event in events}
        return end

    def turn_over(self) -> bool:
        """Rename a log that has grown too large; the caller then has Envoy open a new one."""
        try:
            size = self._log.stat().st_size
        except FileNotFoundError:
            return False
        if size < LOG_BYTES_MAX or self._older():
            return False
        number = 1 + max((int(path.stem.rpartition(".")[2]) for path in self._older()), default=0)
        self._log.rename(self._log.with_name(f"access.{number}.log"))
        return True

    def drop_finished(self) -> None:
        """Remove turned-over logs that were carried over in full, once Envoy writes to a new one.

        The cursor leaves a file before the file goes: its inode number may be given to a later log.
        """
        if not self._log.exists():
            return
        current = self._log.stat().st_ino
        for path in self._older():
            stat = path.stat()
            cursor = self._cursor
            if cursor is None or cursor.inode != stat.st_ino or cursor.offset < stat.st_size:
                return
            following = next((p for p in self._older() if p != path), None)
            inode = current if following is None else following.stat().st_ino
            self._move(Cursor(inode, 0, cursor.segment, cursor.length))
            path.unlink()

    def _source(self) -> tuple[Path | None, int, int]:
        """Find the oldest file with bytes that were not carried over."""
        files = [*self._older(), *([self._log] if self._log.exists() else [])]
        inodes = {path: path.stat().st_ino for path in files}
        cursor = self._cursor
        start = 0
        if cursor is not None:
            start = next((i for i, path in enumerate(files) if inodes[path] == cursor.inode), 0)
        for path in files[start:]:
            inode = inodes[path]
            offset = cursor.offset if cursor is not None and cursor.inode == inode else 0
            size = path.stat().st_size
            if size < offset:
                # Somebody emptied the file: what follows is new.
                offset = 0
            if size > offset:
                return path, inode, offset
        return None, 0, 0

    def _older(self) -> list[Path]:
        found = self._log.parent.glob("access.*.log")
        return sorted(found, key=lambda path: int(path.stem.rpartition(".")[2]))

    def _is_finished(self, path: Path, inode: int) -> bool:
        return path != self._log and self._log.exists() and self._log.stat().st_ino != inode

    def settle(self, now: datetime) -> int:
        """Report calls that began and whose end never came, once the log has been read; return how many."""
        now_ms = int(now.timestamp() * 1000)
        self.starts.read()
        given_up = self.starts.list_given_up(now_ms)
        cursor = self._cursor
        if given_up:
            routing = self._find_routing()
            routes = [(start, find_route(start, routing)) for start in given_up]
            # Without a route a call reached no engine, or its service is gone: counted, and billed to nobody.
            events = [
                build_unknown(start, route, self._gateway) for start, route in routes if route is not None
            ]
            position = self._spool.append([event for event in events if event["id"] not in self._replayed])
            self.starts.end({start.id for start in given_up})
            log.error("usage_unknown", calls=len(given_up))
            if cursor is not None:
                self._move(Cursor(cursor.inode, cursor.offset, position.segment, position.length))
        self.starts.drop_finished(now_ms)
        return len(given_up)

    def _events(self, data: bytes) -> list[dict[str, Any]]:
        events = []
        self._ended = set()
        for line in data.splitlines():
            event = self._event(line)
            if event is not None:
                events.append(event)
        return events

    def _event(self, line: bytes) -> dict[str, Any] | None:
        try:
            if len(line) > LINE_BYTES_MAX:
                raise ValueError("the line is too long")
            event = _fitting(decide_usage(line, self._gateway))
            self._note_end(line)
            return event
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            start = _find_glued(line)
            self._keep_aside(line[:start], str(err))
            if start is None:
                return None
            self._note_end(line[start:])
            return decide_usage(line[start:], self._gateway)

    def _note_end(self, line: bytes) -> None:
        """Only a line that can be read ends a call: of a torn one nobody knows what it used."""
        found = _IDS.search(line)
        if found is not None:
            self._ended.add(found[1].decode())

    def _keep_aside(self, line: bytes, reason: str) -> None:
        """Keep what cannot be read for a person to look at: nothing is thrown away."""
        log.error("access_log_line_refused", reason=reason, bytes=len(line))
        disk.append_line(self._log.with_name("refused.log"), line[:LINE_BYTES_MAX])

    def _move(self, cursor: Cursor) -> None:
        """Go on from here. On a full disk in memory alone: what is read again after a restart is known by its id."""
        self._cursor = cursor
        try:
            held = {**asdict(cursor), "starts": self.starts.describe()}
            disk.replace_file(self._cursor_path, orjson.dumps(held))
        except OSError as err:
            log.error("cursor_not_kept", reason=str(err))

    def _read_cursor(self) -> Cursor | None:
        """Read the cursor; without a good one the whole log is read again, and what the spool has is known by id."""
        try:
            held = orjson.loads(self._cursor_path.read_bytes())
            self._held = held.get("starts") if isinstance(held, dict) else None
            fields = [held[name] for name in ("inode", "offset", "segment", "length")]
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as err:
            log.error("cursor_damaged", reason=type(err).__name__)
            return None
        if not all(type(value) is int and value >= 0 for value in fields):
            log.error("cursor_damaged", reason="a field is not a whole number")
            return None
        return Cursor(*fields)


def _fitting(event: dict[str, Any] | None) -> dict[str, Any] | None:
    if event is not None and len(orjson.dumps(event)) + 2 > RECORD_BYTES_MAX:
        raise ValueError("the event is too large")
    return event


def _find_glued(line: bytes) -> int | None:
    """Find a whole entry glued to a torn one: a killed Envoy's last line may have no end."""
    at = 0
    for _ in range(GLUED_STARTS_MAX):
        at = line.find(b'{"', at + 1)
        if at < 0:
            return None
        try:
            decide_usage(line[at:], "")
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        return at
    return None
