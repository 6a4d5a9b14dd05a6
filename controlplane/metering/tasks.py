"""What runs by itself: slices each minute, next months' partitions each day."""

from __future__ import annotations

from datetime import timedelta

from controlplane.metering import service
from controlplane.plumbing.consumers import Consumer, Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.schedule import Tick

SLICE = Tick("metering.slice", 60)
PARTITIONS = Tick("metering.partitions", 86_400)
TICKS = (SLICE, PARTITIONS)
# One run covers this many thousands of intervals of a cell; the next minute goes on.
TURNS_MAX = 50


def consumers(context: Context) -> tuple[Consumer, ...]:
    def slice_all(_: Event) -> None:
        """Each thousand in its own transaction: a run that is cut off has done what it has done."""
        with context.database.system(is_read_only=True) as uow:
            sources = service.list_sources(uow)
        for source in sources:
            after = None
            for _turn in range(TURNS_MAX):
                with context.database.system() as uow:
                    after = service.slice_source(uow, source, after=after)
                if after is None:
                    break

    def make_partitions(_: Event) -> None:
        with context.database.system() as uow:
            service.ensure_months(uow, [uow.now + timedelta(days=30 * month) for month in range(4)])

    return (
        Consumer("metering.slice", frozenset({SLICE.topic}), effect=slice_all),
        Consumer("metering.partitions", frozenset({PARTITIONS.topic}), effect=make_partitions),
    )
