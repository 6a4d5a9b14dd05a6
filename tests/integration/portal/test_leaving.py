"""Visitors who leave, who do not read, and an API that hangs, over real sockets: everybody else goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from controlplane.portal.app import create_app
from controlplane.portal.connections import SharedConnections
from controlplane.portal.web import SESSION_COOKIE
from tests.fixtures.database import free_port
from tests.fixtures.door import served
from tests.fixtures.portal import World
from tests.fixtures.slow_gateway import Pace, SlowGateway, slow_gateway

ABANDONED = 60
# What a person takes for "at once" on a busy machine.
AT_ONCE_SECONDS = 5.0
PAGE_SECONDS = 10.0
PAGES = ("/", "/services", "/usage", "/keys", "/healthz", "/sign-in")


@dataclass(slots=True)
class Tab:
    """A browser's tab with a session, down to its sockets."""

    url: str
    session: str
    form_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Host": urlsplit(self.url).netloc,
            "Cookie": f"{SESSION_COOKIE}={self.session}",
            "Sec-Fetch-Site": "same-origin",
        }

    def page(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=self.headers, timeout=PAGE_SECONDS)

    def ask(self, path: str, receive_buffer: int = 0) -> socket.socket:
        """Send the playground's form and read nothing."""
        body = urlencode({"form_token": self.form_token, "prompt": "Tell me a story.", "max_tokens": "1024"})
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers.items())]
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}", "", body]
        parts = urlsplit(self.url)
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(PAGE_SECONDS)
        client.connect((parts.hostname, parts.port))
        client.sendall("\r\n".join(lines).encode())
        return client


def read_until(client: socket.socket, text: bytes) -> None:
    found = b""
    while text not in found:
        piece = client.recv(4096)
        assert piece, f"the portal hung up after {found[-200:]!r}"
        found += piece


@contextmanager
def open_tab(world: World, url: str) -> Iterator[Tab]:
    with world.signed_in(world.tenant.secret) as visitor:
        session = visitor.http.cookies[SESSION_COOKIE]
        page = visitor.get(f"/services/{world.service['id']}/playground")
        yield Tab(url, session, page.partition('name="form_token" value="')[2].partition('"')[0])


@pytest.fixture(scope="module")
def gateway() -> Iterator[SlowGateway]:
    with slow_gateway() as running:
        yield running


@pytest.fixture(scope="module")
def tab(world: World, gateway: SlowGateway) -> Iterator[Tab]:
    settings = world.settings.model_copy(update={"gateway_url": gateway.url})
    with served(create_app(settings, clock=world.clock)) as url, open_tab(world, url) as opened:
        yield opened


@pytest.mark.case("W1")
@pytest.mark.parametrize("way", ["/playground/stream", "/playground"])
@pytest.mark.parametrize("pace", [Pace.SILENT, Pace.HEADERS, Pace.ONE_LINE, Pace.ENDLESS])
def test_closed_tabs_free_their_connections_and_stop_nobody(
    world: World, tab: Tab, gateway: SlowGateway, pace: Pace, way: str
) -> None:
    gateway.pace = pace
    before = gateway.served
    for number in range(ABANDONED):
        client = tab.ask(f"/services/{world.service['id']}{way}")
        if way.endswith("stream") and pace in (Pace.ONE_LINE, Pace.ENDLESS):
            read_until(client, b'"piece"')
        elif number % 4 == 0:
            # The call is under way when its caller leaves.
            deadline = time.monotonic() + AT_ONCE_SECONDS
            while not gateway.connected and time.monotonic() < deadline:
                time.sleep(0.01)
        client.close()
    assert gateway.served > before, "no call reached the gateway"
    assert gateway.wait_until_empty(AT_ONCE_SECONDS), f"{gateway.connected} calls go on for nobody"
    for path in PAGES:
        assert tab.page(path).status_code == 200, path


@pytest.mark.case("W1")
@pytest.mark.parametrize("pace", [Pace.SILENT, Pace.FLOOD])
def test_tabs_that_wait_or_never_read_leave_room_for_pages(
    world: World, tab: Tab, gateway: SlowGateway, pace: Pace
) -> None:
    gateway.pace = pace
    path = f"/services/{world.service['id']}/playground"
    clients = [tab.ask(f"{path}/stream", 4096) for _ in range(ABANDONED)]
    clients += [tab.ask(path, 4096) for _ in range(10)]
    try:
        # The refusals of those past the bound are pages, too, and may be under way still.
        deadline = time.monotonic() + AT_ONCE_SECONDS
        while tab.page(PAGES[0]).status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
        for path in PAGES:
            assert tab.page(path).status_code == 200, path
    finally:
        for client in clients:
            client.close()
    assert gateway.wait_until_empty(AT_ONCE_SECONDS)


@contextmanager
def hanging_server() -> Iterator[str]:
    """Accepts, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.case("W1")
def test_health_is_bad_while_the_api_hangs_and_every_wait_ends(world: World) -> None:
    with hanging_server() as api_url:
        settings = world.settings.model_copy(update={"api_url": api_url})
        with served(create_app(settings, clock=world.clock)) as url, open_tab(world, url) as tab:
            for path in ("/healthz", "/readyz"):
                answer = httpx.get(url + path, timeout=5)
                assert answer.status_code == 503, path
                assert "the API does not answer" in answer.json()["parts"]["api"]
            alive = httpx.get(f"{url}/livez", timeout=5)
            assert alive.status_code == 200, "a restart would not help"
            began = time.monotonic()
            page = httpx.get(f"{url}/", headers=tab.headers, timeout=60)
            assert page.status_code in (502, 503)
            assert time.monotonic() - began < 25


@pytest.mark.case("W1")
def test_health_is_bad_when_no_connection_is_free(world: World) -> None:
    shared = SharedConnections(httpx.HTTPTransport(limits=httpx.Limits(max_connections=2)))
    with hanging_server() as api_url:
        settings = world.settings.model_copy(update={"api_url": api_url})
        app = create_app(settings, clock=world.clock, connections=shared)
        with served(app) as url, open_tab(world, url) as tab:
            waiting = [tab.ask(f"/services/{world.service['id']}/playground/stream") for _ in range(4)]
            try:
                time.sleep(0.5)
                answer = httpx.get(f"{url}/livez", timeout=5)
                assert answer.status_code == 503
                assert "no connection" in answer.json()["parts"]["connections"]
                assert httpx.get(f"{url}/healthz", timeout=5).status_code == 503
            finally:
                for client in waiting:
                    client.close()


@pytest.mark.case("W1")
def test_who_comes_when_all_places_are_taken_is_told_so(world: World) -> None:
    with hanging_server() as api_url:
        settings = world.settings.model_copy(update={"api_url": api_url})
        with served(create_app(settings, clock=world.clock)) as url, open_tab(world, url) as tab:
            waiting = [tab.ask(f"/services/{world.service['id']}/playground/stream") for _ in range(60)]
            try:
                page = tab.page("/services")
                assert page.status_code == 503
                assert "Try again in a moment" in page.text
                assert int(page.headers["retry-after"]) >= 1
                other = httpx.get(f"{url}/sign-in", timeout=PAGE_SECONDS)
                assert other.status_code == 200, "one session takes a part of the places only"
            finally:
                for client in waiting:
                    client.close()


@pytest.mark.case("W1")
def test_the_portal_ends_within_seconds_with_answers_open(world: World, gateway: SlowGateway) -> None:
    gateway.pace = Pace.ENDLESS
    port = free_port()
    settings = world.settings
    environment = {
        **os.environ,
        "REDIS_URL": settings.redis_url,
        "REMPART_KEY_PEPPER": settings.key_pepper.get_secret_value(),
        "REMPART_API_URL": settings.api_url,
        "REMPART_GATEWAY_URL": gateway.url,
        "REMPART_PORTAL_PORT": str(port),
        "REMPART_ENVIRONMENT": "local",
    }
    program = subprocess.Popen([sys.executable, "-m", "controlplane.entrypoints.portal"], env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url)
        with open_tab(world, url) as tab:
            path = f"/services/{world.service['id']}/playground/stream"
            clients = [tab.ask(path) for _ in range(3)]
            for client in clients:
                read_until(client, b'"piece"')
            program.send_signal(signal.SIGTERM)
            program.wait(timeout=15)
            for client in clients:
                client.close()
    finally:
        program.kill()
        program.wait()
    assert gateway.wait_until_empty(AT_ONCE_SECONDS)


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx.get(f"{url}/healthz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "the portal did not start"
        time.sleep(0.1)
