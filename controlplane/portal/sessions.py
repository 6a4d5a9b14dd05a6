"""Sessions: an opaque id in the browser, the API key sealed in Redis, and tokens that only our own forms hold.

Redis knows a session by a hash of its id and holds it encrypted: neither a copy of Redis nor a copy of the browser's
cookie alone gives away a key. What Redis loses costs a new sign-in and nothing else.

Sources: OWASP Session Management (idle and absolute ends, a new id at sign-in); NIST SP 800-38D §8.2.2 (nonces).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import orjson
import redis
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from controlplane.kernel.clock import Clock
from controlplane.kernel.keyring import Keyring

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
REDIS_PREFIX = "rempart:portal:session:"
_SEAL_LABEL = b"rempart portal session v1"
_FORM_LABEL = b"rempart portal form v1"
_NAME_LABEL = b"rempart portal session name v1"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in. `id` is the cookie's value; `organization_id` is empty for the platform operator."""

    id: str = field(repr=False)
    key: str = field(repr=False)
    key_id: str
    role: str
    organization_id: str
    organization_name: str
    signed_in_at: datetime

    @property
    def is_operator(self) -> bool:
        return not self.organization_id


@dataclass(frozen=True, slots=True)
class _Keys:
    """What one session secret is used for, each under a key of its own."""

    seal: AESGCM
    form_key: bytes = field(repr=False)
    name_key: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes) -> _Keys:
        return cls(
            AESGCM(_derive(secret, _SEAL_LABEL)), _derive(secret, _FORM_LABEL), _derive(secret, _NAME_LABEL)
        )

    def name(self, session_id: str) -> str:
        return REDIS_PREFIX + hmac.new(self.name_key, session_id.encode(), hashlib.sha256).hexdigest()

    def form_token(self, visitor: str) -> str:
        return hmac.new(self.form_key, visitor.encode(), hashlib.sha256).hexdigest()


class Sessions:
    """The store. Errors: redis.RedisError when Redis does not answer."""

    def __init__(self, client: redis.Redis, ring: Keyring, clock: Clock) -> None:
        self._redis = client
        self._clock = clock
        # The first one begins sessions; those that were begun under another one go on to their end.
        self._keys = [_Keys.of(key.value) for key in ring.keys]

    def open(self, *, key: str, key_id: str, role: str, organization_id: str, name: str) -> Session:
        """Begin a session under a new id."""
        session = Session(
            new_id(), key, key_id, role, organization_id, name, self._clock.now().astimezone(UTC)
        )
        keys = self._keys[0]
        name_in_redis = keys.name(session.id)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = keys.seal.encrypt(nonce, orjson.dumps(asdict(session)), name_in_redis.encode())
        self._redis.set(name_in_redis, nonce + sealed, ex=IDLE)
        return session

    def find(self, session_id: str) -> Session | None:
        """Return a session that still lasts, and let it last: idle time begins anew, absolute time does not."""
        for keys in self._keys:
            name = keys.name(session_id)
            stored = self._redis.getex(name, ex=IDLE)
            if isinstance(stored, bytes):
                return self._open(keys, name, stored)
        return None

    def _open(self, keys: _Keys, name: str, stored: bytes) -> Session | None:
        try:
            text = keys.seal.decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            # Altered, or moved from another session: nobody is signed in by it.
            self._redis.delete(name)
            return None
        facts = orjson.loads(text)
        session = Session(**{**facts, "signed_in_at": datetime.fromisoformat(facts["signed_in_at"])})
        if self._clock.now() - session.signed_in_at >= ABSOLUTE:
            self._redis.delete(name)
            return None
        return session

    def close(self, session_id: str) -> None:
        self._redis.delete(*[keys.name(session_id) for keys in self._keys])

    def ping(self) -> None:
        """Errors: redis.RedisError when the store does not answer."""
        self._redis.ping()

    def form_token(self, visitor: str) -> str:
        """Return the token that forms shown to this visitor (a session's or sign-in page's id) carry."""
        return self._keys[0].form_token(visitor)

    def is_form_token(self, visitor: str, token: str) -> bool:
        return any(
            hmac.compare_digest(keys.form_token(visitor).encode(), token.encode()) for keys in self._keys
        )


def new_id() -> str:
    """256 random bits, as a cookie can carry them."""
    return secrets.token_urlsafe(_ID_BYTES)


def _derive(secret: bytes, label: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=label).derive(secret)
