"""Cutting time for a reader: days and months of a zone over sums that are kept by UTC hours. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.period import Period
from controlplane.metering.domain import Granularity

# A year and its leap day, with both ends cut by hours: what one question may ask for.
SPAN_MAX = timedelta(days=367)
ZONE_LENGTH_MAX = 64


def read_zone(name: str) -> ZoneInfo:
    """Find a zone of the IANA database. Errors: InvalidInput."""
    try:
        if len(name) > ZONE_LENGTH_MAX:
            raise ZoneInfoNotFoundError
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as err:
        raise InvalidInput("time_zone must be a name of the IANA database, such as Europe/Paris.") from err


def check_hours(period: Period, zone: ZoneInfo) -> None:
    """Refuse what sums by UTC hours cannot answer exactly. Errors: InvalidInput."""
    for edge in (period.start, period.end):
        if edge.minute or edge.second or edge.microsecond:
            raise InvalidInput("Usage is summed by the hour: from and to must be whole hours in UTC.")
        if _offset(edge, zone) % timedelta(hours=1):
            raise InvalidInput(
                f"The zone {zone.key} is not a whole number of hours from UTC there; ask in UTC instead."
            )
    if period.duration > SPAN_MAX:
        raise InvalidInput(f"A question covers at most {SPAN_MAX.days} days.")


def bucket_end(start: datetime, granularity: Granularity, zone: ZoneInfo) -> datetime:
    """Return where a bucket that begins at `start` ends; a day of a clock change has 23 or 25 hours."""
    if granularity is Granularity.HOUR:
        return start + timedelta(hours=1)
    local = start.astimezone(zone)
    if granularity is Granularity.DAY:
        following = (local + timedelta(days=1)).replace(hour=0, minute=0)
    else:
        following = (local.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0)
    return following.astimezone(UTC)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
