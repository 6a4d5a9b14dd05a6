"""When nobody will be able to make keys any more, and when to warn of it. Pure.

A tenant's owner keys end like all keys. The last one may: a key that is for ever is what leaks for ever. But it does
not end silently, and there is a way back in by the operator (`service_recovery`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from controlplane.identity.domain import ApiKey

WARNING_DAYS: Final = (30, 7, 1)
NEVER_WARNED: Final = 10_000
WARNED_WITHIN: Final = timedelta(days=max(WARNING_DAYS))


def access_ends_at(keepers: Sequence[ApiKey]) -> datetime | None:
    """Return when the last of these live keys ends; None when one of them never does, or when there is none."""
    ends = [key.ends_at for key in keepers]
    if not ends or None in ends:
        return None
    return max(end for end in ends if end is not None)


def warned_days(ends_at: datetime, now: datetime) -> int | None:
    """Return the smallest of WARNING_DAYS that the time left lies within; None when there is more time."""
    return min((days for days in WARNING_DAYS if ends_at - now <= timedelta(days=days)), default=None)
