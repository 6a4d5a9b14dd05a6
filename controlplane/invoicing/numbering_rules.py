"""How an invoice number is written: the year inside, gapless within it, short enough for every platform.

Source: CGI ann. II art. 242 nonies A I-7°, BOI-TVA-DECLA-30-20-20-10; BR-FR-01/-02 (alphabet, 35 characters) and the
state portal's limit of 20 until December 2026 (docs/french-law.md, table "Numbering").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from controlplane.kernel.errors import Conflict

NUMBER: Final = re.compile(r"[A-Za-z0-9+_/-]{1,20}")
PREFIX: Final = re.compile(r"[A-Z]{1,6}")
# Six digits hold a million invoices a year: 14 to 18 characters with the longest prefix.
DIGITS: Final = 6
NUMBER_MAX: Final = 10**DIGITS - 1


@dataclass(frozen=True, slots=True)
class SeriesState:
    """Where a series stands: the last number given in `year`, and the day it was given."""

    prefix: str
    year: int
    last_number: int
    last_issued_on: date | None


def next_in_series(state: SeriesState, today: date) -> tuple[SeriesState, str]:
    """Take the next number; Conflict when the day is before the last issue or the year is full.

    Numbers follow the order of issue, so a clock that went back must not take one.
    """
    if state.last_issued_on is not None and today < state.last_issued_on:
        raise Conflict(
            f"The series {state.prefix} was last used on {state.last_issued_on.isoformat()}; "
            f"an invoice dated {today.isoformat()} would break the order of numbers."
        )
    number = 1 if today.year != state.year else state.last_number + 1
    if number > NUMBER_MAX:
        raise Conflict(f"The series {state.prefix} has no number left in {today.year}.")
    return SeriesState(state.prefix, today.year, number, today), format_number(
        state.prefix, today.year, number
    )


def format_number(prefix: str, year: int, number: int) -> str:
    """`RMP-2026-000042`; AssertionError when a rule of the platform would refuse it."""
    text = f"{prefix}-{year:04d}-{number:0{DIGITS}d}"
    assert NUMBER.fullmatch(text), text
    return text


def parse_number(text: str) -> tuple[str, int, int]:
    """Read prefix, year and count back; ValueError when the text is not one of ours."""
    match = re.fullmatch(r"([A-Z]{1,6})-(\d{4})-(\d{6})", text)
    if match is None:
        raise ValueError(f"{text!r} is not a number of a series")
    return match.group(1), int(match.group(2)), int(match.group(3))
