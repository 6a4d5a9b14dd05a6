"""The stack's own secrets: made once, kept in one private file."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from infra.local.paths import write_private

PEPPER_BYTES = 32
PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True, repr=False)
class LocalSecrets:
    """Without a `repr`: it must not stand in a traceback."""

    key_pepper: str
    redis_password: str


def ensure_secrets(file: Path) -> LocalSecrets:
    """Read the secrets, making those that are missing. REMPART_KEY_PEPPER, if set, is taken over."""
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    pepper = os.environ.get("REMPART_KEY_PEPPER") or kept.get("key_pepper") or secrets.token_hex(PEPPER_BYTES)
    password = kept.get("redis_password") or secrets.token_urlsafe(PASSWORD_BYTES)
    wanted = {"key_pepper": pepper, "redis_password": password}
    if wanted != kept:
        write_private(file, json.dumps(wanted, indent=1) + "\n")
    return LocalSecrets(key_pepper=pepper, redis_password=password)
