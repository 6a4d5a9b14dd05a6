"""This process's own TCP connections, found among its descriptors: llama.cpp's binding has no call for them."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

LOOPBACK = "127.0.0.1"

QUIET_SECONDS = 1.0
"""A connection that sent nothing for this long between two answers is only being kept alive: on a loaded machine
the last bytes of an answer leave some hundred milliseconds after its sequence is free."""

TCP_INFO_BYTES = 104
LAST_DATA_SENT_OFFSET = 44
"""`tcpi_last_data_sent` in linux/tcp.h: eight bytes of flags, then the tenth of the 32-bit fields; milliseconds."""


def stop_accepting(port: int) -> bool:
    """Close the door for new connections while open ones go on; return whether a listener was found.

    llama.cpp's server cuts every stream when its listener fails. So its listening socket is replaced in place by
    one that nobody knows: the old one closes, and the server waits on the new one for nobody.
    """
    is_closed = False
    for descriptor, candidate in _own_sockets(port):
        if not _is_listening(candidate):
            continue
        with socket.create_server((LOOPBACK, 0), backlog=1) as substitute:
            os.dup2(substitute.fileno(), descriptor, inheritable=False)
        is_closed = True
    if is_closed:
        # A thread blocked in accept() still holds the old socket: one last connection lets it go.
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, port), timeout=1).close()
    return is_closed


def count_talking(port: int) -> int:
    """Count accepted connections that still have something to say: unsent bytes, or bytes sent a moment ago."""
    return sum(1 for _, each in _own_sockets(port) if not _is_listening(each) and _is_talking(each))


def _own_sockets(port: int) -> Iterator[tuple[int, socket.socket]]:
    """Yield this process's TCP sockets bound to a port, each as a copy that is closed after its turn."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            if not str(entry.readlink()).startswith("socket:"):
                continue
            copy = os.dup(int(entry.name))
        except OSError:
            continue
        with socket.socket(fileno=copy) as candidate:
            if candidate.family == socket.AF_INET and candidate.getsockname()[1] == port:
                yield int(entry.name), candidate


def _is_listening(candidate: socket.socket) -> bool:
    return candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def _is_talking(connection: socket.socket) -> bool:
    unsent = array.array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, unsent)
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    (milliseconds,) = struct.unpack_from("=I", info, LAST_DATA_SENT_OFFSET)
    return unsent[0] > 0 or milliseconds < QUIET_SECONDS * 1000
