"""The journal of calls that began, read beside the access log: a start without an end is not lost unseen.

Envoy's script writes `starts.<minute>.log`. A file goes once its minute is over and each of its calls has an end or was
given up. What is open is kept with the collector's cursor, so that both always speak of the same moment.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import structlog

from controlplane.gateway.starts_rules import Start, is_given_up, read_start
from controlplane.spool import disk

log = structlog.get_logger(__name__)

_NAME = re.compile(r"starts\.(\d{1,12})\.log")
BUCKET_MS = 60_000
CLOSED_MS = 2 * BUCKET_MS
"""Nothing is written to the file of a minute that ended so long ago."""


class Starts:
    """What is open, and how far each file has been read."""

    def __init__(self, folder: Path, held: Any) -> None:
        self._folder = folder
        self._offsets: dict[int, int] = {}
        self._open: dict[str, Start] = {}
        self._newest: Start | None = None
        wanted = self._restore(held)
        if wanted is not None:
            self._open = {name: start for name, start in self._open.items() if name in wanted}

    @property
    def open_count(self) -> int:
        return len(self._open)

    def read(self) -> None:
        """Read what was written since. Errors: OSError."""
        for bucket in self._buckets():
            start_at = self._offsets.get(bucket, 0)
            for line in disk.read_lines(self._path(bucket), start_at):
                if not line.is_ended:
                    break
                self._offsets[bucket] = line.end
                self._take(line.text)

    def end(self, names: set[str]) -> None:
        """Calls whose end was read."""
        for name in names:
            self._open.pop(name, None)

    def list_given_up(self, now_ms: int) -> list[Start]:
        """List the calls of which no end can come any more."""
        return [start for start in self._open.values() if is_given_up(start, self._newest, now_ms)]

    def describe(self) -> dict[str, Any]:
        """What a restart must know: how far each file was read, and which calls of it are open."""
        return {"offsets": {str(k): v for k, v in self._offsets.items()}, "open": sorted(self._open)}

    def drop_finished(self, now_ms: int) -> None:
        """Remove files of which every call is settled."""
        needed = {start.at_ms // BUCKET_MS for start in self._open.values()}
        for bucket in self._buckets():
            if bucket not in needed and now_ms - bucket * BUCKET_MS > CLOSED_MS + BUCKET_MS:
                disk.remove(self._path(bucket))
                self._offsets.pop(bucket, None)

    def _restore(self, held: Any) -> set[str] | None:
        """Read again up to where the cursor stands; without a cursor from the start (None): all of it is open."""
        if not isinstance(held, dict):
            return None
        try:
            ends = {int(bucket): int(offset) for bucket, offset in held["offsets"].items()}
            wanted = {str(name) for name in held["open"]}
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        try:
            for bucket in self._buckets():
                if bucket in ends:
                    self._offsets[bucket] = ends[bucket]
                    for line in disk.read_lines(self._path(bucket), 0, ends[bucket]):
                        self._take(line.text)
        except OSError as err:
            log.error("starts_not_read", reason=str(err))
        return wanted

    def _take(self, text: bytes) -> None:
        start = read_start(text)
        if start is None:
            if text.strip():
                log.error("start_of_a_call_unreadable", bytes=len(text))
            return
        self._open[start.id] = start
        if self._newest is None or start.at_ms >= self._newest.at_ms:
            self._newest = start

    def _buckets(self) -> list[int]:
        try:
            names = disk.list_names(self._folder)
        except FileNotFoundError:
            return []
        return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))

    def _path(self, bucket: int) -> Path:
        return self._folder / f"starts.{bucket}.log"
