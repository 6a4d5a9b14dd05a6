"""Loopback ports for containers, so that two pods that declare 8080 can live on one machine."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterable

from infra.local.processnode.status_rules import HOST_ADDRESS

PORT_FIRST = 20_000
PORT_COUNT = 10_000
"""Below the kernel's range for outgoing connections (32,768 and up): nobody is given these by chance."""

PORT_TRIES_MAX = 200


class NoPortFree(Exception):
    """No port of the range could be bound in a bounded number of tries."""


class PortBook:
    """The ports given to the pods of this node."""

    def __init__(self) -> None:
        self._taken: dict[int, str] = {}

    def assign(self, uid: str, names: Iterable[str]) -> dict[str, int]:
        """Give one free port per name, the same ones to the same pod while they stay free.

        Errors: NoPortFree.
        """
        self.release(uid)
        return {name: self._take(uid, name) for name in names}

    def release(self, uid: str) -> None:
        """Take back the ports of a pod."""
        self._taken = {port: owner for port, owner in self._taken.items() if owner != uid}

    def _take(self, uid: str, name: str) -> int:
        start = int.from_bytes(hashlib.sha256(f"{uid}/{name}".encode()).digest()[:4], "big")
        for step in range(PORT_TRIES_MAX):
            port = PORT_FIRST + (start + step) % PORT_COUNT
            if port not in self._taken and _is_free(port):
                self._taken[port] = uid
                return port
        raise NoPortFree(f"no loopback port is free after {PORT_TRIES_MAX} tries")


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((HOST_ADDRESS, port))
        except OSError:
            return False
    return True
