"""A container's output on disk, each line with its time, as the container runtime interface has it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

LOG_BYTES_MAX = 10 * 2**20
"""Size at which a log moves aside; one older part is kept, so a pod costs at most twice this."""

LINE_BYTES_MAX = 16 * 2**10
"""Longer lines are split, as container runtimes do."""

FOLLOWER_LINES_MAX = 2000
"""Lines a slow reader may lag behind before its stream is ended."""

RUNS_KEPT = 2
"""Runs whose logs are kept: this one and the one before, for `kubectl logs --previous`."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of output and when it was read."""

    at: str
    text: str


class ContainerLog:
    """The log of one run: written by the pumps of its two streams, read and followed by the log server."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.last_line = ""
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._partial: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        self._followers: set[asyncio.Queue[LogLine | None]] = set()
        self._is_closed = False

    def write(self, stream: str, data: bytes) -> None:
        """Take a piece of output; complete lines go to disk and to followers at once."""
        *lines, rest = (self._partial[stream] + data).split(b"\n")
        while len(rest) >= LINE_BYTES_MAX:
            lines.append(rest[:LINE_BYTES_MAX])
            rest = rest[LINE_BYTES_MAX:]
        self._partial[stream] = rest
        if lines:
            self._append(stream, lines)

    def close(self) -> None:
        """Write what is left and end every follower."""
        if self._is_closed:
            return
        for stream, rest in self._partial.items():
            if rest:
                self._append(stream, [rest])
        self._is_closed = True
        self._file.close()
        for queue in self._followers:
            _offer(queue, None)

    def follow(self) -> asyncio.Queue[LogLine | None]:
        """Subscribe to lines written from now on; `None` is the end."""
        queue: asyncio.Queue[LogLine | None] = asyncio.Queue(FOLLOWER_LINES_MAX)
        if self._is_closed:
            queue.put_nowait(None)
        else:
            self._followers.add(queue)
        return queue

    def unfollow(self, queue: asyncio.Queue[LogLine | None]) -> None:
        """End a subscription."""
        self._followers.discard(queue)

    def _append(self, stream: str, lines: list[bytes]) -> None:
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        prefix = f"{at} {stream} F ".encode()
        block = b"".join(prefix + line.rstrip(b"\r") + b"\n" for line in lines)
        if self._size + len(block) > LOG_BYTES_MAX:
            self._rotate()
        self._file.write(block)
        self._size += len(block)
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            if text.strip():
                self.last_line = text
            for queue in list(self._followers):
                if not _offer(queue, LogLine(at, text)):
                    self._followers.discard(queue)

    def _rotate(self) -> None:
        self._file.close()
        self.path.replace(_older(self.path))
        self._file = self.path.open("ab", buffering=0)
        self._size = 0


def read_log(path: Path, tail_lines: int | None = None, since: str = "") -> list[LogLine]:
    """Read a log from disk, oldest first.

    Shapes: `tail_lines` keeps only the last ones; `since` is the earliest time kept (RFC 3339, UTC).
    """
    kept: deque[LogLine] = deque(maxlen=tail_lines)
    for part in (_older(path), path):
        kept.extend(line for line in _read_part(part) if line.at >= since)
    return list(kept)


def log_path(folder: Path, container: str, run: int) -> Path:
    """Return the file of one run's log."""
    return folder / "logs" / f"{container}-{run}.log"


def drop_old_logs(folder: Path, container: str, run: int) -> None:
    """Remove the log of the run that is no longer kept."""
    path = log_path(folder, container, run - RUNS_KEPT)
    path.unlink(missing_ok=True)
    _older(path).unlink(missing_ok=True)


def _read_part(path: Path) -> Iterator[LogLine]:
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            at, _, rest = line.rstrip("\n").partition(" ")
            yield LogLine(at, rest.partition(" F ")[2])


def _older(path: Path) -> Path:
    return path.with_suffix(".log.1")


def _offer(queue: asyncio.Queue[LogLine | None], line: LogLine | None) -> bool:
    try:
        queue.put_nowait(line)
    except asyncio.QueueFull:
        # The reader is too slow: its queue is emptied so that the end marker fits.
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
        return False
    return True
