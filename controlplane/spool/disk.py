"""Every call to the file system that this room makes, so that a test can make each of them fail.

Nothing here decides anything. All functions raise OSError; none leaves a descriptor open when it does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
"""What is metered names tenants: only the user that runs the program reads it."""

BLOCK_BYTES = 1024 * 1024
LINE_BYTES_MAX = 64 * 1024
"""Of a longer line only the last bytes are kept in memory: it is damage, whatever stands in it."""


@dataclass(frozen=True, slots=True)
class Line:
    """`start` to `end` in bytes, the line feed included; `text` is without it.

    `is_ended`: the line feed is there. `is_cut`: `text` holds only the end of a line that is too long.
    """

    start: int
    end: int
    text: bytes
    is_ended: bool
    is_cut: bool


def make_folder(folder: Path) -> None:
    """Make a private folder and what is missing above it; one that exists becomes private."""
    try:
        status = os.stat(folder)  # noqa: PTH116 - pathlib calls the system behind the back of this module
    except FileNotFoundError:
        if folder.parent != folder:
            _make_parents(folder.parent)
        _make_one(folder)
        return
    if stat.S_IMODE(status.st_mode) & ~PRIVATE_FOLDER:
        _ignore_refusal(folder, PRIVATE_FOLDER)


def _make_parents(folder: Path) -> None:
    if os.path.isdir(folder):  # noqa: PTH112
        return
    if folder.parent != folder:
        _make_parents(folder.parent)
    _make_one(folder)


def _make_one(folder: Path) -> None:
    try:
        os.mkdir(folder, PRIVATE_FOLDER)  # noqa: PTH102
    except FileExistsError:
        return
    sync_folder(folder.parent)


def _ignore_refusal(path: Path, mode: int) -> None:
    """Somebody else's folder stays as its owner made it."""
    try:
        os.chmod(path, mode)  # noqa: PTH101
    except PermissionError:
        return


def take_lock(path: Path) -> int | None:
    """Lock a file for this process; None when another one holds it. The kernel frees it at any end."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        close(descriptor)
        return None
    except OSError:
        close(descriptor)
        raise
    return descriptor


def open_to_append(path: Path, *, is_new: bool = False) -> int:
    """Open a private file for appending; `is_new` refuses one that exists (FileExistsError)."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (os.O_EXCL if is_new else 0)
    descriptor = os.open(path, flags, PRIVATE_FILE)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & ~PRIVATE_FILE:
            os.fchmod(descriptor, PRIVATE_FILE)
    except PermissionError:
        return descriptor
    except OSError:
        close(descriptor)
        raise
    return descriptor


def close(descriptor: int) -> None:
    """Let go of a descriptor. What close(2) says is no news: whatever matters was synced before."""
    try:
        os.close(descriptor)
    except OSError:
        return


def read_status(descriptor: int) -> os.stat_result:
    return os.fstat(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything; a short write goes on where it ended."""
    view = memoryview(data)
    while view:
        written = os.write(descriptor, view)
        if written == 0:
            raise OSError(errno.EIO, "nothing was written")
        view = view[written:]


def sync(descriptor: int) -> None:
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make new, renamed and removed entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        close(descriptor)


def cut(descriptor: int, length: int) -> None:
    """Take back what stands behind a length, durably. Needs no space on the disk."""
    if os.fstat(descriptor).st_size > length:
        os.ftruncate(descriptor, length)
    os.fsync(descriptor)


def overwrite(path: Path, parts: list[tuple[int, bytes]]) -> None:
    """Write over bytes that are there: (offset, bytes) each. No offset of the file moves."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for offset, data in parts:
            view, at = memoryview(data), offset
            while view:
                written = os.pwrite(descriptor, view, at)
                view, at = view[written:], at + written
        os.fsync(descriptor)
    finally:
        close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file, durably: a reader or a crash sees the old or the new one and never a part."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        close(descriptor)
    os.rename(draft, path)  # noqa: PTH104
    sync_folder(path.parent)


def append_line(path: Path, text: bytes) -> None:
    """Add one line to a file, durably and whole; a line that an earlier crash tore is ended first."""
    descriptor = open_to_append(path)
    try:
        before = os.fstat(descriptor).st_size
        is_torn = before > 0 and os.pread(descriptor, 1, before - 1) != b"\n"
        try:
            write_all(descriptor, (b"\n" if is_torn else b"") + text + b"\n")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        close(descriptor)
    if before == 0:
        sync_folder(path.parent)


def move(path: Path, target: Path) -> None:
    os.rename(path, target)  # noqa: PTH104
    sync_folder(target.parent)


def remove(path: Path) -> None:
    """Remove a file; one that is gone already is as good."""
    try:
        os.unlink(path)  # noqa: PTH108
    except FileNotFoundError:
        return


def list_names(folder: Path) -> list[str]:
    return os.listdir(folder)  # noqa: PTH208


def read_file(path: Path, bytes_max: int) -> bytes:
    """Read a small file whole. Errors: ValueError when it is larger than a good one can be."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(descriptor, bytes_max + 1, 0)
    finally:
        close(descriptor)
    if len(data) > bytes_max:
        raise ValueError("the file is too large")
    return data


def read_lines(path: Path, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """Read lines from a byte on, up to `end` or the file's end; the last one may have no end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from _split(descriptor, start, end)
    finally:
        close(descriptor)


def _split(descriptor: int, start: int, end: int | None) -> Iterator[Line]:
    held, line_start, at, is_cut = b"", start, start, False
    while True:
        wanted = BLOCK_BYTES if end is None else min(BLOCK_BYTES, end - at)
        block = os.pread(descriptor, wanted, at) if wanted > 0 else b""
        if not block:
            break
        position = 0
        while (found := block.find(b"\n", position)) >= 0:
            text, line_end = held + block[position:found], at + found + 1
            is_long = is_cut or len(text) > LINE_BYTES_MAX
            yield Line(line_start, line_end, text[-LINE_BYTES_MAX:], True, is_long)
            held, line_start, is_cut, position = b"", line_end, False, found + 1
        held += block[position:]
        if len(held) > LINE_BYTES_MAX:
            held, is_cut = held[-LINE_BYTES_MAX:], True
        at += len(block)
    if line_start < at:
        yield Line(line_start, at, held, False, is_cut)
