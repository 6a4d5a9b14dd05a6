"""Units of the price book as UN/ECE Recommendation 20 codes (BT-130), and as words on the page."""

from __future__ import annotations

from typing import Final

# C62 is "one": a thing counted. Tokens and requests have no code of their own.
_CODES: Final = {
    "second": "SEC",
    "gpu_second": "SEC",
    "hour": "HUR",
    "gpu_hour": "HUR",
    "day": "DAY",
    "month": "MON",
}
_WORDS: Final = {"SEC": "s", "HUR": "h", "DAY": "jour", "MON": "mois", "C62": "unité"}


def unit_code(unit: str) -> str:
    """BT-130 of a price book's unit; what is merely counted is C62."""
    return _CODES.get(unit, "C62")


def unit_word(code: str) -> str:
    """The French word beside a quantity."""
    return _WORDS[code]
