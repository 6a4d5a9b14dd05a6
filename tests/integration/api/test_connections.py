"""A connection that waits too long is ended, and those who open thousands lose their own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from controlplane.entrypoints.api import create_app
from controlplane.plumbing import http_server
from controlplane.plumbing.database import Database
from controlplane.plumbing.http_server import make_server
from controlplane.plumbing.settings import Settings
from tests.fixtures.database import free_port


@contextmanager
def running(settings: Settings, database: Database) -> Iterator[int]:
    port = free_port()
    server = make_server(create_app(settings, database), settings, "127.0.0.1", port, stop_seconds=1)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def opened(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.settimeout(5)
    return connection


def is_ended(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
        return True
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


SLOW = {
    "silent": b"",
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ",
    "a body that does not come": (
        b"POST /v1/signup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"
    ),
    "silent after an answer": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "half a head after an answer": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /he",
}


@pytest.mark.case("X9")
@pytest.mark.parametrize("what", SLOW)
def test_a_connection_that_waits_is_ended(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(http_server, "HEAD_SECONDS_MAX", 0.6)
    monkeypatch.setattr(http_server, "BODY_SECONDS_MAX", 0.6)
    monkeypatch.setattr(http_server, "KEEP_ALIVE_SECONDS", 1)
    with running(settings, database) as port, opened(port) as connection:
        connection.sendall(SLOW[what])
        if "after an answer" in what:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        if what == "half a head":
            # A byte now and then does not buy more time.
            for _ in range(3):
                time.sleep(0.15)
                connection.sendall(b"x")
        assert is_ended(connection)
        assert time.monotonic() - began < 4


@pytest.mark.case("X9")
def test_who_opens_thousands_loses_their_own(settings: Settings, database: Database) -> None:
    bounded = settings.model_copy(update={"connections_per_address_max": 20})
    with running(bounded, database) as port:
        idle = [opened(port) for _ in range(60)]
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
            ended = sum(is_ended(connection) for connection in idle[:40])
            assert ended == 40
        finally:
            for connection in idle:
                connection.close()


@pytest.mark.case("X9")
def test_the_bound_on_all_connections_leaves_room_for_a_new_caller(
    settings: Settings, database: Database
) -> None:
    bounded = settings.model_copy(update={"connections_max": 20, "trusted_proxies": "127.0.0.1"})
    with running(bounded, database) as port:
        idle = [opened(port) for _ in range(50)]
        try:
            for _ in range(5):
                assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
        finally:
            for connection in idle:
                connection.close()
