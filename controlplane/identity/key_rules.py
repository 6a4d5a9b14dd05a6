"""What an API key looks like, checked offline, and how it is hashed. Pure: random bytes come as an argument.

Form: `rmp_<kind>_<environment>_<30 base62>_<6 base62 CRC32>`. The checksum is CRC32 (zlib) over everything
before the last underscore, in base62 (digits, upper case, lower case), most significant first, padded with
`0`: a scanner tells a real key from a look-alike without asking anybody. GitHub's tokens have the same
form ("Behind GitHub's new authentication token formats", 2021).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from datetime import datetime, timedelta
from typing import Final

from controlplane.identity.domain import KeyKind, Role, Scope
from controlplane.identity.matrix import MATRIX
from controlplane.kernel.access import Action, Resource
from controlplane.kernel.errors import FieldProblem, InvalidInput
from controlplane.kernel.keyring import Keyring

BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH: Final = 30
CHECKSUM_LENGTH: Final = 6
# 256 bits fill the 178.6 bits that 30 base62 characters hold, with no bias that could be measured.
RANDOM_BYTES: Final = 32
# Published for secret scanners; `is_well_formed` adds the checksum.
KEY_PATTERN: Final = r"rmp_[a-z]{3}_[a-z]{4,5}_[0-9A-Za-z]{30}_[0-9A-Za-z]{6}"
_KEY = re.compile(KEY_PATTERN)
# What a producer reports for; the same text stands in its events as their source (CloudEvents 1.0). `/cells/*` is
# for operators that serve several cells behind one API server.
_SOURCE_NAME: Final = r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"
SOURCE_PATTERN: Final = rf"^(/gateways/{_SOURCE_NAME}|/cells/({_SOURCE_NAME}|\*))$"

EXPIRES_IN_DAYS_DEFAULT: Final = 90
EXPIRES_IN_DAYS_MAX: Final = 365
OVERLAP_HOURS_DEFAULT: Final = 24
OVERLAP_HOURS_MAX: Final = 7 * 24


def encode_base62(number: int, length: int) -> str:
    """Write the low digits of a number in base62, most significant first, padded with `0`."""
    characters = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        characters.append(BASE62[digit])
    return "".join(reversed(characters))


def checksum(body: str) -> str:
    return encode_base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def build_key(kind: KeyKind, environment: str, random: bytes) -> str:
    """Make a key's text; `environment` is `live` or `local`, `random` at least RANDOM_BYTES secret bytes."""
    if len(random) < RANDOM_BYTES:
        raise ValueError(f"a key needs {RANDOM_BYTES} random bytes")
    body = f"rmp_{kind}_{environment}_{encode_base62(int.from_bytes(random, 'big'), RANDOM_LENGTH)}"
    return f"{body}_{checksum(body)}"


def is_well_formed(text: str) -> bool:
    """Tell whether a text can be one of our keys, without any database."""
    if _KEY.fullmatch(text) is None:
        return False
    body, _, given = text.rpartition("_")
    return hmac.compare_digest(checksum(body), given)


def hash_key(pepper: bytes, text: str) -> str:
    """The only form in which a key is stored: HMAC-SHA256 keyed with the server's pepper, in hexadecimal."""
    return hmac.new(pepper, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def list_hashes(ring: Keyring, text: str) -> list[str]:
    """Return the forms in which a key may be stored: one for each secret that is still read, the writing one first."""
    return [hash_key(key.value, text) for key in ring.keys]


def decide_scopes(role: Role, wanted: frozenset[Scope] | None) -> frozenset[Scope]:
    """Return what a new key opens; InvalidInput for none, or for models when its role cannot call them."""
    may_call = Action.OPERATE in MATRIX[(role, Resource.INFERENCE)]
    if wanted is None:
        return frozenset(Scope) if may_call else frozenset({Scope.MANAGE})
    if not wanted:
        raise InvalidInput(
            "A key needs at least one scope.", fields=(FieldProblem("scopes", "must not be empty"),)
        )
    if Scope.INFERENCE in wanted and not may_call:
        raise InvalidInput(
            f"A key with the role {role} cannot call models; leave the scope 'inference' out.",
            fields=(FieldProblem("scopes", f"the role {role} does not allow inference"),),
        )
    return wanted


def decide_expiry(now: datetime, expires_in_days: int) -> datetime:
    if not 1 <= expires_in_days <= EXPIRES_IN_DAYS_MAX:
        raise InvalidInput(f"A key lives between 1 and {EXPIRES_IN_DAYS_MAX} days.")
    return now + timedelta(days=expires_in_days)
