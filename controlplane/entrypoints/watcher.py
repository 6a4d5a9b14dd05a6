"""What the cells report, brought into rows: `python -m controlplane.entrypoints.watcher`.

Level-triggered: every list is taken over whole, every watch event replaces what is known of one object, and an object
that is gone from a list counts as deleted. Missing an event therefore costs time, never truth.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from controlplane.capacity import service as capacity
from controlplane.deployments import service_observe as deployments
from controlplane.entrypoints import wakes
from controlplane.entrypoints.wakes import WakeReader
from controlplane.entrypoints.wiring import make_context
from controlplane.kernel.errors import RempartError
from controlplane.plumbing.cluster import ClusterGone, ClusterRefused
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.logging import configure
from controlplane.plumbing.metrics import loop_succeeded, serve_metrics
from controlplane.plumbing.pulse import Pulse
from controlplane.plumbing.settings import load_settings

log = structlog.get_logger()

RETRY_SECONDS = 1.0
# A pause between two passes over a kind whose watch ended, so that a broken server is not hammered.
RELIST_SECONDS = 0.5

KINDS = ("GPUNodePool", "NodeClaim", "InferenceDeployment")

Observe = Callable[[UnitOfWork, Mapping[str, Any]], None]
Settle = Callable[[UnitOfWork, frozenset[str]], None]


@dataclass(slots=True)
class KindWatcher:
    """Follows one kind; `known` maps (namespace, name) to the last object seen.

    `settle` is given the names in a whole list: what disappeared while nobody watched is found there. With
    `is_reread`, each list tells unchanged objects again: a report that came before its row could take it is not lost.
    """

    context: Context
    kind: str
    observe: Observe
    forget: Observe
    settle: Settle
    stopping: threading.Event
    pulse: Pulse
    is_reread: bool = False
    known: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                version = self.take_over_list()
                self.pulse.succeeded(self.kind)
                self.follow(version)
            except ClusterGone:
                log.info("watch_restarted", kind=self.kind)
            except (RempartError, ClusterRefused, DBAPIError) as err:
                log.warning("watch_failed", kind=self.kind, error=repr(err)[:300])
                self.stopping.wait(RETRY_SECONDS)
            self.pulse.turned(self.kind)
            self.stopping.wait(RELIST_SECONDS)

    def take_over_list(self) -> str:
        objects, version = self.context.clusters.list_all(self.kind)
        listed = {_key(item): item for item in objects}
        for key in [key for key in self.known if key not in listed]:
            self._gone(key)
        for key, item in listed.items():
            self._seen(key, item, is_forced=self.is_reread)
        with self.context.database.system() as uow:
            self.settle(uow, frozenset(name for _, name in listed))
        return version

    def follow(self, version: str) -> None:
        for event in self.context.clusters.watch(self.kind, version):
            if self.stopping.is_set():
                return
            self.pulse.succeeded(self.kind)
            if event.type == "BOOKMARK":
                continue
            key = _key(event.object)
            if event.type == "DELETED":
                self.known[key] = event.object
                self._gone(key)
            else:
                self._seen(key, event.object)

    def _seen(self, key: tuple[str, str], item: Mapping[str, Any], *, is_forced: bool = False) -> None:
        before = self.known.get(key)
        if not is_forced and before is not None and _version(before) == _version(item):
            return
        with self.context.database.system() as uow:
            self.observe(uow, item)
        self.known[key] = item

    def _gone(self, key: tuple[str, str]) -> None:
        with self.context.database.system() as uow:
            self.forget(uow, self.known[key])
        del self.known[key]


def _key(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _version(item: Mapping[str, Any]) -> str:
    return str(item["metadata"].get("resourceVersion"))


def make_watchers(context: Context, stopping: threading.Event, pulse: Pulse) -> list[KindWatcher]:
    pools, claims, inference = KINDS
    return [
        KindWatcher(
            context,
            pools,
            capacity.observe_node_pool,
            lambda uow, item: capacity.observe_node_pool_gone(uow, item["metadata"]["name"]),
            capacity.settle_node_pools,
            stopping,
            pulse,
        ),
        KindWatcher(
            context,
            claims,
            capacity.observe_node_claim,
            lambda uow, item: capacity.observe_node_claim_gone(uow, item["metadata"]["name"]),
            capacity.settle_node_claims,
            stopping,
            pulse,
        ),
        KindWatcher(
            context,
            inference,
            deployments.observe_inference_deployment,
            deployments.observe_inference_deployment_gone,
            deployments.settle_inference_deployments,
            stopping,
            pulse,
            is_reread=True,
        ),
    ]


def supervised(
    run: Callable[[], None], stopping: threading.Event, broken: threading.Event
) -> Callable[[], None]:
    """Let a surprise in one loop end the process, which is started again, rather than end the loop unseen."""

    def guarded() -> None:
        try:
            run()
        except BaseException:
            log.exception("watcher_loop_ended")
            broken.set()
            stopping.set()
            raise

    return guarded


def main() -> int:
    settings = load_settings()
    configure("watcher", settings.log_level)
    serve_metrics(settings.metrics_port, settings.metrics_host)
    context = make_context(settings)
    stopping, broken = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    pulse = Pulse(settings.pulse_dir, [*KINDS, wakes.LOOP], on_success=loop_succeeded)
    runners: list[Callable[[], None]] = [watcher.run for watcher in make_watchers(context, stopping, pulse)]
    runners.append(WakeReader(context, stopping, pulse).run)
    for run in runners:
        threading.Thread(target=supervised(run, stopping, broken), daemon=True).start()
    stopping.wait()
    return 1 if broken.is_set() else 0


if __name__ == "__main__":
    sys.exit(main())
