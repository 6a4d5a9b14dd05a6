"""Append-only spool of JSON lines in numbered segments, safe against kill -9 and power loss.

A record counts once `append` has returned: it is then on disk (fsync). A torn last line, left by a crash
inside `append`, is cut when the spool is opened. One process writes at a time (file lock).

Readers: read segments in the order of their numbers; a segment may be deleted once shipped, except the newest
two, from which the writer recovers its state.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

# Small enough to ship and delete one after the other, large enough that rotation is rare.
SEGMENT_BYTES_MAX = 16 * 1024 * 1024

# One CloudEvent of ours has about 700 bytes; anything near this bound is a defect of the caller.
RECORD_BYTES_MAX = 64 * 1024

# The writer recovers from this many newest segments; see `Spool.recover`.
SEGMENTS_RECOVERED = 2

_SUFFIX = ".jsonl"

JsonObject = dict[str, Any]


class SpoolBusy(Exception):
    """Another process writes to this spool."""


class SpoolCorrupt(Exception):
    """A line before the last one cannot be read: not a torn write, somebody must look."""


class Spool:
    """The writer's end of a spool directory.

    `on_rotate` gives the records with which each new segment must begin, so that the newest segments alone
    tell what is open.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        on_rotate: Callable[[], Sequence[JsonObject]] = tuple,
    ) -> None:
        self._directory = directory
        self._segment_bytes_max = segment_bytes_max
        self._on_rotate = on_rotate
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(directory / "writer.lock")
        segments = list_segments(directory)
        self._number = segment_number(segments[-1]) if segments else 1
        path = segments[-1] if segments else directory / _name(1)
        if segments:
            repair_tail(path)
        self._file = _open_append(path)
        self._durable = (self._number, self._file.tell())

    @property
    def durable(self) -> tuple[int, int]:
        """(segment, bytes) up to which everything survives a crash: readers go no further."""
        return self._durable

    def append(self, records: Sequence[JsonObject]) -> None:
        """Write the records and return when they are on disk. All or a prefix survives a crash."""
        if not records:
            return
        if self._file.tell() >= self._segment_bytes_max:
            self._rotate()
        self._write(records)

    def recover(self) -> Iterator[JsonObject]:
        """The records of the newest segments, oldest first: enough to know what is open."""
        for path in list_segments(self._directory)[-SEGMENTS_RECOVERED:]:
            yield from read_segment(path)

    def close(self) -> None:
        self._file.close()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rotate(self) -> None:
        self._file.close()
        self._number += 1
        self._file = _open_append(self._directory / _name(self._number))
        self._write(self._on_rotate())

    def _write(self, records: Sequence[JsonObject]) -> None:
        lines = [orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records]
        assert all(len(line) <= RECORD_BYTES_MAX for line in lines)
        start = self._file.tell()
        try:
            self._file.write(b"".join(lines))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._durable = (self._number, self._file.tell())
        except OSError:
            # A half-written line must not be followed by a good one: it would no longer be the tail.
            self._reopen_at(start)
            raise

    def _reopen_at(self, size: int) -> None:
        path = self._directory / _name(self._number)
        os.truncate(path, size)
        self._file = _open_append(path)


def list_segments(directory: Path) -> list[Path]:
    """All segments, oldest first."""
    return sorted(directory.glob(f"*{_SUFFIX}"), key=segment_number)


def read_segment(path: Path) -> Iterator[JsonObject]:
    """The records of one segment. A torn last line is not a record.

    Errors: SpoolCorrupt for an unreadable line that is not the last.
    """
    data = path.read_bytes()
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if number == len(lines) - 1 and not lines[-1]:
                return
            raise SpoolCorrupt(f"{path.name} line {number}: {error}") from error
        yield record


def repair_tail(path: Path) -> int:
    """Cut a torn last line; returns the bytes removed.

    Without power-loss barriers a torn write can also leave a terminated line of garbage: it is cut as well.
    """
    data = path.read_bytes()
    kept = data.rfind(b"\n") + 1
    last_start = data.rfind(b"\n", 0, max(kept - 1, 0)) + 1
    if kept:
        try:
            orjson.loads(data[last_start:kept])
        except orjson.JSONDecodeError:
            kept = last_start
    if kept < len(data):
        with path.open("r+b") as file:
            file.truncate(kept)
            os.fsync(file.fileno())
    return len(data) - kept


def _lock(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise SpoolBusy(str(path.parent.name)) from error
    return handle


def _open_append(path: Path) -> Any:
    file = path.open("ab")
    # The new name itself must survive a power loss, or fsynced records would be in a file nobody finds.
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return file


def _name(number: int) -> str:
    return f"{number:012d}{_SUFFIX}"


def segment_number(path: Path) -> int:
    """The number in a segment's name."""
    return int(path.name.removesuffix(_SUFFIX))
