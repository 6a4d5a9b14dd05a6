"""The stack's own secrets: made once, kept in one private file."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from infra.local.paths import write_private

KEY_BYTES = 32
PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True, repr=False)
class LocalSecrets:
    """Without a `repr`: it must not stand in a traceback."""

    hash_keys: str
    sealing_keys: str
    session_keys: str
    token_keys: str
    redis_password: str


def ensure_secrets(file: Path) -> LocalSecrets:
    """Read the secrets, making those that are missing.

    A stack from before each purpose had a secret of its own keeps its old one for reading what it made.
    """
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    old = kept.get("key_pepper", "")
    wanted = {name: kept.get(name) or fresh for name, fresh in _fresh(old).items()}
    if wanted != kept:
        write_private(file, json.dumps(wanted, indent=1) + "\n")
    return LocalSecrets(**wanted)


def _fresh(old: str) -> dict[str, str]:
    def key() -> str:
        return secrets.token_hex(KEY_BYTES)

    return {
        # The text of a key is known only to who holds it: what the old secret hashed stays under it.
        "hash_keys": f"1:{old or key()}",
        "sealing_keys": f"2:{key()},1:{old}" if old else f"1:{key()}",
        "session_keys": f"1:{key()}",
        "token_keys": f"1:{key()}",
        "redis_password": secrets.token_urlsafe(PASSWORD_BYTES),
    }
