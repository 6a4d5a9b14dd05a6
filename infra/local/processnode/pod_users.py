"""A user of its own for each pod: what runs in a pod reads nothing of the platform's, nor of another pod's.

Only the superuser can become somebody else. Without that, and where another user does not reach the interpreter, pods
run as whoever started this program; `find_obstacle` says so in a sentence.

Sources: setuid(2), prctl(2), proc(5) (another user's /proc/<pid>/environ is not readable without CAP_SYS_PTRACE).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from infra.local.paths import allow_passing

USERS_FIRST = 1 << 30
USERS_COUNT = 1 << 28
"""Far above what a machine gives to people and services, and to ranges of user namespaces (subuid)."""

PROBE_SECONDS_MAX = 30.0
# What a pod does first: its interpreter, our source, and the file of the model's weights.
_PROBE = """
import os, ssl, sys
from importlib.util import find_spec
from infra.local.engine.weights import WEIGHTS_WHEEL
for folder in find_spec(WEIGHTS_WHEEL).submodule_search_locations:
    for name in os.listdir(folder):
        if not os.access(os.path.join(folder, name), os.R_OK):
            sys.exit(f"{name} cannot be read")
"""

NOT_SEPARATED = (
    "Pods are not separated from the platform: they run as the user who started this program, so they can read the "
    "keys and settings that this user can read. {why}"
)
NOT_ROOT = "Start the stack as root to give each pod a user of its own."
NOT_REACHED = "Another user does not reach the interpreter or its packages: {reason}."


def user_of(pod_uid: str) -> int:
    """Return the number of a pod's own user (and group): the same after a restart of this program."""
    digest = hashlib.sha256(pod_uid.encode()).digest()
    return USERS_FIRST + int.from_bytes(digest[:8], "big") % USERS_COUNT


def become(user: int) -> None:
    """Be that user for good; capabilities and other groups go with it. Errors: OSError."""
    # Groups first: after setuid nothing may be given up any more.
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def find_obstacle(source_root: Path) -> str:
    """Return why pods cannot have users of their own, in a sentence; "" when they can.

    As root it opens the way to the interpreter: folders on it can be passed (not listed) by everybody.
    """
    if os.geteuid() != 0:
        return NOT_SEPARATED.format(why=NOT_ROOT)
    for place in {
        Path(sys.base_prefix),
        Path(sys.prefix),
        Path(sys.executable).resolve().parent,
        source_root,
    }:
        allow_passing(place)
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env={"PYTHONPATH": str(source_root), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/", capture_output=True, text=True, check=False, timeout=PROBE_SECONDS_MAX,
            preexec_fn=lambda: become(USERS_FIRST),
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as err:
        return NOT_SEPARATED.format(why=NOT_REACHED.format(reason=type(err).__name__))
    if tried.returncode != 0:
        last = (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]
        return NOT_SEPARATED.format(why=NOT_REACHED.format(reason=last.rstrip(".")))
    return ""


def give_folders(folder: Path, work: Path, termination: Path, user: int) -> None:
    """Let a pod's user work in `work` and write `termination`, and pass through the folders above, nothing else.

    `termination` is made here, in a folder that the pod cannot change: it cannot put a link to a secret in its place.
    """
    allow_passing(folder)
    folder.chmod(0o711)
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    logs.chmod(0o700)
    os.chown(work, user, user)
    work.chmod(0o700)
    termination.touch(mode=0o600)
    os.chown(termination, user, user)
