"""Room on the disk that usage is recorded on: paid work stops before the counting of it does.

While `disk_reserve_bytes` and some inodes are free, the file `go` is there and Envoy's script lets calls pass. Below,
it goes, and calls are refused (503, `usage_not_recordable`); those that run are still recorded: half of the reserve is
held by a file of its own, which is given up when the rest is nearly used, and the access log, of which Envoy drops
lines without a word, has blocks allocated ahead of its end (fallocate(2), FALLOC_FL_KEEP_SIZE).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import structlog

from controlplane.gateway.room_rules import Space, decide_room
from controlplane.spool import disk

log = structlog.get_logger(__name__)

AHEAD_BYTES = 2 * 1024 * 1024
"""Some 2,000 calls: more than end between two looks at the disk."""

_KEEP_SIZE = 1
_BLOCK_BYTES = 512
_fallocate = ctypes.CDLL(None).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Room:
    """Looks at the disk and says what Envoy's script and the metrics are told."""

    def __init__(self, folder: Path, go_file: Path, access_log: Path, reserve_bytes: int) -> None:
        self._folder = folder
        self._access_log = access_log
        self._go_file = go_file
        self._held_file = folder / "reserve"
        self._reserve_bytes = reserve_bytes
        self.is_going = False

    def step(self) -> bool:
        """Look once; return whether calls may pass. A disk that does not answer has no room."""
        try:
            self._hold_ahead()
            decision = decide_room(self._look(), self._reserve_bytes, is_going=self.is_going)
            if not decision.is_going:
                disk.remove(self._go_file)
            if decision.is_released:
                disk.remove(self._held_file)
            if decision.is_taken:
                self._take()
            if decision.is_going and not (self.is_going and self._go_file.exists()):
                disk.replace_file(self._go_file, b"")
            is_going = decision.is_going
        except OSError as err:
            log.error("room_unknown", reason=str(err))
            is_going = False
            self._stop()
        if is_going != self.is_going:
            log.error("paid_calls_resumed" if is_going else "paid_calls_stopped", reserve=self._reserve_bytes)
        self.is_going = is_going
        return is_going

    def release(self) -> None:
        """Give up the held space: what must be written now has no other."""
        disk.remove(self._held_file)

    def _stop(self) -> None:
        try:
            disk.remove(self._go_file)
        except OSError as err:
            log.error("go_file_not_removed", reason=str(err))

    def _look(self) -> Space:
        found = os.statvfs(self._folder)
        # Some file systems have no inodes to count (0 of 0).
        inodes = found.f_favail if found.f_files else None
        return Space(found.f_bavail * found.f_frsize, inodes, self._held_file.exists())

    def _hold_ahead(self) -> None:
        """Keep blocks behind the end of the access log; where a file system cannot, the reserve must do."""
        try:
            descriptor = os.open(self._access_log, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            found = os.fstat(descriptor)
            if found.st_blocks * _BLOCK_BYTES - found.st_size < AHEAD_BYTES // 2:
                _fallocate(descriptor, _KEEP_SIZE, found.st_size, AHEAD_BYTES)
        finally:
            os.close(descriptor)

    def _take(self) -> None:
        descriptor = os.open(self._held_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, disk.PRIVATE_FILE)
        try:
            os.posix_fallocate(descriptor, 0, self._reserve_bytes // 2)
        except OSError:
            disk.remove(self._held_file)
            raise
        finally:
            os.close(descriptor)
