"""Pure reading of log lines: when one was written, whoever wrote it, so that many logs merge into one."""

import re
from collections.abc import Iterable, Mapping

# How far into a line a time is looked for: JSON loggers may put it after the message.
SEARCH_CHARACTERS = 400

_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?")
_KLOG = re.compile(r"^[IWEF](\d\d)(\d\d) (\d\d:\d\d:\d\d)\.(\d{1,9})")
_VALKEY = re.compile(r"\b(\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d)\.(\d{1,3})\b")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def find_time(line: str, year: int) -> str | None:
    """The time a line says it was written, as text that sorts: `2026-11-21T20:15:00.123000`; None if none.

    `year` completes the times of Kubernetes' own logger, which has none. All programs of the stack run in
    UTC, so that no time needs a zone.
    """
    head = line[:SEARCH_CHARACTERS]
    if match := _KLOG.match(head):
        month, day, clock, fraction = match.groups()
        return f"{year:04d}-{month}-{day}T{clock}.{fraction[:6]:0<6}"
    if match := _ISO.search(head):
        date, clock, fraction = match.groups()
        return f"{date}T{clock}.{(fraction or '')[:6]:0<6}"
    match = _VALKEY.search(head)
    if match and match.group(2) in _MONTHS:
        day, month, of_year, clock, fraction = match.groups()
        return f"{of_year}-{_MONTHS.index(month) + 1:02d}-{day}T{clock}.{fraction:0<6}"
    return None


def merge(logs: Mapping[str, Iterable[str]], year: int) -> list[tuple[str, str]]:
    """All lines as (program, line), by time; a line without one stays behind the line before it."""
    keyed = []
    for name, lines in logs.items():
        last = ""
        for position, line in enumerate(lines):
            last = find_time(line, year) or last
            keyed.append((last, name, position, line))
    return [(name, line) for _, name, _, line in sorted(keyed)]
