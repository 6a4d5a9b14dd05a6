"""The worker's sign of life: its consumer's loop turns, or it tries to reach the broker.

Celery's own heartbeat needs the broker to be seen. The step and the class below hang on documented settings
(`app.steps`, `worker_consumer`).
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import Celery, bootsteps
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from controlplane.plumbing.pulse import Pulse

log = structlog.get_logger()

LOOP = "hints"
BEAT_SECONDS = 1.0


def leave_signs(app: Celery, pulse: Pulse) -> None:
    """Let the worker of `app` leave signs of life."""

    class Turning(bootsteps.StartStopStep):  # type: ignore[misc]
        """While connected: a timer that fires in the very loop that takes hints. Celery ends it with its connection."""

        requires = ("celery.worker.consumer:Tasks",)

        def start(self, parent: Any) -> None:
            parent.timer.call_repeatedly(BEAT_SECONDS, pulse.succeeded, (LOOP,))

    class Reconnecting(Consumer):  # type: ignore[misc]
        """While not connected: every try counts, so that a lost broker does not end the worker too."""

        def ensure_connected(self, conn: Any) -> Any:
            def on_error(error: Exception, seconds: float) -> None:
                log.warning("worker_broker_lost", error=type(error).__name__, again_in_seconds=seconds)

            def while_waiting() -> None:
                maybe_shutdown()
                pulse.turned(LOOP)

            connection = conn.ensure_connection(on_error, None, callback=while_waiting)
            self.first_connection_attempt = False
            self.broker_connection_retry_attempt = 0
            return connection

    app.steps["consumer"].add(Turning)
    app.conf.worker_consumer = Reconnecting
