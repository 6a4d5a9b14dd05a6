"""Ask a program whether it is ready; each probe is one bounded look, repeated by the runner."""

import http.client
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import psutil

PROBE_SECONDS_MAX = 2.0  # One look; a program too busy for it is not ready.


def answers_http(port: int, path: str) -> bool:
    """Whether `GET path` on a loopback port answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS_MAX)
    return _is_ok(connection, path)


def answers_https(port: int, path: str, authority: Path, certificate: Path, key: Path) -> bool:
    """Whether `GET path` answers 200 to a client with this certificate, from a server of this authority."""
    context = ssl.create_default_context(cafile=str(authority))
    context.load_cert_chain(str(certificate), str(key))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PROBE_SECONDS_MAX, context=context)
    return _is_ok(connection, path)


def accepts(port: int) -> bool:
    """Whether something listens on a loopback port."""
    with socket.create_connection(("127.0.0.1", port), timeout=PROBE_SECONDS_MAX):
        return True


def says(text: str) -> Callable[[int, str], bool]:
    """A sign: the program logged `text` since it started."""
    return lambda pid, said: text in said  # noqa: ARG005 - the shape of a sign


def is_connected(pid: int, said: str) -> bool:
    """A sign: the program holds a TCP connection, so it read its settings and reached what it works with."""
    del said
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(connection.status == psutil.CONN_ESTABLISHED for connection in connections)


def _is_ok(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    finally:
        connection.close()
