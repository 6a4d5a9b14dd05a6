"""Refuse a key or a tenant at this gateway at once: `python -m controlplane.entrypoints.gateway_revoke key_…`.

For when the control plane cannot be reached: it needs REMPART_STATE_DIR of the gateway and nothing else. Names are a
key's id, a tenant's id, or the hash of a key; `--lift` takes them off again, `--list` shows them. Calls are refused
within 5 seconds with 401, streams that run end within a minute. Each gateway has a list of its own; it outlives
restarts.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
from collections.abc import Sequence
from pathlib import Path

from controlplane.gateway.domain import REVOKED_FILE
from controlplane.gateway.revoked_rules import NAMES_MAX, is_name, parse_revoked
from controlplane.gateway.xds_writer import write_atomically
from controlplane.plumbing.settings import load_settings


def main(arguments: Sequence[str] | None = None, state_dir: Path | None = None) -> int:
    """Return 0, or 2 with one sentence on standard error when nothing was changed."""
    parser = argparse.ArgumentParser(description="Refuse a key or a tenant at this gateway at once.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="key_…, org_…, or the hash of a key")
    parser.add_argument("--lift", action="store_true", help="take the names off the list")
    parser.add_argument("--list", action="store_true", help="show who is on it")
    given = parser.parse_args(arguments)
    bad = [name for name in given.names if not is_name(name)]
    if bad:
        return _refuse(
            f"{bad[0]!r} is no key's id (key_…), tenant's id (org_…) or hash of a key (64 hex digits)."
        )
    if not given.names and not given.list:
        return _refuse("Name at least one key or tenant, or ask with --list.")
    folder = (state_dir or load_settings().state_dir) / "gateway"
    if not folder.is_dir():
        return _refuse(f"{folder} is not there: set REMPART_STATE_DIR to the gateway's.")
    try:
        names = change(folder, frozenset(given.names), is_lifted=given.lift)
    except (OSError, ValueError) as error:
        return _refuse(f"Nothing was changed: {error}")
    sys.stdout.write("".join(f"{name}\n" for name in sorted(names)) or "Nobody is refused here.\n")
    return 0


def change(folder: Path, names: frozenset[str], *, is_lifted: bool) -> frozenset[str]:
    """Put names on the list of a gateway's folder, or take them off; return who is on it then.

    Two who change it at once wait for each other. Errors: OSError, ValueError beyond NAMES_MAX.
    """
    path = folder / REVOKED_FILE
    with (folder / f".{REVOKED_FILE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known, _ = parse_revoked(path.read_text(encoding="utf-8", errors="replace") if path.exists() else "")
        wanted = known - names if is_lifted else known | names
        if len(wanted) > NAMES_MAX:
            raise ValueError(f"the list would have more than {NAMES_MAX} names")
        if wanted != known:
            write_atomically(path, "".join(f"{name}\n" for name in sorted(wanted)).encode())
    return wanted


def _refuse(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
