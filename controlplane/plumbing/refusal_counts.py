"""Counts of refusals that all threads of a door add to, and that somebody takes from time to time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from threading import Lock

from controlplane.plumbing.refusal_rules import Counted, Refusal, RefusalTable


class RefusalCounts:
    """What was refused since it was last taken."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._table = RefusalTable()

    def note(self, refusal: Refusal, at: datetime) -> None:
        self.add([Counted(refusal, 1, at, at)])

    def add(self, rows: Iterable[Counted]) -> None:
        """Count rows in: those of another count, or of one that could not be handed on."""
        with self._lock:
            for row in rows:
                self._table.add(row)

    def take(self) -> list[Counted]:
        """Return all rows and begin anew."""
        with self._lock:
            taken, self._table = self._table, RefusalTable()
        return list(taken.rows.values())
