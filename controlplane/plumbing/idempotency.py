"""`Idempotency-Key`: the response is stored in the transaction that did the work."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import DateTime, Integer, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.errors import IdempotencyInFlight, IdempotencyMismatch, InvalidInput
from controlplane.kernel.ids import TenantId
from controlplane.kernel.keyring import Keyring
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.orm import Base, IdType

KEY_LENGTH_MAX = 255


class IdempotencyRow(Base):
    """One answered request. `scope` is the caller's tenant (or the platform); kept for 24 hours."""

    __tablename__ = "idempotency"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[TenantId | None] = mapped_column(IdType(TenantId))
    key: Mapped[str] = mapped_column(String(KEY_LENGTH_MAX), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(Integer)
    etag: Mapped[str | None] = mapped_column(String(64))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class StoredResponse:
    status: int
    body: bytes
    etag: str | None


def hash_request(ring: Keyring, method: str, path: str, body: bytes) -> list[str]:
    """Keyed hashes, the writing key's first: a bare hash would let somebody guess a body's secret of few bits."""
    message = b"\n".join((b"idempotency", method.encode(), path.encode(), body))
    return [hmac.new(key.value, message, hashlib.sha256).hexdigest() for key in ring.keys]


def replay_or_begin(uow: UnitOfWork, scope: str, key: str, hashes: Sequence[str]) -> StoredResponse | None:
    """Return the stored answer, or None after taking the key for this transaction.

    Errors: InvalidInput for an empty or oversized key, IdempotencyInFlight while another transaction works under the
    key, IdempotencyMismatch when the key was used for another request.
    """
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise InvalidInput(f"Idempotency-Key must have 1 to {KEY_LENGTH_MAX} characters.")
    lock = int.from_bytes(hashlib.sha256(f"{scope}|{key}".encode()).digest()[:8], "big", signed=True)
    taken = uow.session.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": lock}).scalar_one()
    if not taken:
        raise IdempotencyInFlight(
            "A request with this Idempotency-Key is still being worked on; try again shortly."
        )
    row = uow.session.get(IdempotencyRow, (scope, key))
    if row is None:
        return None
    if row.request_hash not in hashes:
        raise IdempotencyMismatch("This Idempotency-Key was already used for a different request.")
    return StoredResponse(row.status, row.body, row.etag)


def store_response(
    uow: UnitOfWork, scope: str, key: str, request_hash: str, response: StoredResponse
) -> None:
    uow.session.add(
        IdempotencyRow(
            scope=scope,
            tenant_id=uow.tenant_id,
            key=key,
            request_hash=request_hash,
            status=response.status,
            etag=response.etag,
            body=response.body,
            created_at=uow.now,
        )
    )
