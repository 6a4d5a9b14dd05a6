"""What an API key looks like and whether it may call. Pure; `now` is an argument.

Source: `rmp_<kind>_<environment>_<30 base62>_<6 base62 CRC32>`, the checksum over everything before the last
underscore, base62 with digits, then upper case, then lower case, most significant first.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Set
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum

from controlplane.gateway.domain import ApiKey, BudgetState, KeySnapshot
from controlplane.kernel.keyring import Keyring

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 30
CHECKSUM_LENGTH = 6
KEY_LENGTH_MAX = 128

SNAPSHOT_AGE_MAX = timedelta(hours=24)
"""How long keys stay good when the control plane is cut: a day keeps a customer's traffic through an outage;
past it nobody can say whether a key was revoked, so every call is refused."""
# Published every 5 s. What can be spent past a hard budget is what is spent in this time.
BUDGETS_AGE_MAX = timedelta(seconds=60)


class KeyRefusal(Enum):
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED_HERE = "revoked_here"
    PROJECTLESS = "projectless"
    OUT_OF_SCOPE = "out_of_scope"
    PROJECT_MISMATCH = "project_mismatch"
    PROJECT_UNKNOWN = "project_unknown"
    BUDGET_EXHAUSTED = "budget_exhausted"
    BUDGET_UNKNOWN = "budget_unknown"
    SNAPSHOT_UNKNOWN = "snapshot_unknown"


INFERENCE_SCOPE = "inference"
"""What a key must be allowed to call a model; a key without any scope opens nothing."""


def checksum(body: str) -> str:
    """Write the CRC32 of a key's text as six base62 characters."""
    number = zlib.crc32(body.encode())
    characters = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        characters.append(BASE62[digit])
    return "".join(reversed(characters))


def is_well_formed(key: str) -> bool:
    """Tell whether a text can be one of our keys, without knowing any key."""
    if len(key) > KEY_LENGTH_MAX or not key.isascii():
        return False
    parts = key.split("_")
    if len(parts) != 5 or parts[0] != "rmp" or not parts[1].isalnum() or not parts[2].isalnum():
        return False
    if len(parts[3]) != RANDOM_LENGTH or not parts[3].isalnum() or len(parts[4]) != CHECKSUM_LENGTH:
        return False
    return hmac.compare_digest(checksum(key.rpartition("_")[0]), parts[4])


def hash_key(pepper: bytes, key: str) -> str:
    """Return the hex HMAC-SHA256 under which a key is known."""
    return hmac.new(pepper, key.encode(), hashlib.sha256).hexdigest()


def _find(snapshot: KeySnapshot, ring: Keyring, key: str) -> ApiKey | None:
    """Look a key up under each secret that is still read: while one is replaced, hashes of both are published."""
    for secret in ring.keys:
        digest = hash_key(secret.value, key)
        found = snapshot.by_hash.get(digest)
        if found is not None and hmac.compare_digest(found.hash, digest):
            return found
    return None


def find_key(snapshot: KeySnapshot | None, ring: Keyring, key: str) -> ApiKey | None:
    """Return whose key this is, whether or not it may call: for whoever counts refusals."""
    return None if snapshot is None or not is_well_formed(key) else _find(snapshot, ring, key)


def decide_key(snapshot: KeySnapshot | None, ring: Keyring, key: str, now: datetime) -> ApiKey | KeyRefusal:
    """Say who a key belongs to, or why it may not call.

    The lookup is by keyed hash: its timing depends on a value that a caller without the pepper cannot choose.
    """
    if not is_well_formed(key):
        return KeyRefusal.MALFORMED
    if snapshot is None or now - snapshot.generated_at > SNAPSHOT_AGE_MAX:
        return KeyRefusal.SNAPSHOT_UNKNOWN
    found = _find(snapshot, ring, key)
    if found is None:
        return KeyRefusal.UNKNOWN
    if found.expires_at is not None and found.expires_at <= now:
        return KeyRefusal.EXPIRED
    if not found.project_id:
        return KeyRefusal.PROJECTLESS
    if INFERENCE_SCOPE not in found.scopes:
        return KeyRefusal.OUT_OF_SCOPE
    return found


def choose_project(key: ApiKey, wanted: str, projects: Set[tuple[str, str]]) -> ApiKey | KeyRefusal:
    """Return the key as it calls in the project `wanted`, or why it may not.

    Shapes: `projects` are the (tenant id, project id) in which a service answers. Another tenant's project, one where
    nothing answers and what is no id at all are refused alike: nobody learns which projects exist.
    """
    if wanted == key.project_id:
        return key
    if key.is_bound:
        return KeyRefusal.PROJECT_MISMATCH
    if (key.tenant_id, wanted) not in projects:
        return KeyRefusal.PROJECT_UNKNOWN
    return replace(key, project_id=wanted)


def decide_budget(key: ApiKey, budgets: BudgetState | None, now: datetime) -> KeyRefusal | None:
    """Refuse who is past a hard budget, or has one that is not known any more; None lets the call pass.

    Where no budgets were ever published nobody has one. A state that grew old binds those alone who asked for a hard
    limit: everybody else is invoiced, and an outage of ours does not stop their calls.
    """
    if budgets is None:
        return None
    if key.tenant_id in budgets.tenants or key.project_id in budgets.projects:
        return KeyRefusal.BUDGET_EXHAUSTED
    is_limited = key.tenant_id in budgets.hard_tenants or key.project_id in budgets.hard_projects
    is_known = now - budgets.generated_at <= BUDGETS_AGE_MAX
    return KeyRefusal.BUDGET_UNKNOWN if is_limited and not is_known else None


def door_token(internal_token: str, regional_deployment_id: str) -> str:
    """Derive what opens the activator for one deployment: an engine that learns it can only call itself."""
    return hmac.new(internal_token.encode(), regional_deployment_id.encode(), hashlib.sha256).hexdigest()
