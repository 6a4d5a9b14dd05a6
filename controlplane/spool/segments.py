"""An append-only, durable spool of JSON records in numbered segments, safe against any failure and any end.

What `append` has returned for is on disk (fsync) and stays there; what it raised for is taken back before anything
else is written. Segments are named by a growing number; only the newest is written to, by one process (file lock).
Readers go as far as `durable`, keep their own cursor, and may remove segments that they are done with, except the
newest `kept`, from which the writer recovers.

Sources: POSIX fsync, ftruncate; `Can Applications Recover from fsync Failures?` (USENIX ATC 2020) for why nothing
that a failed fsync was to make durable is counted on afterwards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from controlplane.spool import disk
from controlplane.spool.record_rules import (
    JsonObject,
    Position,
    encode_batch,
    is_open_batch,
    list_ids,
    read_line,
)

log = structlog.get_logger(__name__)

SEGMENT_BYTES_MAX = 8 * 1024 * 1024
"""A segment is closed past this: about 10,000 events, which a reader takes in a few transactions."""

LOCK_NAME = "writer.lock"
DAMAGED_NAME = "damaged.log"
MENDED_BYTES_MAX = 1024 * 1024
NOTE_BYTES_MAX = 4096
"""Damage of one segment beyond the first is left as it is, for readers pass over it; of a damaged line the last of
these bytes are kept for a person."""

_SEGMENT_NAME = re.compile(r"\d{12}\.jsonl")


class SpoolBusy(Exception):
    """Another process writes to this spool."""


class WriteUndecided(OSError):
    """A write failed, and so did taking it back: it is taken back before anything else is written.

    Only if the process ends before that, all of the refused records may be there when the spool is opened again. No
    order of writes can exclude it: the disk took the bytes and then answered nothing any more.
    """


@dataclass(slots=True)
class Damage:
    """What opening a spool found and mended: damaged lines set aside, segments set aside, bytes of torn tails cut."""

    lines: int = 0
    segments: int = 0
    torn_bytes: int = 0


class Spool:
    """The writer's end of a spool's folder. Opening it mends what a crash or a failing disk left.

    `on_rotate` gives the records with which each new segment begins, so that the newest segments alone tell what is
    open. Errors of opening: SpoolBusy; OSError when the folder cannot be written: try again later.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        kept: int = 1,
        on_rotate: Callable[[], Sequence[JsonObject]] = tuple,
    ) -> None:
        self._folder = folder
        self._segment_bytes_max = segment_bytes_max
        self._kept = kept
        self._on_rotate = on_rotate
        self._debris: Position | None = None
        self.damage = Damage()
        disk.make_folder(folder)
        lock = disk.take_lock(folder / LOCK_NAME)
        if lock is None:
            raise SpoolBusy(folder.name)
        self._lock = lock
        try:
            self._segment = self._mend()
            self._descriptor = disk.open_to_append(segment_path(folder, self._segment))
        except OSError:
            disk.close(lock)
            raise
        try:
            # What a process left that ended between its write and its fsync is seen, so it must be durable too.
            disk.sync(self._descriptor)
            disk.sync_folder(folder)
            self._durable = self._end()
        except OSError:
            self.close()
            raise

    @property
    def durable(self) -> Position:
        """The place up to which everything survives: readers go no further."""
        return self._durable

    def append(self, records: Sequence[JsonObject]) -> Position:
        """Write records, all or none, and return the durable place behind them.

        Errors: RecordTooLarge, TypeError, before anything is written; OSError: nothing of it counts; WriteUndecided,
        an OSError: nothing of it counts while this process lives.
        """
        data = encode_batch(records)
        if not data:
            return self._durable
        self._take_back()
        if self._status().st_nlink == 0:
            # Somebody removed the file under this process: what is written to it now would be nowhere.
            log.error("spool_segment_missing", spool=self._folder.name, segment=self._segment)
            self.damage.segments += 1
            disk.make_folder(self._folder)
            self._start_segment()
        elif self._status().st_size >= self._segment_bytes_max:
            self._rotate()
        before = self._end()
        self._debris = before
        try:
            disk.write_all(self._descriptor, data)
            disk.sync(self._descriptor)
            self._durable = self._end()
        except OSError as err:
            if not self._try_to_take_back():
                raise WriteUndecided(err.errno, err.strerror) from err
            raise
        self._debris = None
        return self._durable

    def recover(self) -> Iterator[JsonObject]:
        """Read the records of the newest segments, oldest first: enough to know what is open. Errors: OSError."""
        numbers = [number for number in list_segments(self._folder) if number <= self._durable.segment]
        for number in numbers[-self._kept :]:
            yield from read_segment(segment_path(self._folder, number))

    def ids_after(self, position: Position | None) -> set[str]:
        """Read the ids of all records behind a position (of everything, if None)."""
        found: set[str] = set()
        for number in list_segments(self._folder):
            if number > self._durable.segment or (position is not None and number < position.segment):
                continue
            start = position.length if position is not None and number == position.segment else 0
            try:
                found |= list_ids(read_segment(segment_path(self._folder, number), start))
            except OSError as err:
                log.error(
                    "spool_segment_unreadable", spool=self._folder.name, segment=number, reason=str(err)
                )
        return found

    def close(self) -> None:
        """Let go of the spool; another process may write to it."""
        self._try_to_take_back()
        disk.close(self._descriptor)
        disk.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self) -> Position:
        return Position(self._segment, self._status().st_size)

    def _status(self) -> os.stat_result:
        return disk.read_status(self._descriptor)

    def _rotate(self) -> None:
        """Begin a new segment. When that fails the old one, still whole, grows on: a bound of size is no promise."""
        try:
            self._start_segment()
        except OSError as err:
            log.warning("spool_not_rotated", spool=self._folder.name, reason=str(err))
            self._take_back()

    def _start_segment(self) -> None:
        number = max(self._segment, _newest_name(self._folder)) + 1
        descriptor = None
        # Before the file is made: whatever fails from here on, what is left of it goes first.
        self._debris = Position(number, 0)
        try:
            descriptor = disk.open_to_append(segment_path(self._folder, number), is_new=True)
            disk.write_all(descriptor, encode_batch(self._on_rotate()))
            disk.sync(descriptor)
            disk.sync_folder(self._folder)
            length = disk.read_status(descriptor).st_size
        except OSError as err:
            if descriptor is not None:
                disk.close(descriptor)
            if isinstance(err, FileExistsError):
                self._debris = None
            raise
        disk.close(self._descriptor)
        self._descriptor, self._segment = descriptor, number
        self._durable, self._debris = Position(number, length), None

    def _take_back(self) -> None:
        """Undo what a failed write left; nothing is written before that is done. Errors: OSError."""
        debris = self._debris
        if debris is None:
            return
        if debris.segment != self._segment:
            disk.remove(segment_path(self._folder, debris.segment))
            disk.sync_folder(self._folder)
        else:
            disk.cut(self._descriptor, debris.length)
        self._debris = None

    def _try_to_take_back(self) -> bool:
        try:
            self._take_back()
        except OSError as err:
            log.error("spool_write_not_taken_back", spool=self._folder.name, reason=str(err))
            return False
        return True

    def _mend(self) -> int:
        """Mend each damaged segment; return the number of the one to write to."""
        numbers = list_segments(self._folder)
        unreadable = set()
        for number in numbers:
            try:
                mended = inspect_segment(segment_path(self._folder, number), is_newest=number == numbers[-1])
            except OSError as err:
                # It may be readable next time: it stays, and nothing is written behind what nobody can see.
                log.error(
                    "spool_segment_unreadable", spool=self._folder.name, segment=number, reason=str(err)
                )
                unreadable.add(number)
                continue
            self._mend_segment(segment_path(self._folder, number), mended)
        self.damage.segments += len(unreadable)
        if self.damage != Damage():
            log.error("spool_damaged", spool=self._folder.name, lines=self.damage.lines,
                      segments=self.damage.segments, torn_bytes=self.damage.torn_bytes)  # fmt: skip
        newest = _newest_name(self._folder)
        return newest if newest in numbers and newest not in unreadable else newest + 1

    def _mend_segment(self, path: Path, mended: Inspection) -> None:
        self.damage.lines += mended.damaged_lines
        if mended.notes:
            try:
                # Kept for a person before anything is written over. On a full disk the damage stays where it is.
                disk.append_line(self._folder / DAMAGED_NAME, b"\n".join(mended.notes))
                disk.overwrite(path, [(start, b" " * length) for start, length in mended.blanks])
            except OSError as err:
                log.error("spool_damage_not_mended", spool=self._folder.name, reason=str(err))
        if mended.torn_bytes:
            # Without its end a line was never confirmed, nor was an `append` without its last line.
            self.damage.torn_bytes += mended.torn_bytes
            descriptor = disk.open_to_append(path)
            try:
                disk.cut(descriptor, mended.whole_bytes)
            finally:
                disk.close(descriptor)


@dataclass(slots=True)
class Inspection:
    """What is wrong with a segment. `blanks` are (offset, bytes) of damage that `notes` keep for a person."""

    whole_bytes: int = 0
    torn_bytes: int = 0
    damaged_lines: int = 0
    kept_bytes: int = 0
    blanks: list[tuple[int, int]] = field(default_factory=list)
    notes: list[bytes] = field(default_factory=list)

    def add(self, name: str, line: disk.Line, offset: int) -> None:
        """Count a damaged line, of which a whole record may begin at `offset`."""
        self.damaged_lines += 1
        length = line.end - 1 - line.start - (len(line.text) - offset)
        text = repr(line.text[:offset][-NOTE_BYTES_MAX:])[2:-1]
        if self.kept_bytes + length + len(text) <= MENDED_BYTES_MAX:
            self.kept_bytes += length + len(text)
            self.blanks.append((line.start, length))
            self.notes.append(f"{name} {line.start} {text}".encode())


def inspect_segment(path: Path, *, is_newest: bool) -> Inspection:
    """Read a segment and say what is wrong with it. Errors: OSError."""
    found = Inspection()
    end = 0
    for line in disk.read_lines(path):
        end = line.end
        if not line.is_ended:
            break
        if not (is_newest and is_open_batch(line.text)):
            found.whole_bytes = line.end
        held = read_line(line.text, is_cut=line.is_cut)
        if held.is_damaged:
            found.add(path.name, line, held.offset)
    found.torn_bytes = end - found.whole_bytes
    return found


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:012d}.jsonl"


def list_segments(folder: Path) -> list[int]:
    """List the numbers of all segments, oldest first; other files are none of ours. Errors: OSError."""
    return sorted(int(name[:12]) for name in disk.list_names(folder) if _SEGMENT_NAME.fullmatch(name))


def read_segment(path: Path, start: int = 0) -> Iterator[JsonObject]:
    """Read the records of a segment; damage and a torn last line are passed over. Errors: OSError."""
    for line in disk.read_lines(path, start):
        record = read_line(line.text, is_cut=line.is_cut).record if line.is_ended else None
        if record is not None:
            yield record


def set_segment_aside(path: Path) -> bool:
    """Rename a segment that cannot be read, so that nobody waits for it and nobody removes it."""
    try:
        disk.move(path, path.with_suffix(".unreadable"))
    except OSError as err:
        log.error("spool_segment_not_set_aside", segment=path.name, reason=str(err))
        return False
    return True


def _newest_name(folder: Path) -> int:
    """The highest number that a segment has or had before it was set aside; 0 for none."""
    return max((int(name[:12]) for name in disk.list_names(folder) if re.match(r"\d{12}\.", name)), default=0)
