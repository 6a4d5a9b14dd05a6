"""Start llama.cpp's HTTP server, and stop it without cutting an answer in two."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from pathlib import Path
from typing import Protocol

from infra.local.engine.settings_rules import EngineSettings

LOOPBACK = "127.0.0.1"

HTTP_THREADS_SPARE = 4
"""HTTP threads beyond one per sequence: health probes and metrics must not wait behind answers."""

DRAIN_POLL_SECONDS = 0.05
"""How often a draining engine counts what is in flight."""

DRAIN_QUIET_POLLS = 3
"""Polls in a row that must find nothing in flight: an answer's last bytes leave after its slot is free."""

LLAMA_LOG_ERRORS_ONLY = 1
"""llama.cpp's verbosity that prints errors alone; our own JSON lines tell the phases."""

_IN_FLIGHT = re.compile(r"^llamacpp:requests_(?:processing|deferred) (\d+)", re.MULTILINE)


class LlamaServer(Protocol):
    """What this module uses of `xllamacpp.Server`."""

    def handle_metrics(self) -> str: ...


def start_server(settings: EngineSettings, weights: Path) -> LlamaServer:
    """Load the weights and serve them on a loopback port; return once `/health` answers 200.

    Errors: RuntimeError from llama.cpp if the weights do not load or the port is taken.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {settings.model_name}
    params.hostnames = [LOOPBACK]
    params.port = settings.port
    params.n_parallel = settings.parallel
    params.n_ctx = settings.context_tokens
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.threads
    # Spinning while idle would steal a core from the rest of the stack between two tokens.
    params.cpuparams.poll = 0
    params.cpuparams_batch.poll = 0
    params.n_threads_http = settings.parallel + HTTP_THREADS_SPARE
    # The default prompt cache of 8 GiB is more than a laptop's share; slots keep their own prefix anyway.
    params.cache_ram_mib = 0
    params.endpoint_metrics = True
    # Prompts of one tenant must not be readable through the slots page of a shared engine.
    params.endpoint_slots = False
    params.ui = False
    params.offline = True
    params.verbosity = LLAMA_LOG_ERRORS_ONLY
    server: LlamaServer = xllamacpp.Server(params)
    return server


def count_in_flight(server: LlamaServer) -> int:
    """Count requests being answered or waiting for a sequence, from llama.cpp's own gauges."""
    return sum(int(number) for number in _IN_FLIGHT.findall(server.handle_metrics()))


def stop_accepting(port: int) -> bool:
    """Close the door for new connections while open ones go on; return whether a listener was found.

    llama.cpp's binding has no such call, and its server cuts every stream when its listener fails. So its
    listening socket, found among this process's own descriptors, is replaced by one that nobody knows.
    """
    is_closed = False
    for entry in list(Path("/proc/self/fd").iterdir()):
        is_closed = _replace_listener(int(entry.name), port) or is_closed
    return is_closed


def _replace_listener(descriptor: int, port: int) -> bool:
    try:
        candidate = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return False
    with candidate:
        is_listening = _is_listener_on(candidate, port)
    if not is_listening:
        return False
    with socket.create_server((LOOPBACK, 0), backlog=1) as substitute:
        os.dup2(substitute.fileno(), descriptor, inheritable=False)
    # A thread blocked in accept() still holds the old socket: one last connection lets it go.
    with contextlib.suppress(OSError):
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    return True


def _is_listener_on(candidate: socket.socket, port: int) -> bool:
    try:
        is_listening = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        return is_listening and candidate.getsockname()[1] == port
    except OSError:
        return False


def drain(server: LlamaServer, port: int, seconds_max: int) -> int:
    """Stop accepting, wait for what is in flight, and return how many requests were left when time was up.

    Units: `seconds_max` seconds; 0 returned means that every answer was finished.
    """
    stop_accepting(port)
    deadline = time.monotonic() + seconds_max
    quiet = 0
    left = count_in_flight(server)
    while quiet < DRAIN_QUIET_POLLS and time.monotonic() < deadline:
        time.sleep(DRAIN_POLL_SECONDS)
        left = count_in_flight(server)
        quiet = 0 if left else quiet + 1
    return left
