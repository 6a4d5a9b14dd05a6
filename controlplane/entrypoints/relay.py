"""The outbox relay: `python -m controlplane.entrypoints.relay`. Events become deliveries, deliveries become hints."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable
from typing import Any

import psycopg
import structlog
from prometheus_client import REGISTRY
from sqlalchemy.exc import DBAPIError

from controlplane.entrypoints.wiring import all_consumers, make_context
from controlplane.kernel.ids import EventId
from controlplane.plumbing.celery import DELIVER, make_celery
from controlplane.plumbing.consumers import Consumers, due_batch, route_batch
from controlplane.plumbing.database import Database
from controlplane.plumbing.deliveries import BacklogCollector
from controlplane.plumbing.logging import configure
from controlplane.plumbing.metrics import loop_succeeded, serve_metrics
from controlplane.plumbing.pulse import Pulse
from controlplane.plumbing.settings import load_settings

log = structlog.get_logger()

# Without a notification the relay still looks this often: a lost NOTIFY costs a second, never an event.
POLL_SECONDS = 1.0
RECONNECT_SECONDS = 1.0
LOOP = "outbox"


class Relay:
    """Any number of relays may run: rows are locked with SKIP LOCKED and hints may repeat."""

    def __init__(self, database: Database, consumers: Consumers, celery: Any, pulse: Pulse) -> None:
        self.database = database
        self.consumers = consumers
        self.celery = celery
        self.pulse = pulse
        self.stopping = threading.Event()

    def run(self, listen_url: str) -> None:
        while not self.stopping.is_set():
            try:
                with psycopg.connect(listen_url, autocommit=True) as connection:
                    connection.execute("LISTEN outbox")
                    log.info("relay_listening")
                    while not self.stopping.is_set():
                        self.drain()
                        for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                            pass
            except (psycopg.OperationalError, DBAPIError) as err:
                log.warning("relay_database_lost", error=type(err).__name__)
                self.pulse.turned(LOOP)
                time.sleep(RECONNECT_SECONDS)

    def drain(self) -> None:
        """Route what is new and repeat what is due, until there is nothing left."""
        while not self.stopping.is_set():
            with self.database.system() as uow:
                routed = route_batch(uow.session, self.consumers)
            with self.database.system() as uow:
                due = due_batch(uow.session)
            self.pulse.succeeded(LOOP)
            self._hint([*routed, *due])
            if not routed and not due:
                return

    def _hint(self, pairs: Iterable[tuple[EventId, str]]) -> None:
        for event_id, consumer in pairs:
            try:
                self.celery.send_task(DELIVER, args=[str(event_id), consumer], retry=False)
            except Exception as err:  # noqa: BLE001 - the broker is optional: the hint is repeated from the row
                log.warning("relay_broker_lost", error=type(err).__name__)
                return


def main() -> None:
    settings = load_settings()
    configure("relay", settings.log_level)
    serve_metrics(settings.metrics_port, settings.metrics_host)
    context = make_context(settings)
    REGISTRY.register(BacklogCollector(context.database))
    pulse = Pulse(settings.pulse_dir, [LOOP], on_success=loop_succeeded)
    relay = Relay(context.database, all_consumers(context), make_celery(settings.redis_url), pulse)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stopping.set())
    relay.run(settings.system_database_url.get_secret_value())


if __name__ == "__main__":
    main()
