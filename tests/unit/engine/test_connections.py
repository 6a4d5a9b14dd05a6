"""A process can close its own door without touching the visitors inside."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from infra.local.engine.connections import QUIET_SECONDS, count_talking, stop_accepting

DEADLINE_SECONDS = 20


def wait_until_quiet(port: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while count_talking(port):
        assert time.monotonic() < deadline, "the connection never went quiet"
        time.sleep(0.02)


def test_newcomers_are_refused_while_a_thread_waits_in_accept() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    visitor = socket.create_connection(("127.0.0.1", port))
    inside, _ = server.accept()
    blocked = threading.Thread(target=server.accept, daemon=True)
    blocked.start()
    try:
        assert stop_accepting(port)
        blocked.join(DEADLINE_SECONDS)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        inside.sendall(b"still here")
        assert visitor.recv(32) == b"still here"
    finally:
        for each in (server, visitor, inside):
            each.close()


def test_without_a_listener_nothing_happens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert not stop_accepting(port)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    os.fstat(0)


def test_a_connection_talks_until_it_has_been_quiet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as visitor:
            inside, _ = server.accept()
            with inside:
                inside.sendall(b"x")
                sent_at = time.monotonic()
                assert count_talking(port) == 1
                assert visitor.recv(1) == b"x"
                wait_until_quiet(port)
                assert time.monotonic() - sent_at >= QUIET_SECONDS * 0.9
