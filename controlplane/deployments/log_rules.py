"""A pod's log as Kubernetes gives it out with timestamps, read line by line. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

LINE_LENGTH_MAX = 4_000
# Kubernetes writes up to nine digits of a second; Python reads six.
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d) ?")


def read_lines(text: str) -> list[tuple[datetime | None, str]]:
    """Return (written at, line) in the order of the log; a line without a stamp is kept without one."""
    return [_read_line(line) for line in text.splitlines()]


def _read_line(line: str) -> tuple[datetime | None, str]:
    match = _STAMP.match(line)
    if match is None:
        return None, line[:LINE_LENGTH_MAX]
    seconds, fraction, zone = match.groups()
    try:
        at = datetime.fromisoformat(f"{seconds}{(fraction or '.0')[:7]}{zone}").astimezone(UTC)
    except ValueError:
        return None, line[:LINE_LENGTH_MAX]
    return at, line[match.end() :][:LINE_LENGTH_MAX]
