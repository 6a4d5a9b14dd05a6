"""The only door to time: rules take moments as arguments, controllers read them here."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two readings of time, each for its own use."""

    def now(self) -> datetime:
        """Wall time, aware, UTC: for what people read."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back: for delays."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Wall time, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


def wire_time(moment: datetime) -> str:
    """RFC 3339, UTC, whole seconds: the form of Kubernetes' own timestamps."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wire_time_micro(moment: datetime) -> str:
    """RFC 3339, UTC, microseconds: the form of MicroTime, used by Lease."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """A moment from its wire form. Errors: ValueError."""
    return datetime.fromisoformat(text)
