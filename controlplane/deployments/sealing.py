"""Secrets at rest: AES-256-GCM under a key that is derived, never stored.

The key is HKDF-SHA256 (RFC 5869) over the installation's pepper with a label of its own, so that no other use of the
pepper shares it. The additional data binds a value to its tenant, name and version: a row copied elsewhere does not
open. Nonces are 96 random bits (NIST SP 800-38D §8.2.2), one for each sealed value.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from controlplane.deployments.domain import SealedSecret
from controlplane.kernel.ids import TenantId

_LABEL = b"rempart deployments secret v1"
_KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretDamaged(Exception):
    """A sealed value does not open: it was altered, moved, or sealed under another installation's pepper."""


def seal(pepper: bytes, tenant_id: TenantId, name: str, version: int, value: str) -> SealedSecret:
    """Encrypt a value for one (tenant, name, version)."""
    nonce = os.urandom(_NONCE_BYTES)
    ciphertext = AESGCM(_derive(pepper)).encrypt(nonce, value.encode(), _bound_to(tenant_id, name, version))
    return SealedSecret(name, version, nonce, ciphertext)


def unseal(pepper: bytes, tenant_id: TenantId, sealed: SealedSecret) -> str:
    """Decrypt what `seal` made. Errors: SecretDamaged."""
    bound_to = _bound_to(tenant_id, sealed.name, sealed.version)
    try:
        return AESGCM(_derive(pepper)).decrypt(sealed.nonce, sealed.ciphertext, bound_to).decode()
    except InvalidTag as err:
        raise SecretDamaged(f"version {sealed.version} of the secret '{sealed.name}' does not open") from err


def _derive(pepper: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=_LABEL).derive(pepper)


def _bound_to(tenant_id: TenantId, name: str, version: int) -> bytes:
    # Names hold no separator, so two different triples never give the same bytes.
    return f"{tenant_id}|{name}|{version}".encode()
