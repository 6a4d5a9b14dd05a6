"""Countries and the unions they belong to, as dated data.

Source: EU membership by the accession treaties; EEA Agreement (Iceland, Liechtenstein, Norway); the United
Kingdom left the Union on 2020-02-01 (Withdrawal Agreement art. 185). State of 2026-11-21.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EU: Final[frozenset[str]] = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "HR",
        "CY",
        "CZ",
        "DK",
        "EE",
        "FI",
        "FR",
        "DE",
        "GR",
        "HU",
        "IE",
        "IT",
        "LV",
        "LT",
        "LU",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SK",
        "SI",
        "ES",
        "SE",
    ]
)
EEA: Final[frozenset[str]] = EU | frozenset({"IS", "LI", "NO"})

# Countries met in ownership graphs besides the EEA; a code outside this set is refused as a typing mistake.
_OTHERS: Final[frozenset[str]] = frozenset(
    [
        "AE",
        "AR",
        "AU",
        "BR",
        "CA",
        "CH",
        "CL",
        "CN",
        "CO",
        "EG",
        "GB",
        "GG",
        "HK",
        "ID",
        "IL",
        "IM",
        "IN",
        "JE",
        "JP",
        "KE",
        "KR",
        "KW",
        "KY",
        "MA",
        "MC",
        "MX",
        "MY",
        "NG",
        "NZ",
        "PA",
        "PH",
        "QA",
        "RU",
        "SA",
        "SG",
        "TH",
        "TR",
        "TW",
        "UA",
        "US",
        "VG",
        "VN",
        "ZA",
    ]
)


@dataclass(frozen=True, slots=True, order=True)
class Country:
    """An ISO 3166-1 alpha-2 code in upper case."""

    code: str

    def __post_init__(self) -> None:
        if self.code not in EEA and self.code not in _OTHERS:
            raise ValueError(f"{self.code!r} is not an ISO 3166-1 country code that this installation knows")

    @property
    def is_eu(self) -> bool:
        return self.code in EU

    @property
    def is_eea(self) -> bool:
        return self.code in EEA

    def __str__(self) -> str:
        return self.code
