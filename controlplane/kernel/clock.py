"""The clock port: decisions take an instant, shells take a Clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return an aware UTC instant."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(slots=True)
class FixedClock:
    """A clock that a test holds in its hand."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        self.at += by


def require_utc(instant: datetime) -> datetime:
    """Refuse naive and non-UTC instants where a value is built."""
    if instant.tzinfo is None or instant.utcoffset() != timedelta(0):
        raise ValueError(f"an instant must be aware UTC, got {instant.isoformat()}")
    return instant
