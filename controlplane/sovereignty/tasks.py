"""What the sovereignty room does when facts change and when time passes."""

from __future__ import annotations

from controlplane.plumbing.consumers import Consumer, Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.schedule import Tick
from controlplane.sovereignty import service

# Certificates end at midnight and facts at a stated instant: an hour is the longest that a verdict can be late.
TICKS = (Tick("sovereignty.sweep", 3_600),)
# 200 verdicts a batch: a million kept verdicts, beyond any installation's number of policies and sites.
SWEEP_BATCHES_MAX = 5_000


def reassess_fact(uow: UnitOfWork, event: Event) -> None:
    """Judge again what read a fact that changed, in the transaction that marks the event handled."""
    service.reassess(uow, event.payload["keys"])


def consumers(context: Context) -> tuple[Consumer, ...]:
    def sweep(_: Event) -> None:
        after: tuple[str, str] | None = ("", "")
        for _batch in range(SWEEP_BATCHES_MAX):
            if after is None:
                return
            with context.database.system() as uow:
                after, _changed = service.sweep(uow, after)
        raise RuntimeError("the sweep did not end within its bound")

    return (
        Consumer("sovereignty.reassess", frozenset({"fact.changed"}), transactional=reassess_fact),
        Consumer("sovereignty.sweep", frozenset({TICKS[0].topic}), effect=sweep),
    )
