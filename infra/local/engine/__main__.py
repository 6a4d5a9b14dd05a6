"""`python -m infra.local.engine`: serve one model on a loopback port until told to stop."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from infra.local.engine.connections import LOOPBACK
from infra.local.engine.server import drain, start_server
from infra.local.engine.settings_rules import SettingsRefused, decide_settings
from infra.local.engine.weights import WeightsMissing, WeightsRefused, get_weights_path, verify_weights


class ServerRefused(Exception):
    """llama.cpp did not start: a taken port, or a file that is no model; the message is a sentence."""


EXIT_CODES: dict[type[Exception], int] = {
    SettingsRefused: os.EX_CONFIG,
    WeightsMissing: os.EX_NOINPUT,
    WeightsRefused: os.EX_DATAERR,
    ServerRefused: os.EX_UNAVAILABLE,
}
"""Exit codes after `sysexits.h`, so that a person can look them up."""

EXIT_DRAIN_CUT = os.EX_TEMPFAIL


def log(event: str, **fields: object) -> None:
    """Write one JSON line: what happened, when, and figures; never a prompt or an answer."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    print(json.dumps({"at": at, "event": event, **fields}), flush=True)


def _milliseconds_since_start() -> int:
    """Milliseconds since the kernel made this process: the interpreter's start is part of a cold start."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    started = ticks / os.sysconf("SC_CLK_TCK")
    return round((time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1000)


class _Phases:
    """Cold-start phases, each from the end of the one before."""

    def __init__(self) -> None:
        self._mark = time.monotonic()

    def end(self, name: str, **fields: object) -> None:
        now = time.monotonic()
        log("engine_phase", phase=name, ms=round((now - self._mark) * 1000), **fields)
        self._mark = now


def serve(arguments: list[str]) -> int:
    """Run the engine; return its exit code.

    Errors: SettingsRefused, WeightsMissing, WeightsRefused, ServerRefused, before anything is promised.
    """
    log("engine_phase", phase="interpreter", ms=_milliseconds_since_start())
    phases = _Phases()
    settings = decide_settings(os.environ, arguments, len(os.sched_getaffinity(0)))
    weights = get_weights_path(settings.weights_file)
    import xllamacpp

    phases.end("import", version=xllamacpp.__version__)
    verify_weights(weights, settings.weights_digest)
    phases.end("verify", digest=f"sha256:{settings.weights_digest}")
    # Until here a signal simply ends the process; from here it waits for the load, then drains: the first
    # request may arrive in the instant between the server's readiness and the next Python instruction.
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        server = start_server(settings, weights)
    except RuntimeError as error:
        raise ServerRefused(
            f"llama.cpp could not serve {settings.weights_file} on port {settings.port}: {error}"
        ) from error
    phases.end("load", model=settings.model_name, parallel=settings.parallel, threads=settings.threads)
    log("engine_ready", address=f"http://{LOOPBACK}:{settings.port}", ms=_milliseconds_since_start())
    stop.wait()
    log("engine_draining", seconds_max=settings.drain_seconds)
    left = drain(server, settings.port, settings.drain_seconds)
    log("engine_stopped", cut_requests=left)
    if left:
        # llama.cpp's own shutdown would wait for the answers that have just run out of time.
        os._exit(EXIT_DRAIN_CUT)
    return os.EX_OK


def main() -> int:
    """Turn refusals into one sentence on the last line and an exit code of `sysexits.h`."""
    try:
        return serve(sys.argv[1:])
    except tuple(EXIT_CODES) as refusal:
        print(refusal, file=sys.stderr, flush=True)
        return EXIT_CODES[type(refusal)]


if __name__ == "__main__":
    sys.exit(main())
