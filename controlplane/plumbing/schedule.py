"""Ticks: a due time is a row with a name of its own, so any number of tickers is safe."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from controlplane.kernel.ids import EventId
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.outbox import OutboxEventRow

_NAMESPACE = uuid.UUID("6f0c1a55-3f0b-5a4e-9d53-6b2d0b8f6a11")


@dataclass(frozen=True, slots=True)
class Tick:
    """A period task: topic `tick.<name>`, at most once each `every_seconds` of the installation's clock."""

    name: str
    every_seconds: int

    @property
    def topic(self) -> str:
        return f"tick.{self.name}"


def record_due_ticks(uow: UnitOfWork, ticks: Iterable[Tick]) -> int:
    """Insert the current slot's event of each tick unless it exists; return how many were new."""
    created = 0
    for tick in ticks:
        slot = int(uow.now.timestamp()) // tick.every_seconds
        result = uow.session.execute(
            insert(OutboxEventRow)
            .values(
                id=EventId(uuid.uuid5(_NAMESPACE, f"{tick.name}|{slot}")),
                topic=tick.topic,
                payload={"slot": slot},
                occurred_at=uow.now,
            )
            .on_conflict_do_nothing()
            .returning(OutboxEventRow.id)
        )
        created += len(result.all())
    if created:
        uow.session.execute(text("NOTIFY outbox"))
    return created
