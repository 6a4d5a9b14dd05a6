"""Which consumers and ticks the relay, the beat and the workers have: each room's `tasks.py`, listed once."""

from __future__ import annotations

from controlplane.plumbing.consumers import Consumer, Consumers
from controlplane.plumbing.context import Context
from controlplane.plumbing.schedule import Tick


def all_consumers(context: Context) -> Consumers:
    consumers: list[Consumer] = []
    return Consumers(consumers)


def all_ticks() -> tuple[Tick, ...]:
    return ()
