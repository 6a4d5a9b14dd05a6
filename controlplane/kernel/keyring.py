"""Secret keys of one purpose, each with an id: one that writes, and others that are still read.

A secret is replaced in three steps, each rolled out everywhere before the next: add the new one behind the old one;
put it first; when nothing is left under the old one, take that away. Nothing stops in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

KEY_BYTES_MIN: Final = 32
# Each key that is read costs a hash for each call.
KEYS_MAX: Final = 4
FIRST_ID: Final = "1"
_ID = re.compile(r"[a-z0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class SecretKey:
    id: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """`keys[0]` writes; all of them read."""

    keys: tuple[SecretKey, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.keys) <= KEYS_MAX:
            raise ValueError(f"a keyring holds 1 to {KEYS_MAX} keys")
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("two keys of a keyring have the same id")

    @classmethod
    def single(cls, value: bytes, key_id: str = FIRST_ID) -> Keyring:
        return cls((SecretKey(key_id, value),))

    @property
    def current(self) -> SecretKey:
        return self.keys[0]

    def find(self, key_id: str) -> SecretKey | None:
        return next((key for key in self.keys if key.id == key_id), None)


def parse_keyring(text: str) -> Keyring:
    """Read "2:<hex>,1:<hex>", the writing key first; one without an id is the first of the installation.

    Errors: ValueError with a sentence that holds nothing of the keys.
    """
    keys = []
    for part in text.split(","):
        key_id, colon, digits = part.strip().rpartition(":")
        key_id = key_id if colon else FIRST_ID
        if _ID.fullmatch(key_id) is None:
            raise ValueError("a key's id has 1 to 16 small letters and digits")
        try:
            value = bytes.fromhex(digits)
        except ValueError:
            raise ValueError(f"key {key_id} is not in hexadecimal") from None
        if len(value) < KEY_BYTES_MIN:
            raise ValueError(f"key {key_id} has less than {KEY_BYTES_MIN} bytes")
        keys.append(SecretKey(key_id, value))
    return Keyring(tuple(keys))
