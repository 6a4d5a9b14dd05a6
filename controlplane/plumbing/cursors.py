"""Opaque page cursors: the last id seen, bound to the query it belongs to and signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.keyring import Keyring

PAGE_DEFAULT = 50
PAGE_MAX = 200
_MAC_BYTES = 12

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page in descending id order (newest first), and where the next one starts."""

    items: Sequence[T]
    next_after: UUID | None

    @classmethod
    def of(cls, items: Sequence[T], limit: int, id_of: Callable[[T], UUID]) -> Page[T]:
        """Cut `limit` items out of up to `limit + 1` that were read."""
        kept = items[:limit]
        return cls(kept, id_of(kept[-1]) if len(items) > limit else None)


def encode_cursor(after: UUID, scope: str, ring: Keyring) -> str:
    return base64.urlsafe_b64encode(after.bytes + _mac(after.bytes, scope, ring.current.value)).decode()


def decode_cursor(text: str, scope: str, ring: Keyring) -> UUID:
    """Read a cursor; InvalidInput when it is damaged, made up, or of another list."""
    try:
        raw = base64.urlsafe_b64decode(text.encode())
    except ValueError:
        raw = b""
    body, mac = raw[:16], raw[16:]
    is_ours = any(hmac.compare_digest(mac, _mac(body, scope, key.value)) for key in ring.keys)
    if len(raw) != 16 + _MAC_BYTES or not is_ours:
        raise InvalidInput("The cursor is not one that this list gave out; start again without it.")
    return UUID(bytes=body)


def _mac(body: bytes, scope: str, secret: bytes) -> bytes:
    return hmac.new(secret, b"cursor|" + scope.encode() + b"|" + body, hashlib.sha256).digest()[:_MAC_BYTES]
