"""Instants as the days that a French document shows."""

from __future__ import annotations

from datetime import date, timedelta

from controlplane.kernel.period import PARIS, Period

# A period is half-open; its last day is the day of the instant just before its end.
_JUST_BEFORE = timedelta(microseconds=1)


def first_day(period: Period) -> date:
    """BT-73 / BT-134."""
    return period.start.astimezone(PARIS).date()


def last_day(period: Period) -> date:
    """BT-74 / BT-135."""
    return (period.end - _JUST_BEFORE).astimezone(PARIS).date()
