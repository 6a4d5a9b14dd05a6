"""Tables of phases: which step may follow which, and how long each may take."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

P = TypeVar("P", bound=StrEnum)


class ForbiddenTransition(ValueError):
    """A rule asked for a step that its table does not have: a defect, never an outside event."""


@dataclass(frozen=True, slots=True)
class PhaseTable(Generic[P]):
    """The steps of one life. `timeouts_s` has no entry for a phase that may last."""

    transitions: Mapping[P, frozenset[P]]
    timeouts_s: Mapping[P, float]

    def check(self, old: P, new: P) -> P:
        """`new`, if it is `old` or may follow it. Errors: ForbiddenTransition."""
        if new != old and new not in self.transitions[old]:
            raise ForbiddenTransition(f"{old.value} is never followed by {new.value}")
        return new

    def remaining_s(self, phase: P, since: datetime, now: datetime) -> float | None:
        """Seconds left in this phase, at most 0 when it is over time; None if it may last."""
        limit = self.timeouts_s.get(phase)
        return None if limit is None else limit - (now - since).total_seconds()
