"""Free loopback ports that a stack keeps from one start to the next."""

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path

from infra.local.paths import write_private

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


def find_free(taken: frozenset[int] = frozenset()) -> int:
    """A loopback port that is free and not in `taken`. Errors: NoFreePort."""
    # Not for secrecy: two stacks starting at once should look in different places.
    source = random.SystemRandom()
    for _ in range(TRIES_MAX):
        port = source.randint(PORT_FIRST, PORT_LAST)
        if port not in taken and is_free(port):
            return port
    raise NoFreePort(f"no free loopback port between {PORT_FIRST} and {PORT_LAST} in {TRIES_MAX} tries")


def ensure_ports(file: Path, preferred: Mapping[str, int]) -> dict[str, int]:
    """A port for each name: the one it had last time, else the preferred one (0 = any), else a free one.

    Call it only while nothing of the stack runs: its own ports would not be free.
    """
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    chosen: dict[str, int] = {}
    for name, wanted in preferred.items():
        taken = frozenset(chosen.values())
        candidates = [port for port in (kept.get(name, 0), wanted) if port and port not in taken]
        free = next((port for port in candidates if is_free(port)), None)
        chosen[name] = free if free is not None else find_free(taken)
    write_private(file, json.dumps(kept | chosen, indent=1) + "\n")
    return chosen
