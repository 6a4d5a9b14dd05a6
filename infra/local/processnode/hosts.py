"""The two files of a process host: what it offers, and to which claim it was given."""

from __future__ import annotations

import asyncio
from pathlib import Path

from infra.local.processnode.domain import Assignment, HostOffer
from infra.local.processnode.journal import log
from infra.local.processnode.node_rules import AssignmentUnreadable, format_host, read_assignment

POLL_SECONDS = 0.2
"""How often the assignment is looked at: one stat of one file."""

ASSIGNMENT_BYTES_MAX = 256 * 2**10
"""An assignment is a few labels; anything larger is not one."""


class HostFolder:
    """One host's folder under `REMPART_PROCESS_HOSTS_DIR`."""

    def __init__(self, hosts: Path, host_id: str) -> None:
        self.folder = hosts / host_id
        self._path = self.folder / "assignment.json"
        self._seen: tuple[int, int, int] | None = None
        self._assignment: Assignment | None = None

    def offer(self, offer: HostOffer) -> None:
        """Write `host.json`, by rename, if it does not say so already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "host.json"
        text = format_host(offer)
        if path.is_file() and path.read_text() == text:
            return
        part = path.with_suffix(".part")
        part.write_text(text)
        part.replace(path)

    def find_assignment(self) -> Assignment | None:
        """Return the assignment in force, or None. An unreadable file changes nothing and is logged once."""
        try:
            stat = self._path.stat()
        except OSError:
            self._seen = self._assignment = None
            return None
        mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if mark != self._seen:
            self._seen = mark
            self._assignment = self._read() or self._assignment
        return self._assignment

    async def wait_for_change(self, current: Assignment | None) -> Assignment | None:
        """Wait until the assignment is another one than `current`."""
        while (found := self.find_assignment()) == current:
            await asyncio.sleep(POLL_SECONDS)
        return found

    def _read(self) -> Assignment | None:
        try:
            if self._path.stat().st_size > ASSIGNMENT_BYTES_MAX:
                raise AssignmentUnreadable("assignment.json is far too large")
            return read_assignment(self._path.read_text())
        except (OSError, AssignmentUnreadable) as error:
            log("assignment_unreadable", error=str(error))
            return None
