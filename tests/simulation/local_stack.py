"""A whole local stack of one's own under a folder: real servers, real programs, the real supervisor over them.

What is killed here is started again by that supervisor, as in any installation.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.plumbing.settings import Settings
from infra.local.control import ask
from infra.local.paths import REPOSITORY, Layout
from infra.local.stack import PORT_VARIABLES

UP_SECONDS_MAX = 300
DOWN_SECONDS_MAX = 150
KUBECTL_SECONDS_MAX = 60
OUTPUT_SHOWN = 4_000


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A running stack. `environment` holds its addresses and the operator's key, as `make up` writes them."""

    layout: Layout
    # Holds keys and passwords: it must not stand in a traceback.
    environment: dict[str, str] = field(repr=False)

    @property
    def settings(self) -> Settings:
        """What a program of this stack would read, as far as checks need it."""
        return Settings.model_validate(
            {
                "environment": "local",
                "REMPART_DATABASE_URL": self.environment["REMPART_DATABASE_URL"],
                "system_database_url": self.environment["REMPART_SYSTEM_DATABASE_URL"],
                "REDIS_URL": self.environment["REDIS_URL"],
                "KUBECONFIG": self.environment["KUBECONFIG"],
                "state_dir": self.environment["REMPART_STATE_DIR"],
                "database_pool_size": 2,
            }
        )

    def programs(self) -> dict[str, dict[str, Any]]:
        """Each program's name, state, process id and number of restarts, as the supervisor sees them."""
        answer = ask(self.layout.control_socket, {"command": "status"})
        return {program["name"]: program for program in answer["programs"]}

    def pid(self, name: str) -> int | None:
        """The process id of a program that is ready; None while it is starting again."""
        program = self.programs()[name]
        return int(program["pid"]) if program["state"] == "ready" and program["pid"] else None

    def kill(self, name: str) -> bool:
        """`kill -9` one program; False while there is none to kill."""
        pid = self.pid(name)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def restart(self, name: str) -> None:
        """Ask the supervisor for a clean restart, which also makes its next crash a first one again."""
        answer = ask(self.layout.control_socket, {"command": "restart", "name": name})
        assert "error" not in answer, answer

    def log_tail(self, name: str, lines: int = 20) -> str:
        path = self.layout.logs / f"{name}.log"
        if not path.exists():
            return f"no log of {name}"
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


@contextmanager
def running_stack(folder: Path, only: Sequence[str] = ()) -> Iterator[LocalStack]:
    """Start a stack (or the programs named and all they need) under `folder`; stop it whatever happens."""
    environment = {name: value for name, value in os.environ.items() if not _is_address(name)}
    environment["REMPART_LOCAL_DIR"] = str(folder)
    # Any free ports: the usual ones may be another stack's, which would answer in this one's place.
    environment |= dict.fromkeys(PORT_VARIABLES.values(), "0")
    try:
        _local(environment, UP_SECONDS_MAX, "up", *(f"--only={name}" for name in only))
        layout = Layout(folder)
        yield LocalStack(layout, environment | read_env(layout.environment_file))
    finally:
        _local(environment, DOWN_SECONDS_MAX, "down")


def read_env(path: Path) -> dict[str, str]:
    """Read the shell lines that the supervisor wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.removeprefix("export ").partition("=") for line in lines)
    return {name: shlex.split(value)[0] if value else "" for name, _, value in pairs if name}


def _is_address(name: str) -> bool:
    # A stack of its own: servers of the shell are neither used nor killed.
    return name.startswith("REMPART_") or name in {"KUBECONFIG", "DATABASE_URL", "REDIS_URL"}


def _local(environment: dict[str, str], seconds_max: int, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.local", *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds_max,
        check=False,
    )
    said = (done.stdout + done.stderr)[-OUTPUT_SHOWN:]
    assert done.returncode == 0, f"python -m infra.local {' '.join(arguments)}: {said}"
