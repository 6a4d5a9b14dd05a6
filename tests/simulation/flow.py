"""Create a service, place it and tell its cell, as one sequence of commits; dies at the one it is told to.

Run by the tests as `python -m tests.simulation.flow`: reads orders as JSON lines from standard input, does the first
itself to warm up and each other in a fork of its own, and writes how it ended. An order:
`{"name", "app_id", "key", "die_at": 0 for never, "moment": "before" | "after"}`; the answer: `{"status"}`, which is
the exit code, or minus the signal that ended it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.orm import Session

from controlplane.entrypoints.api import create_app
from controlplane.entrypoints.wiring import all_consumers, make_context
from controlplane.identity import service as identity
from controlplane.kernel.ids import EventId
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.consumers import Consumers, deliver, due_batch, route_batch
from controlplane.plumbing.context import Context
from controlplane.plumbing.redis import connect
from controlplane.plumbing.settings import load_settings
from tests.integration.deployments.fleet import definition

# Events cause events a few deep; a flow that is not over after this many rounds wakes itself.
ROUNDS_MAX = 40
# Threads of a finished run end at once; a fork must not copy one that holds a lock.
THREADS_SECONDS_MAX = 20.0
MOMENTS = ("before", "after")


def arm(die_at: int, moment: str) -> None:
    """Kill this process without warning at its `die_at`-th commit: just before it, or just after it."""
    seen = 0

    def count(_: Session) -> None:
        nonlocal seen
        seen += 1
        if seen == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Session, f"{moment}_commit", count)


def run(app: FastAPI, context: Context, consumers: Consumers, order: dict[str, Any]) -> None:
    """Ask for the service, then do what relay and worker do until nothing is due."""
    body = {"app_id": order["app_id"], "definition": definition(order["name"])}
    headers = {"Authorization": f"Bearer {order['key']}", "Idempotency-Key": f"create-{order['name']}"}
    with TestClient(app, base_url="http://api.test") as client:
        answer = client.post("/v1/services", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        for _ in range(ROUNDS_MAX):
            pairs = list(find_work(context, consumers))
            if not pairs:
                return
            for event_id, consumer in pairs:
                deliver(context.database, consumers, event_id, consumer)
    raise AssertionError("the flow does not come to rest")


def find_work(context: Context, consumers: Consumers) -> Iterator[tuple[EventId, str]]:
    with context.database.system() as uow:
        yield from route_batch(uow.session, consumers)
    with context.database.system() as uow:
        yield from due_batch(uow.session)


def obey(app: FastAPI, context: Context, consumers: Consumers, order: dict[str, Any]) -> int:
    """Do one order in a fork; its exit code, or minus the signal that killed it."""
    child = os.fork()
    if child == 0:
        try:
            if order["die_at"]:
                arm(order["die_at"], order["moment"])
            run(app, context, consumers, order)
        except BaseException:  # noqa: BLE001 - the fork must never return into the parent's loop
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def warm_up(app: FastAPI, context: Context, order: dict[str, Any]) -> Context:
    """Run an order here, so that no fork compiles again what this one did; leave no connection, no thread."""
    run(app, context, all_consumers(context), order)
    context.database.dispose()
    app.state.recent_uses = identity.RecentUses()
    deadline = time.monotonic() + THREADS_SECONDS_MAX
    while threading.active_count() > 1:
        assert time.monotonic() < deadline, f"threads are left: {threading.enumerate()}"
        time.sleep(0.01)
    settings = context.settings
    return replace(context, redis=connect(settings.redis_url), clusters=Clusters(settings.kubeconfig))


def main() -> None:
    # Standard output carries the answers alone.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = load_settings()
    # Opened lazily: no connection and no thread exists before a fork.
    context = make_context(settings)
    app = create_app(settings, context.database)
    context = warm_up(app, context, json.loads(sys.stdin.readline()))
    print(json.dumps({"status": 0}), flush=True)
    consumers = all_consumers(context)
    for line in sys.stdin:
        print(json.dumps({"status": obey(app, context, consumers, json.loads(line))}), flush=True)


if __name__ == "__main__":
    main()
