"""One container as a local process: started in its own group, bound to this program, stopped gently."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.local.processnode.container_log import ContainerLog
from infra.local.processnode.leftovers import read_start_ticks
from infra.local.processnode.pod_users import become

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
"""Numbers of linux/prctl.h."""

CAPABILITY_NUMBERS_MAX = 64
"""The kernel keeps capabilities in 64 bits; numbers it does not know are refused and harmless."""

OUTPUT_END_SECONDS = 1.0
"""How long the pumps may go on after the process ended: a child that kept the pipe must not hold the pod."""

OPEN_FILES_MAX = 4096
POD_NICENESS = 5
"""Pods give way to the API server and the control plane, which share the machine."""

OOM_SCORE_ADJUST = 500
"""When the machine runs out of memory, a pod goes before the stack that runs it."""

ADDRESS_SPACE_FACTOR = 2
"""The limit is on mapped private memory, which is more than what is resident; twice stops only runaways."""

_PRCTL = ctypes.CDLL(None, use_errno=True).prctl


class StartFailed(Exception):
    """The program could not be started; the message says why."""


class _Pump(asyncio.Protocol):
    """Carries one output stream of the process into its log."""

    def __init__(self, log: ContainerLog, stream: str) -> None:
        self._log = log
        self._stream = stream
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._log.write(self._stream, data)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class ContainerProcess:
    """A running process and its output. Create it with `start_process`."""

    def __init__(self, popen: subprocess.Popen[bytes], log: ContainerLog) -> None:
        self.pid = popen.pid
        self.start_ticks = read_start_ticks(popen.pid)
        self.log = log
        self._popen = popen
        self._pumps: list[_Pump] = []
        self._transports: list[asyncio.ReadTransport] = []
        self._exited = asyncio.Event()
        self._pidfd = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._observe_exit)

    async def connect_output(self) -> None:
        """Start carrying the output to the log."""
        loop = asyncio.get_running_loop()
        for stream, pipe in (("stdout", self._popen.stdout), ("stderr", self._popen.stderr)):
            pump = _Pump(self.log, stream)
            transport, _ = await loop.connect_read_pipe(lambda pump=pump: pump, pipe)  # type: ignore[misc]
            self._pumps.append(pump)
            self._transports.append(transport)

    async def wait(self) -> int:
        """Wait for the end; return the exit code, 128 + n for signal n.

        Whatever the process left in its group is killed, and its output is complete in the log.
        """
        await self._exited.wait()
        self.kill()
        ended = [pump.ended for pump in self._pumps]
        await asyncio.wait(ended, timeout=OUTPUT_END_SECONDS)
        for transport in self._transports:
            transport.close()
        self.log.close()
        code = self._popen.returncode
        return code if code >= 0 else 128 - code

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process, as kubelet does to a container's first process."""
        if not self._exited.is_set():
            self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the whole group, whether or not its leader is still there."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _observe_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        # The group must not be empty before its leftovers are found: the leader is reaped last.
        self.kill()
        self._popen.wait()
        self._exited.set()


async def start_process(
    command: Sequence[str],
    environ: Mapping[str, str],
    folder: Path,
    log: ContainerLog,
    memory_limit_mib: int | None,
    user: int | None = None,
) -> ContainerProcess:
    """Start a program in its own session and working folder, as `user` (None: as whom this program runs).

    It dies with this program (PDEATHSIG), dumps no core, gives way to the rest of the machine, and has no
    capability and no way to get one, even when this program runs as root.
    Errors: StartFailed.
    """
    limits = _decide_limits(memory_limit_mib)
    parent = os.getpid()

    def prepare_child() -> None:
        for kind, limit in limits:
            resource.setrlimit(kind, (limit, limit))
        os.nice(POD_NICENESS)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write(str(OOM_SCORE_ADJUST))
        for capability in range(CAPABILITY_NUMBERS_MAX):
            _PRCTL(PR_CAPBSET_DROP, capability, 0, 0, 0)
        if user is not None:
            become(user)
        # After that: a change of identity clears the request (prctl(2)).
        _PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        _PRCTL(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    try:
        # Forked from the main thread: the death signal follows the thread that forked, not the process.
        popen = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=prepare_child,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise StartFailed(f"{command[0]}: {error}") from error
    process = ContainerProcess(popen, log)
    await process.connect_output()
    return process


def base_environment(folder: Path, source_root: Path) -> dict[str, str]:
    """Return the environment every pod starts from: nothing of this program's own secrets or settings."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    return {
        "PATH": path,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(source_root),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _decide_limits(memory_limit_mib: int | None) -> list[tuple[int, int]]:
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = OPEN_FILES_MAX if most_files == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, most_files)
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, files)]
    if memory_limit_mib is not None:
        limits.append((resource.RLIMIT_DATA, memory_limit_mib * 2**20 * ADDRESS_SPACE_FACTOR))
    return limits
