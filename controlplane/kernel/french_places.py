"""Which territory a French postal code lies in: La Poste's codes, which are not INSEE's. Pure.

Source: La Poste, base officielle des codes postaux. Saint-Martin (97150) and Saint-Barthélemy (97133) kept codes of
Guadeloupe when they left it in 2007; 978 and 977 are INSEE's prefixes for them and no postal codes of theirs.
"""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(r"[0-9]{5}")
_EXACT: Final = {"97150": "MF", "97133": "BL"}
_PREFIXES: Final = {
    "971": "GP", "972": "MQ", "973": "GF", "974": "RE", "975": "PM", "976": "YT", "980": "MC", "984": "TF",
    "986": "WF", "987": "PF", "988": "NC",
}  # fmt: skip
_METROPOLITAN: Final = frozenset(f"{number:02d}" for number in range(1, 96))
# Departments beyond 95 and army post: a code that begins so may be real, but its place is not known here.
_ELSEWHERE: Final = ("00", "97", "98")
# Territories whose addresses bear French postal codes.
FRENCH_TERRITORIES: Final = frozenset({"FR", "BL", "MF", *_PREFIXES.values()})


def is_french_postcode(text: str) -> bool:
    """Five digits that begin as a French postal code does."""
    code = "".join(text.split())
    return _FORM.fullmatch(code) is not None and (code[:2] in _METROPOLITAN or code.startswith(_ELSEWHERE))


def find_french_place(text: str) -> str | None:
    """The ISO 3166-1 code of the territory of a French postal code; None where it cannot be told."""
    code = "".join(text.split())
    if not is_french_postcode(code):
        return None
    if code in _EXACT:
        return _EXACT[code]
    return "FR" if code[:2] in _METROPOLITAN else _PREFIXES.get(code[:3])
