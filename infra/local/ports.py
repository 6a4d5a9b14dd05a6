"""Free loopback ports that a stack keeps from one start to the next."""

import json
import os
import random
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.local.filelock import take_lock
from infra.local.paths import ensure_private_folder, write_private

# Below Linux's range for outgoing connections (32768…), so that no client takes a port between our look
# and our listening, and above the well-known ones.
PORT_FIRST = 20_000
PORT_LAST = 31_999
TRIES_MAX = 200


class NoFreePort(Exception):
    """No loopback port was free in many tries."""


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still fading away is free for them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find_free() -> int:
    """A loopback port that is free now. Errors: NoFreePort."""
    return _find(is_free)


def _find(is_ours: Callable[[int], bool]) -> int:
    # Not for secrecy: two stacks starting at once should look in different places.
    source = random.SystemRandom()
    for _ in range(TRIES_MAX):
        port = source.randint(PORT_FIRST, PORT_LAST)
        if is_ours(port):
            return port
    raise NoFreePort(f"no free loopback port between {PORT_FIRST} and {PORT_LAST} in {TRIES_MAX} tries")


def claims_folder() -> Path:
    """Where this user's stacks say which ports are theirs before anything listens there."""
    return Path(tempfile.gettempdir()) / f"rempart-{os.getuid()}-ports"


class Claims:
    """Ports that are this process's until `release` or its end, also while nothing listens there yet.

    A lock on a file for each: two stacks of one user that start at the same moment never choose the same port.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = ensure_private_folder(folder)
        self._held: dict[int, int] = {}

    def take(self, port: int) -> bool:
        """Whether the port is free, and now ours. One that is ours already is not given twice."""
        if port in self._held:
            return False
        lock = take_lock(self._folder / str(port))
        if lock is None:
            return False
        # Looked at under the lock: what another stack claimed before us, it may listen on by now.
        if not is_free(port):
            os.close(lock)
            return False
        self._held[port] = lock
        return True

    def release(self) -> None:
        """Let go of all of them."""
        for lock in self._held.values():
            os.close(lock)
        self._held.clear()


# Ends with the process, as the locks do; by the file that the ports are kept in.
_claims: dict[Path, Claims] = {}


def ensure_ports(file: Path, preferred: Mapping[str, int]) -> dict[str, int]:
    """A port for each name: the one it had last time, else the preferred one (0 = any), else a free one.

    Call it only while nothing of the stack runs: its own ports would not be free. The ports stay this process's until
    it ends, or asks again for the same file.
    """
    if file in _claims:
        _claims.pop(file).release()
    claims = _claims[file] = Claims(claims_folder())
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    chosen: dict[str, int] = {}
    for name, wanted in preferred.items():
        candidates = [port for port in (kept.get(name, 0), wanted) if port]
        ours = next((port for port in candidates if claims.take(port)), None)
        chosen[name] = ours if ours is not None else _find(claims.take)
    write_private(file, json.dumps(kept | chosen, indent=1) + "\n")
    return chosen
