"""The worker: `python -m controlplane.entrypoints.worker`. Celery wakes it; rows tell it what to do."""

from __future__ import annotations

from celery import Celery

from controlplane.entrypoints.wiring import all_consumers, make_context
from controlplane.entrypoints.worker_pulse import LOOP, leave_signs
from controlplane.kernel.ids import EventId
from controlplane.plumbing.celery import DELIVER, QUEUE, make_celery
from controlplane.plumbing.consumers import deliver
from controlplane.plumbing.logging import configure
from controlplane.plumbing.metrics import loop_succeeded, serve_metrics
from controlplane.plumbing.pulse import Pulse
from controlplane.plumbing.settings import Settings, load_settings

# Threads: the work waits for PostgreSQL and API servers, and one process keeps one connection pool.
CONCURRENCY = 4


def make_worker_app(settings: Settings) -> Celery:
    context = make_context(settings)
    consumers = all_consumers(context)
    app = make_celery(settings.redis_url)
    leave_signs(app, Pulse(settings.pulse_dir, [LOOP], on_success=loop_succeeded))

    @app.task(name=DELIVER)
    def deliver_hint(event_id: str, consumer: str) -> None:
        if consumer in consumers.by_name:
            deliver(context.database, consumers, EventId.parse(event_id), consumer)

    return app


def main() -> None:
    settings = load_settings()
    configure("worker", settings.log_level)
    serve_metrics(settings.metrics_port, settings.metrics_host)
    app = make_worker_app(settings)
    app.worker_main(
        [
            "worker", "--pool=threads", f"--concurrency={CONCURRENCY}", f"--queues={QUEUE}", "--without-gossip",
            "--without-mingle", "--without-heartbeat", "--loglevel=WARNING",
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
