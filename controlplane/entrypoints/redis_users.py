"""Make Redis users: `python -m controlplane.entrypoints.redis_users --folder F --address redis.example:6379`.

Writes `users.acl`, the lines for Redis' ACL file, and for each program `<program>.env` with the REDIS_URL of its own
user, as a Secret takes it. A program whose file is there already keeps its password, so that new rules of a new version
change no Secret. No password is printed, and none stands in `users.acl`.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from controlplane.plumbing.redis_user_rules import USERS, RedisUser, acl_lines

PASSWORD_BYTES = 32
_ADDRESS = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(\d{1,5})")
_VARIABLE = "REDIS_URL="


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, or 2 with one sentence on standard error when nothing could be made."""
    parser = argparse.ArgumentParser(description="Make a Redis user for each program.")
    parser.add_argument("--folder", type=Path, required=True, help="where the files are written (mode 0700)")
    parser.add_argument("--address", required=True, help="host:port of Redis, as the programs reach it")
    parser.add_argument("--tls", action="store_true", help="Redis answers with TLS (rediss://)")
    given = parser.parse_args(arguments)
    found = _ADDRESS.fullmatch(given.address)
    if found is None or not 0 < int(found[1]) < 65536:
        sys.stderr.write(f"--address: {given.address!r} is not host:port, for example redis.example:6379.\n")
        return 2
    try:
        write(given.folder, ("rediss" if given.tls else "redis", given.address))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"--folder: {error}\n")
        return 2
    sys.stdout.write(f"{len(USERS)} users: users.acl and a file for each program in {given.folder}.\n")
    return 0


def write(folder: Path, address: tuple[str, str]) -> None:
    """Write all files; `address` is (scheme, host:port). Errors: OSError, ValueError for an alien file."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # All are read before any is written: a file that is none of ours leaves everything as it was.
    passwords = {
        user.program: _kept(_file(folder, user)) or secrets.token_urlsafe(PASSWORD_BYTES) for user in USERS
    }
    scheme, host = address
    for user in USERS:
        url = f"{scheme}://{user.name}:{passwords[user.program]}@{host}/0"
        _write_private(_file(folder, user), f"{_VARIABLE}{url}\n")
    _write_private(folder / "users.acl", "\n".join(acl_lines(passwords)) + "\n")


def _file(folder: Path, user: RedisUser) -> Path:
    return folder / f"{user.program}.env"


def _kept(file: Path) -> str | None:
    """The password of a user that was made before; None when there is no file."""
    if not file.exists():
        return None
    text = file.read_text(encoding="utf-8").strip()
    password = urlsplit(text.removeprefix(_VARIABLE)).password if text.startswith(_VARIABLE) else None
    if not password:
        raise ValueError(f"{file.name} holds no {_VARIABLE}… with a password; move it away.")
    return unquote(password)


def _write_private(file: Path, text: str) -> None:
    """Whole or not at all, and never readable by others."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)


if __name__ == "__main__":
    sys.exit(main())
