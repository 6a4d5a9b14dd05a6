"""The stage: a local stack of the demo's own, its addresses, and the clients that the chapters use."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from controlplane.sdk import Rempart
from infra.demo.teller import StoryBroken, Teller
from infra.local.build import ensure_built, program
from infra.local.paths import Layout, write_private
from infra.local.stack import PORT_VARIABLES
from infra.local.versions import KUBERNETES

# Addresses of somebody's own cluster or servers are kept (they are used instead of ours); those that an earlier
# `make up` exported must not leak into the demo's own stack.
_OWN = (
    "REMPART_API_URL",
    "REMPART_GATEWAY_URL",
    "REMPART_PORTAL_URL",
    "REMPART_ADMIN_KEY",
    "REMPART_API_KEY",
    "REMPART_STATE_DIR",
)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is while the demo runs."""

    environment: dict[str, str]
    admin: Rempart
    gateway_url: str
    kubectl_binary: Path
    state_dir: Path

    def kubectl(self, *arguments: str, timeout_seconds: int = 60) -> str:
        """Run the real kubectl; StoryBroken carries what it said when it fails."""
        done = subprocess.run(
            [self.kubectl_binary, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        if done.returncode != 0:
            raise StoryBroken(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def move_clock_to(self, instant: datetime) -> datetime:
        """Let the installation take `instant`, or now when that has passed, for now; return what it says."""
        ahead = max(0, ceil((instant - datetime.now(UTC)).total_seconds()))
        return datetime.fromisoformat(self.admin.move_clock(ahead)["now"])

    def keep_key(self, name: str, key: str) -> None:
        """Leave a key beside the operator's, for who looks at a stack that was kept."""
        write_private(self.state_dir.parent / name, key + "\n")

    def tenant(self, key: str) -> Rempart:
        return Rempart(key, self.environment["REMPART_API_URL"])


def stop_kept_stack(folder: Path) -> None:
    """Stop what an earlier run left running under `folder`, before its files go."""
    if Layout(folder).control_socket.exists():
        _local(_environment(folder), "down")


def _environment(folder: Path) -> dict[str, str]:
    """This shell's environment for a stack under `folder`; its ports are any free ones, so that a stack that
    starts at the same moment takes none of them."""
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    ports = {name: os.environ.get(name, "0") for name in PORT_VARIABLES.values()}
    return {**kept, **ports, "REMPART_LOCAL_DIR": str(folder)}


@contextmanager
def opened_stage(teller: Teller, folder: Path, *, is_kept: bool = False) -> Iterator[Stage]:
    """Start a fresh stack under `folder`, hand it over, and stop it whatever happens.

    With `is_kept` a stack whose story came to its end goes on.
    """
    is_told = False
    ensure_built()
    shutil.rmtree(folder, ignore_errors=True)
    environment = _environment(folder)
    try:
        _local(environment, "up")
        environment |= _read_env(folder / "env")
        with Rempart(environment["REMPART_ADMIN_KEY"], environment["REMPART_API_URL"]) as admin:
            yield Stage(
                environment,
                admin,
                environment["REMPART_GATEWAY_URL"],
                program(KUBERNETES, "kubectl"),
                Path(environment["REMPART_STATE_DIR"]),
            )
        is_told = True
    finally:
        if not (is_kept and is_told):
            with teller.waiting("stopping the stack"):
                _local(environment, "down")


def _local(environment: dict[str, str], command: str) -> None:
    done = subprocess.run([sys.executable, "-m", "infra.local", command], env=environment, check=False)
    if done.returncode != 0:
        raise StoryBroken(f"'python -m infra.local {command}' ended with {done.returncode}")


def _read_env(path: Path) -> dict[str, str]:
    """Read the shell lines that the supervisor wrote."""
    pairs = (
        line.removeprefix("export ").partition("=") for line in path.read_text(encoding="utf-8").splitlines()
    )
    return {name: shlex.split(value)[0] if value else "" for name, _, value in pairs if name}
