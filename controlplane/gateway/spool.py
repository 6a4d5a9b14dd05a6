"""An append-only, durable spool of events, each line once (docs/contracts.md, "Spools").

Segments are named by a growing number; only the last is written to. A reader may take every whole line of any
segment; it keeps its own cursor and removes segments it has done with, never the last one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

SEGMENT_BYTES_MAX = 8 * 1024 * 1024
"""A segment is closed past this: about 10,000 events, which a reader takes in one transaction or two."""

_SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the spool: every line before it is durable."""

    segment: int
    length: int


class Spool:
    """One writer's end. Opening it repairs what a crash left half written."""

    def __init__(self, folder: Path, segment_bytes_max: int = SEGMENT_BYTES_MAX) -> None:
        self._folder = folder
        self._segment_bytes_max = segment_bytes_max
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        segments = self.segments()
        self._segment = segments[-1] if segments else 1
        self._descriptor = self._open()
        self._durable = self.position

    @property
    def durable(self) -> Position:
        """The place up to which everything survives a crash: a reader goes no further."""
        return self._durable

    def segments(self) -> list[int]:
        """List the numbers of all segments, oldest first."""
        return sorted(int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}"))

    def path(self, segment: int) -> Path:
        return self._folder / f"{segment:012d}{_SUFFIX}"

    @property
    def position(self) -> Position:
        return Position(self._segment, os.fstat(self._descriptor).st_size)

    def append(self, events: list[dict[str, Any]]) -> Position:
        """Write events and make them durable. Errors: OSError (disk full): nothing is confirmed.

        A write that fails half way is cut off again, so that no later line is glued to a torn one.
        """
        if not events:
            return self.position
        before = self.position
        if before.length >= self._segment_bytes_max:
            self._next_segment()
            before = self.position
        data = b"".join(orjson.dumps(event) + b"\n" for event in events)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, before.length)
            raise
        self._durable = self.position
        return self._durable

    def ids_after(self, position: Position | None) -> set[str]:
        """Read the ids of all lines behind a position (of everything, if None)."""
        found = set()
        for segment in self.segments():
            if position is not None and segment < position.segment:
                continue
            start = position.length if position is not None and segment == position.segment else 0
            with self.path(segment).open("rb") as file:
                file.seek(start)
                for line in file:
                    found.add(str(orjson.loads(line)["id"]))
        return found

    def close(self) -> None:
        os.close(self._descriptor)

    def _next_segment(self) -> None:
        os.close(self._descriptor)
        self._segment += 1
        self._descriptor = self._open()

    def _open(self) -> int:
        path = self.path(self._segment)
        is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        if is_new:
            sync_folder(self._folder)
        size = os.fstat(descriptor).st_size
        whole = _whole_length(descriptor, size)
        if whole != size:
            # A line without its end was never confirmed: its call is still in the access log and comes again.
            os.ftruncate(descriptor, whole)
            os.fsync(descriptor)
        return descriptor


def sync_folder(folder: Path) -> None:
    """Make a new or renamed entry of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _whole_length(descriptor: int, size: int) -> int:
    """Find where the last line that has an end ends."""
    end = size
    while end > 0:
        start = max(0, end - 65_536)
        block = os.pread(descriptor, end - start, start)
        newline = block.rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
