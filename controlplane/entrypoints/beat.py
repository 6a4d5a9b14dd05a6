"""The ticker: `python -m controlplane.entrypoints.beat`. Due times become outbox rows; any number may run."""

from __future__ import annotations

import signal
import threading

import structlog
from sqlalchemy.exc import DBAPIError

from controlplane.entrypoints.wiring import all_ticks, make_context
from controlplane.plumbing.logging import configure
from controlplane.plumbing.metrics import loop_succeeded, serve_metrics
from controlplane.plumbing.pulse import Pulse
from controlplane.plumbing.schedule import record_due_ticks
from controlplane.plumbing.settings import load_settings

log = structlog.get_logger()
POLL_SECONDS = 1.0
LOOP = "ticks"


def main() -> None:
    settings = load_settings()
    configure("beat", settings.log_level)
    serve_metrics(settings.metrics_port, settings.metrics_host)
    database = make_context(settings).database
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    ticks = all_ticks()
    pulse = Pulse(settings.pulse_dir, [LOOP], on_success=loop_succeeded)
    log.info("beat_started", ticks=len(ticks))
    while not stopping.wait(POLL_SECONDS):
        try:
            with database.system() as uow:
                record_due_ticks(uow, ticks)
            pulse.succeeded(LOOP)
        except DBAPIError as err:
            pulse.turned(LOOP)
            log.warning("beat_database_lost", error=type(err).__name__)


if __name__ == "__main__":
    main()
