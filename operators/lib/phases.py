"""How long each phase of a life may take. Which phase follows which is known to the rules alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

P = TypeVar("P", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class PhaseLimits(Generic[P]):
    """Seconds per phase; a phase without an entry may last."""

    limits_s: Mapping[P, float]

    def remaining_s(self, phase: P, since: datetime | None, now: datetime) -> float | None:
        """Seconds left in this phase, at most 0 when it is over time; None if it may last.

        A beginning that is unknown or lies in the future (a status that was edited or restored) counts
        as now: nothing runs out of time, or waits for ever, because of it.
        """
        limit = self.limits_s.get(phase)
        return None if limit is None else limit - elapsed_s(since, now)


def elapsed_s(since: datetime | None, now: datetime) -> float:
    """Seconds since `since`; 0 when it is unknown or lies in the future."""
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)
