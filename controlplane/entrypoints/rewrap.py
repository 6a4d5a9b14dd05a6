"""Seal everything anew under the writing key: `python -m controlplane.entrypoints.rewrap`; say what is left.

Runs beside everything else and may be stopped and run again at any point. Needs the system role's database address and
REMPART_SEALING_KEYS.
"""

from __future__ import annotations

import sys

from controlplane.deployments import service_secrets
from controlplane.deployments.sealing import SecretDamaged
from controlplane.identity import service as identity
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings, load_settings

BATCH = 200


def rewrap(settings: Settings, database: Database) -> tuple[int, dict[str, int]]:
    """Return how many values were sealed anew, and how many live API keys stand under each hash key's id.

    Errors: SecretDamaged for a value whose key is not in the keyring any more; what was done before stays done.
    """
    ring = settings.sealing_ring
    done = 0
    while True:
        with database.system() as uow:
            count = service_secrets.reseal(uow, ring, limit=BATCH)
        if count == 0:
            break
        done += count
    with database.system(is_read_only=True) as uow:
        return done, identity.count_by_hash_key(uow)


def main() -> int:
    settings = load_settings()
    database = Database(settings)
    try:
        done, keys = rewrap(settings, database)
    except SecretDamaged as damaged:
        sys.stderr.write(f"Not all is done: {damaged}.\n")
        return 1
    finally:
        database.dispose()
    sys.stdout.write(f"{done} sealed values stand under the key {settings.sealing_ring.current.id} now.\n")
    for key_id, count in sorted(keys.items()):
        sys.stdout.write(f"{count} live API keys are known by the hash key {key_id}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
