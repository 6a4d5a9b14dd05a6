"""Secrets at rest: AES-256-GCM under a key that is derived, never stored.

The key is HKDF-SHA256 (RFC 5869) over the installation's sealing secret with a label of its own. A sealed value says by
an id which secret that was, so that the secret can be replaced while older values are still opened. The additional
data binds a value to its tenant, name and version: a row copied elsewhere does not open. Nonces are 96 random bits
(NIST SP 800-38D §8.2.2), one for each sealed value.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from controlplane.deployments.domain import SealedSecret
from controlplane.kernel.ids import TenantId
from controlplane.kernel.keyring import Keyring

_LABEL = b"rempart deployments secret v1"
_KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretDamaged(Exception):
    """A sealed value does not open: it was altered, moved, or sealed under a secret that is gone."""


def seal(ring: Keyring, tenant_id: TenantId, name: str, version: int, value: str) -> SealedSecret:
    """Encrypt a value for one (tenant, name, version)."""
    nonce = os.urandom(_NONCE_BYTES)
    writing = ring.current
    bound_to = _bound_to(tenant_id, name, version)
    ciphertext = AESGCM(_derive(writing.value)).encrypt(nonce, value.encode(), bound_to)
    return SealedSecret(name, version, nonce, ciphertext, writing.id)


def unseal(ring: Keyring, tenant_id: TenantId, sealed: SealedSecret) -> str:
    """Decrypt what `seal` made. Errors: SecretDamaged."""
    bound_to = _bound_to(tenant_id, sealed.name, sealed.version)
    key = ring.find(sealed.key_id)
    if key is None:
        raise SecretDamaged(
            f"version {sealed.version} of the secret '{sealed.name}' was sealed under the key {sealed.key_id}, "
            "which REMPART_SEALING_KEYS does not hold any more"
        )
    try:
        return AESGCM(_derive(key.value)).decrypt(sealed.nonce, sealed.ciphertext, bound_to).decode()
    except InvalidTag as err:
        raise SecretDamaged(f"version {sealed.version} of the secret '{sealed.name}' does not open") from err


def _derive(secret: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=_LABEL).derive(secret)


def _bound_to(tenant_id: TenantId, name: str, version: int) -> bytes:
    # Names hold no separator, so two different triples never give the same bytes.
    return f"{tenant_id}|{name}|{version}".encode()
