"""Countries and the unions they belong to, by territory, as dated data.

A code of ISO 3166-1 names a territory, and membership of the Union is one of territories too: Réunion is in it, New
Caledonia is not, although both are French. Sources: TEU art. 52, TFEU art. 349 and 355 and annex II (outermost
regions, overseas countries and territories); the treaties of accession; decision 2010/718/EU (Saint-Barthélemy
leaves on 2012-01-01) and 2012/419/EU (Mayotte enters on 2014-01-01); Withdrawal Agreement art. 185 (the United
Kingdom, and Gibraltar with it, left on 2020-02-01); EEA Agreement art. 126 and protocol 40 (without Svalbard).
The Canaries, Madeira and the Azores have no codes of their own: they are ES and PT. State of 2026-11-21.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from controlplane.kernel.country_names import COUNTRY_NAMES

# The 27 Member States, each by the code of its European territory.
MEMBER_STATES: Final[frozenset[str]] = frozenset(
    {
        "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT", "LU",
        "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
    }
)  # fmt: skip

# The European Union exists since 1993-11-01 (Maastricht): a territory that was in the Communities starts there.
_MAASTRICHT: Final = date(1993, 11, 1)
_ENTRY: Final[dict[date, tuple[str, ...]]] = {
    _MAASTRICHT: (
        "BE", "DE", "DK", "ES", "FR", "GR", "IE", "IT", "LU", "NL", "PT",
        "BL", "GB", "GF", "GI", "GP", "MF", "MQ", "RE",
    ),
    date(1995, 1, 1): ("AT", "AX", "FI", "SE"),
    date(2004, 5, 1): ("CY", "CZ", "EE", "HU", "LT", "LV", "MT", "PL", "SI", "SK"),
    date(2007, 1, 1): ("BG", "RO"),
    date(2013, 7, 1): ("HR",),
    date(2014, 1, 1): ("YT",),
}  # fmt: skip
_EXIT: Final[dict[str, date]] = {"BL": date(2012, 1, 1), "GB": date(2020, 2, 1), "GI": date(2020, 2, 1)}
# Half-open [entry, exit) of each territory that is or was in the Union.
UNION_PERIODS: Final[dict[str, tuple[date, date | None]]] = {
    code: (entry, _EXIT.get(code)) for entry, codes in _ENTRY.items() for code in codes
}
# The territories of the Union today: the Member States and the parts of them that have a code of their own.
UNION: Final[frozenset[str]] = frozenset(code for code, (_, end) in UNION_PERIODS.items() if end is None)
EEA: Final[frozenset[str]] = UNION | frozenset({"IS", "LI", "NO"})


@dataclass(frozen=True, slots=True, order=True)
class Country:
    """An ISO 3166-1 alpha-2 code in upper case; ValueError for anything else."""

    code: str

    def __post_init__(self) -> None:
        if self.code not in COUNTRY_NAMES:
            raise ValueError(f"{self.code[:20]!r} is not a country code of ISO 3166-1 alpha-2 (as FR or DE)")

    @property
    def is_eu(self) -> bool:
        """Whether the territory is in the Union today."""
        return self.code in UNION

    @property
    def is_eea(self) -> bool:
        return self.code in EEA

    def was_in_union(self, on: date) -> bool:
        """Whether the territory was in the Union on a day."""
        entry, end = UNION_PERIODS.get(self.code, (None, None))
        return entry is not None and entry <= on and (end is None or on < end)

    def name(self, language: Literal["en", "fr"]) -> str:
        """The country's short name."""
        english, french = COUNTRY_NAMES[self.code]
        return french if language == "fr" else english

    def __str__(self) -> str:
        return self.code
