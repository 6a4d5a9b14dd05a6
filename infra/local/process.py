"""What a supervised program is, and how one is started."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SHIM = Path(__file__).parent / "exec_shim.py"

# Carried by every process of one run of the stack and by nothing else; see `registry`.
RUN_VARIABLE = "REMPART_LOCAL_RUN"

# What a program gets from the shell; everything else it gets by name, so that no secret of one program
# stands in another's environment.
INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "VIRTUAL_ENV", "PYTHONPATH",
)  # fmt: skip

LOG_BYTES_MAX = 32 * 1024 * 1024  # Per program and generation; two generations are kept.


@dataclass(frozen=True, slots=True)
class OsUser:
    """The operating system's user a program runs as, when the supervisor is the superuser."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One program or step of the stack.

    Shapes: `argv` empty = a step of our own: `prepare` is all it does. A callable `argv` is asked at each
            start, for what is known only then. `needs` are names of other specs.
    Units:  seconds. `ready_seconds` bounds one start; `stop_seconds` is the grace before SIGKILL.
    `is_ready` and `prepare` run in a worker thread, may raise, and are tried again. A program without a door
    to knock at has a `sign` instead: asked with its process id and what it logged since this start.
    """

    name: str
    about: str
    argv: Sequence[str] | Callable[[], Sequence[str]] = ()
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None
    is_ready: Callable[[], bool] | None = None
    sign: Callable[[int, str], bool] | None = None
    is_one_shot: bool = False
    user: OsUser | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ready_seconds: float = 120.0
    stop_seconds: float = 10.0


def build_environment(spec: ProcessSpec, run_id: str) -> dict[str, str]:
    """The whole environment of a program: a few things from the shell, its own settings, the run's mark."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return (
        inherited | {"PYTHONUNBUFFERED": "1", "TZ": "UTC"} | dict(spec.environment) | {RUN_VARIABLE: run_id}
    )


def spawn(
    spec: ProcessSpec, argv: Sequence[str], run_id: str, log: Path, folder: Path
) -> "subprocess.Popen[bytes]":
    """Start a program in its own process group, its output appended to `log`.

    The program gets `spec.stop_signal` when the calling thread dies: call it from a thread that lives as long
    as the supervisor.
    """
    uid, gid = (spec.user.uid, spec.user.gid) if spec.user else (os.getuid(), os.getgid())
    shim = [sys.executable, "-I", "-S", str(SHIM), str(os.getpid()), str(int(spec.stop_signal))]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [*shim, str(uid), str(gid), "--", *argv],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=build_environment(spec, run_id),
            cwd=folder,
            process_group=0,
        )
    finally:
        os.close(descriptor)


def rotate(log: Path) -> None:
    """Keep a log within its bound: copied aside and emptied in place, because its writer holds it open."""
    if not log.exists() or log.stat().st_size < LOG_BYTES_MAX:
        return
    log.with_suffix(".log.1").write_bytes(log.read_bytes())
    os.truncate(log, 0)


def signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal to the program and, for SIGKILL, to whatever it started in its group.

    Only the program itself is asked to stop: it knows in which order its own children must go.
    """
    if process.poll() is None and number is not signal.SIGKILL:
        process.send_signal(number)
    elif number is signal.SIGKILL:
        try:
            # A group keeps its number as long as anyone is in it, so this meets no stranger.
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
