"""What an API key looks like, checked offline. Pure.

Form: `rmp_<kind>_<environment>_<30 base62>_<6 base62 CRC32>`; the checksum is CRC32 (zlib) over everything before the
last underscore, in base62 (digits, upper case, lower case), most significant first, padded with `0`.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Final

_KEY: Final = re.compile(r"rmp_([a-z]{3})_([a-z]{4,5})_[0-9A-Za-z]{30}_([0-9A-Za-z]{6})")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_LENGTH: Final = 6


@dataclass(frozen=True, slots=True)
class KeyShape:
    """What a key's text says of itself. `kind` is pat, svc or adm; `environment` live or local."""

    kind: str
    environment: str
    last_four: str


def read_key(text: str) -> KeyShape | None:
    """Return what a text says if it can be a key, else None: a look-alike, or one with a letter wrong."""
    found = _KEY.fullmatch(text)
    if found is None or _checksum(text.rpartition("_")[0]) != found.group(3):
        return None
    return KeyShape(found.group(1), found.group(2), text[-4:])


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
