"""Remember which processes this stack started, so that a new start finds what a killed supervisor left."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from infra.local.paths import write_private
from infra.local.process import RUN_VARIABLE

REAP_SECONDS_MAX = 15.0  # PostgreSQL's fast shutdown writes a checkpoint; then SIGKILL.
REAP_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Recorded:
    """One process as it was started. `started` is in clock ticks since boot: with the id it names exactly
    one process until the machine restarts. `boot` tells whether it has."""

    name: str
    pid: int
    started: int
    stop_signal: int


class Registry:
    """The file that lists one run's processes; written before anybody may rely on it."""

    def __init__(self, path: Path, run_id: str) -> None:
        self._path = path
        self._run_id = run_id
        self._processes: dict[str, Recorded] = {}
        self._write()

    def add(self, name: str, pid: int, stop_signal: int) -> None:
        """Record a process just started; one that is gone already needs no record."""
        started = read_start(pid)
        if started is not None:
            self._processes[name] = Recorded(name, pid, started, stop_signal)
            self._write()

    def remove(self, name: str) -> None:
        """Forget a process that has ended."""
        if self._processes.pop(name, None):
            self._write()

    def _write(self) -> None:
        rows = [
            {"name": p.name, "pid": p.pid, "started": p.started, "stop_signal": p.stop_signal}
            for p in self._processes.values()
        ]
        content = {"run_id": self._run_id, "boot": _boot_id(), "processes": rows}
        write_private(self._path, json.dumps(content, indent=1) + "\n")


def reap(path: Path) -> tuple[str, ...]:
    """End everything a former run left behind; returns the names of the programs found alive.

    Two ways to know our own: a recorded id whose start time is still the same, and the run's random mark in a
    process's environment, which catches children of children. Nothing else is ever signalled.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    if content["boot"] != _boot_id():
        path.unlink()
        return ()
    recorded = [Recorded(**row) for row in content["processes"]]
    alive = [process for process in recorded if read_start(process.pid) == process.started]
    for process in alive:
        _send(process.pid, process.stop_signal)
    names = tuple(process.name for process in alive)
    deadline = time.monotonic() + REAP_SECONDS_MAX
    while time.monotonic() < deadline:
        if not any(read_start(process.pid) == process.started for process in alive):
            break
        time.sleep(REAP_POLL_SECONDS)
    for process in alive:
        if read_start(process.pid) == process.started:
            _send(process.pid, signal.SIGKILL)
    strays = kill_marked(content["run_id"])
    path.unlink(missing_ok=True)
    return (*names, *(f"process {pid}" for pid in strays))


def kill_marked(run_id: str) -> tuple[int, ...]:
    """Kill whatever carries the run's mark: children that a program left behind when it was killed."""
    strays = list_marked(run_id)
    for pid in strays:
        _send(pid, signal.SIGKILL)
    return strays


def list_marked(run_id: str) -> tuple[int, ...]:
    """Ids of all living processes that carry the run's mark in their environment, save ourselves."""
    mark = f"{RUN_VARIABLE}={run_id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if (
                mark in (entry / "environ").read_bytes().split(b"\0")
                and read_start(int(entry.name)) is not None
            ):
                found.append(int(entry.name))
        except OSError:
            # Gone meanwhile, or another user's: then it is not ours.
            continue
    return tuple(sorted(found))


def read_start(pid: int) -> int | None:
    """When a living process started, in clock ticks since boot; None if there is none or only its remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets and may itself hold spaces and brackets.
    fields = stat.rsplit(")", 1)[1].split()
    is_dead = fields[0] in {"Z", "X", "x"}
    return None if is_dead else int(fields[19])


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
