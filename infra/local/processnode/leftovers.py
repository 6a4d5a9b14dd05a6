"""Processes of an earlier run: found by what that run recorded, and ended, never guessed by name."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

POD_UID_VARIABLE = "REMPART_POD_UID"
"""Set in every pod's process: finds children that left the group, and no recycled pid has it."""

RECORD_FILE = "process.json"

END_SECONDS = 5.0
"""How long killed leftovers may take to disappear; SIGKILL needs milliseconds unless a disk hangs."""


def record_process(folder: Path, pid: int, start_ticks: int) -> None:
    """Write down which process runs a pod, by rename, so that a later run can end it."""
    document = json.dumps({"pid": pid, "startTicks": start_ticks, "bootId": read_boot_id()})
    part = folder / f"{RECORD_FILE}.part"
    part.write_text(document)
    part.replace(folder / RECORD_FILE)


def end_leftovers(pods_folder: Path) -> int:
    """Kill every process that an earlier run left behind; return how many there were.

    Shapes: `pods_folder` holds one folder per pod, named by the pod's uid.
    """
    if not pods_folder.is_dir():
        return 0
    uids = {folder.name for folder in pods_folder.iterdir() if folder.is_dir()}
    ended = 0
    deadline = time.monotonic() + END_SECONDS
    while found := [pid for uid in uids for pid in find_processes(pods_folder / uid, uid)]:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                ended += 1
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return ended


def find_processes(folder: Path, uid: str) -> list[int]:
    """List the living processes of a pod: its recorded leader, and whatever carries the pod's uid."""
    found = []
    marker = f"{POD_UID_VARIABLE}={uid}".encode()
    recorded = _read_record(folder)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        pid = int(entry.name)
        is_leader = recorded is not None and recorded == (pid, read_start_ticks(pid))
        if (is_leader or marker in _read_environ(pid)) and not _is_zombie(pid):
            found.append(pid)
    return found


def read_start_ticks(pid: int) -> int:
    """Return when the kernel started a process, in clock ticks since boot; 0 if it is gone."""
    fields = _read_stat(pid)
    return int(fields[19]) if fields else 0


def read_boot_id() -> str:
    """Return the kernel's id of this boot: pids of an earlier boot mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _read_record(folder: Path) -> tuple[int, int] | None:
    try:
        document = json.loads((folder / RECORD_FILE).read_text())
        if document["bootId"] != read_boot_id():
            return None
        return int(document["pid"]), int(document["startTicks"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _is_zombie(pid: int) -> bool:
    fields = _read_stat(pid)
    return not fields or fields[0] in ("Z", "X")


def _read_stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
