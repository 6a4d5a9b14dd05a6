"""Start llama.cpp's HTTP server, and stop it without cutting an answer in two."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Protocol

from infra.local.engine.connections import LOOPBACK, count_talking, stop_accepting
from infra.local.engine.settings_rules import EngineSettings

HTTP_THREADS_SPARE = 4
"""HTTP threads beyond one per sequence: health probes and metrics must not wait behind answers."""

DRAIN_POLL_SECONDS = 0.05
"""How often a draining engine counts what is in flight."""

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
    # Answered by the loop that decodes: what the liveness probe asks. It has counts, and no text.
    params.endpoint_metrics = True
    # Prompts of one tenant must not be readable through the slots page of a shared engine.
    params.endpoint_slots = False
    params.ui = False
    params.offline = True
    params.verbosity = LLAMA_LOG_ERRORS_ONLY
    server: LlamaServer = xllamacpp.Server(params)
    return server


def count_in_flight(server: LlamaServer) -> int:
    """Count requests being answered or waiting for a sequence, from llama.cpp's own gauges.

    An engine that cannot say counts as busy: silence must not cut an answer.
    """
    gauges = _IN_FLIGHT.findall(server.handle_metrics())
    return sum(int(number) for number in gauges) if gauges else 1


def drain(server: LlamaServer, port: int, seconds_max: int) -> int:
    """Stop accepting, wait for what is in flight, and return how many requests were left when time was up.

    Units: `seconds_max` seconds; 0 returned means that every answer was finished and sent.
    """
    stop_accepting(port)
    deadline = time.monotonic() + seconds_max
    while left := count_in_flight(server) or count_talking(port):
        if time.monotonic() >= deadline:
            return left
        time.sleep(DRAIN_POLL_SECONDS)
    return 0
