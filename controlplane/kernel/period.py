"""Half-open periods of UTC instants, and the calendar months that a French biller closes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from controlplane.kernel.clock import require_utc

PARIS = ZoneInfo("Europe/Paris")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """[start, end): the end instant belongs to the next period, so months tile without gap or overlap."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        require_utc(self.start)
        require_utc(self.end)
        if self.end <= self.start:
            raise ValueError("a period ends after it starts")

    @classmethod
    def month(cls, year: int, month: int, zone: ZoneInfo = PARIS) -> Period:
        """Return the calendar month of `zone`: March and October differ from a whole number of days by DST."""
        following = (year + 1, 1) if month == 12 else (year, month + 1)
        start = datetime(year, month, 1, tzinfo=zone)
        end = datetime(following[0], following[1], 1, tzinfo=zone)
        return cls(start.astimezone(UTC), end.astimezone(UTC))

    @classmethod
    def month_of(cls, instant: datetime, zone: ZoneInfo = PARIS) -> Period:
        local = require_utc(instant).astimezone(zone)
        return cls.month(local.year, local.month, zone)

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def overlap(self, other: Period) -> Period | None:
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Period(start, end) if start < end else None

    @property
    def duration(self) -> timedelta:
        return self.end - self.start
