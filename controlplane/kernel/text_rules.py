"""Which texts a document may carry: what a reader sees is what is stored, and XML can hold it. Pure.

Refused are characters that show nothing or move others: controls, directional formatting (UAX #9; CVE-2021-42574
"Trojan Source"), default-ignorable code points (UAX #44), private and unassigned ones. The joiners U+200C and U+200D
are part of spelling in Arabic and Indic scripts (UAX #31 §2.3) and stand in emoji sequences (UTS #51): they pass
between two such characters only. Whether a font can show a character is the typesetter's question, not this one's.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# C* but unassigned format controls that are letters of a script: see `_is_joiner_at_home`.
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Default-ignorable or blank though their category says letter, mark or symbol.
_BLANK: Final = frozenset(
    {
        0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFFFC, 0xFFFD,
        *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0),
    }
)  # fmt: skip
_JOINERS: Final = frozenset({"\u200c", "\u200d"})
_EMOJI_STYLE: Final = "\ufe0f"
# First words of character names of the scripts whose spelling uses joiners.
_JOINING_SCRIPTS: Final = (
    "ARABIC", "SYRIAC", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU", "KANNADA",
    "MALAYALAM", "SINHALA", "KHMER", "MYANMAR", "MONGOLIAN",
)  # fmt: skip
# More marks on one letter than any script writes run out of their line and over their neighbours.
MARKS_MAX: Final = 4


def tidy(text: str) -> str:
    """One spelling of a text: composed (NFC), each run of spaces one space, none at the ends."""
    spaced = "".join(" " if unicodedata.category(c) == "Zs" or c in "\t\r\n" else c for c in text)
    return unicodedata.normalize("NFC", " ".join(spaced.split(" ")).strip())


def find_text_fault(text: str) -> str | None:
    """Say in a sentence why a document cannot carry a text; None when it can. An empty text is no fault."""
    marks = 0
    for position, character in enumerate(text):
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks > MARKS_MAX:
            return f"More than {MARKS_MAX} marks stand on one letter."
        if character in _JOINERS and _is_joiner_at_home(text, position):
            continue
        if character == _EMOJI_STYLE and _is_emoji_before(text, position):
            continue
        if category in _REFUSED_CATEGORIES or ord(character) in _BLANK:
            return (
                f"The character U+{ord(character):04X} is invisible, changes the direction of the text or is no "
                "character: leave it out."
            )
    if text and not any(unicodedata.category(c)[0] in "LNSP" for c in text):
        return "The text shows nothing: write at least one letter or digit."
    return None


def _is_joiner_at_home(text: str, position: int) -> bool:
    before, after = text[position - 1 : position] if position else "", text[position + 1 : position + 2]
    if not before or not after:
        return False
    return (_joins(before) and _joins(after)) or (_is_emoji(before) and _is_emoji(after))


def _joins(character: str) -> bool:
    return unicodedata.name(character, "").startswith(_JOINING_SCRIPTS)


def _is_emoji(character: str) -> bool:
    return character == _EMOJI_STYLE or unicodedata.category(character) in {"So", "Sk"}


def _is_emoji_before(text: str, position: int) -> bool:
    return position > 0 and unicodedata.category(text[position - 1]) == "So"
