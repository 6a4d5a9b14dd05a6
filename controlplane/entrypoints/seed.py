"""Make the platform operator's key: `python -m controlplane.entrypoints.seed --admin-key-file PATH`; and, with
`--producer-key SOURCE=PATH`, the key with which one gateway or one cell reports usage and can do nothing else.

Safe to run again, at any point: the file is the truth. Without it, a key is made and written (mode 0600); then
the key is registered unless the database knows it. Nothing of the key is printed.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from controlplane.catalogue import service as catalogue
from controlplane.identity import key_rules
from controlplane.identity import service as identity
from controlplane.identity.domain import KeyKind, Role
from controlplane.invoicing import service as invoicing
from controlplane.kernel.errors import RempartError
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings, load_settings
from controlplane.rating import service as rating

FILE_VARIABLE = "REMPART_ADMIN_KEY_FILE"
PRODUCER_FILE_VARIABLE = "REMPART_PRODUCER_KEY_FILE"
PRODUCERS_VARIABLE = "REMPART_PRODUCER_KEYS"
# A key has 53 characters; a larger file is something else, and is not read into memory.
FILE_BYTES_MAX = 256


def seed(
    settings: Settings,
    database: Database,
    path: Path,
    producer_path: Path | None = None,
    producers: Sequence[tuple[str, Path]] = (),
) -> bool:
    """Return True when the key was registered now, False when all was in place.

    `producers`: what each reports for ("/gateways/<name>", "/cells/<name>") and the file of its key. The key in
    `producer_path` may report for all of them.

    Errors: InvalidInput when the file holds no operator key, Conflict when its key was revoked.
    """
    key = _ensure_key(settings, path)
    producer_keys: list[tuple[str, str | None]] = [
        (_ensure_key(settings, each), source) for source, each in producers
    ]
    if producer_path is not None:
        producer_keys.append((_ensure_key(settings, producer_path), None))
    with database.system() as uow:
        catalogue.seed(uow)
        invoicing.ensure_seller(uow)
        rating.seed(uow)
        for producer_key, source in producer_keys:
            identity.register_operator_key(uow, producer_key, settings.hash_ring, Role.PRODUCER, source)
        return identity.register_operator_key(uow, key, settings.hash_ring)


def _ensure_key(settings: Settings, path: Path) -> str:
    if not path.exists():
        environment = "live" if settings.environment == "production" else "local"
        random = secrets.token_bytes(key_rules.RANDOM_BYTES)
        write_key(path, key_rules.build_key(KeyKind.ADM, environment, random))
    with path.open(encoding="utf-8") as stream:
        return stream.read(FILE_BYTES_MAX).strip()


def read_producer(text: str) -> tuple[str, Path]:
    """Read `/gateways/essonne-1=/run/keys/gateway`. Errors: ArgumentTypeError."""
    source, _, path = text.partition("=")
    if not path or re.fullmatch(key_rules.SOURCE_PATTERN, source) is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not /gateways/<name>=PATH or /cells/<name>=PATH")
    return source, Path(path)


def write_key(path: Path, key: str) -> None:
    """Write the whole file or none of it, readable by its owner alone from its first moment on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(key + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        # A link fails where another run was first; a rename would throw that run's key away.
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make and register the platform operator's key.")
    given_by_environment = os.environ.get(FILE_VARIABLE)
    parser.add_argument(
        "--admin-key-file",
        type=Path,
        default=Path(given_by_environment) if given_by_environment else None,
        required=not given_by_environment,
        help=f"where the key stands or is written (default: {FILE_VARIABLE})",
    )
    producer_file = os.environ.get(PRODUCER_FILE_VARIABLE)
    parser.add_argument(
        "--producer-key-file",
        type=Path,
        default=Path(producer_file) if producer_file else None,
        help=f"where the usage producers' key stands or is written (default: {PRODUCER_FILE_VARIABLE}, or none)",
    )
    parser.add_argument(
        "--producer-key",
        type=read_producer,
        action="append",
        default=None,
        metavar="SOURCE=PATH",
        help=f"what one producer reports for, and where its key stands or is written (default: {PRODUCERS_VARIABLE}, "
        "comma-separated)",
    )
    chosen = parser.parse_args(arguments)
    listed = [text for text in os.environ.get(PRODUCERS_VARIABLE, "").split(",") if text]
    producers = chosen.producer_key or [read_producer(text) for text in listed]
    path: Path = chosen.admin_key_file
    settings = load_settings()
    database = Database(settings)
    try:
        is_new = seed(settings, database, path, chosen.producer_key_file, producers)
    except RempartError as err:
        sys.stderr.write(f"{path}: {err.message}\n")
        return 1
    finally:
        database.dispose()
    sys.stdout.write(f"The operator's key in {path} is {'registered now' if is_new else 'known'}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
