"""Typed identifiers: one class a kind, UUIDv7 inside, `<prefix>_<26 characters>` on the wire.

Source: RFC 9562 §5.7 (UUIDv7); Crockford's base32 alphabet, most significant bit first, as TypeID 0.3 uses it.
"""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass
from typing import ClassVar, Self

from controlplane.kernel.errors import InvalidInput

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_DECODE = {character: value for value, character in enumerate(_ALPHABET)}
_SUFFIX_LENGTH = 26


def uuid7(unix_ms: int | None = None) -> uuid.UUID:
    """Make a time-ordered UUID; `unix_ms` is given only where a test or a replay needs the same instant."""
    milliseconds = time.time_ns() // 1_000_000 if unix_ms is None else unix_ms
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76 | secrets.randbits(12) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return uuid.UUID(int=value)


def encode_suffix(value: uuid.UUID) -> str:
    """Write 128 bits as 26 base32 characters (the first carries 3 bits)."""
    number = value.int
    characters = []
    for _ in range(_SUFFIX_LENGTH):
        characters.append(_ALPHABET[number & 31])
        number >>= 5
    return "".join(reversed(characters))


def decode_suffix(text: str) -> uuid.UUID:
    """Read what `encode_suffix` wrote; ValueError on anything else."""
    if len(text) != _SUFFIX_LENGTH or text[0] > "7":
        raise ValueError(f"not a {_SUFFIX_LENGTH}-character id suffix")
    number = 0
    for character in text:
        if character not in _DECODE:
            raise ValueError(f"{character!r} does not occur in an id")
        number = number << 5 | _DECODE[character]
    return uuid.UUID(int=number)


@dataclass(frozen=True, slots=True, order=True)
class Id:
    """Base of all typed ids; two kinds never compare equal because their classes differ."""

    value: uuid.UUID
    prefix: ClassVar[str] = ""

    @classmethod
    def new(cls) -> Self:
        return cls(uuid7())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the wire form; InvalidInput names the expected prefix."""
        prefix, separator, suffix = text.partition("_")
        if separator and prefix == cls.prefix:
            try:
                return cls(decode_suffix(suffix))
            except ValueError as err:
                raise InvalidInput(f"'{text[:64]}' is not a valid {cls.prefix}_ id: {err}.") from err
        raise InvalidInput(
            f"'{text[:64]}' is not a valid id here: expected one that starts with '{cls.prefix}_'."
        )

    @property
    def suffix(self) -> str:
        return encode_suffix(self.value)

    def __str__(self) -> str:
        return f"{self.prefix}_{self.suffix}"


class TenantId(Id):
    prefix = "org"


class ProjectId(Id):
    prefix = "prj"


class ApiKeyId(Id):
    prefix = "key"


class AppId(Id):
    prefix = "app"


class ServiceId(Id):
    prefix = "svc"


class DeploymentId(Id):
    prefix = "dep"


class RegionalDeploymentId(Id):
    prefix = "rdp"


class InstanceId(Id):
    prefix = "ins"


class SecretId(Id):
    prefix = "sec"


class DatacenterId(Id):
    prefix = "dc"


class CellId(Id):
    prefix = "cel"


class NodePoolId(Id):
    prefix = "pol"


class NodeId(Id):
    prefix = "nod"


class ReservationId(Id):
    prefix = "rsv"


class SiteRoleId(Id):
    prefix = "sro"


class LegalEntityId(Id):
    prefix = "ent"


class HoldingId(Id):
    prefix = "hld"


class CertificationId(Id):
    prefix = "crt"


class EventId(Id):
    prefix = "evt"


class RequestId(Id):
    prefix = "req"


class DecisionId(Id):
    prefix = "dcn"
