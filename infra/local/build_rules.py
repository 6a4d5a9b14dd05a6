"""Pure decisions of the build: what names a cached result, and how far a build has come."""

import hashlib
import re
from collections.abc import Sequence

KEY_LENGTH = 16  # 64 bits: enough to never meet by chance, short enough to read in a path.

_GO_VERSION = re.compile(r"\bgo(\d+)\.(\d+)(?:\.\d+)?\b")
# The first element of a Go import path has a dot in it when it is a host, as `k8s.io/…`; `internal/abi` is
# Go's own. Both compile, and both are printed by `go build -v`; nothing else it prints has no space.
_PACKAGE_LINE = re.compile(r"^[A-Za-z0-9_.~+-]+(/[A-Za-z0-9_.~+-]+)*$")


def decide_key(
    *,
    version: str,
    packages: Sequence[str],
    ldflags: Sequence[str],
    files: Sequence[str],
    platform: str,
    go_mod: bytes,
    go_sum: bytes,
) -> str:
    """Name a build result after everything that decides it, so that a change of any of it builds anew.

    Shapes: 16 lower-case hex characters.
    """
    digest = hashlib.sha256()
    for part in (version, *packages, "\0", *ldflags, "\0", *files, "\0", platform):
        digest.update(part.encode() + b"\0")
    digest.update(hashlib.sha256(go_mod).digest() + hashlib.sha256(go_sum).digest())
    return digest.hexdigest()[:KEY_LENGTH]


def find_go_version(text: str) -> tuple[int, int] | None:
    """Read major and minor out of what `go version` prints; None if there is no version in it."""
    match = _GO_VERSION.search(text)
    return (int(match.group(1)), int(match.group(2))) if match else None


def is_package_line(line: str) -> bool:
    """Whether a line of `go build -v` names a package just compiled (and is no message)."""
    return bool(_PACKAGE_LINE.match(line.strip()))


def describe_duration(seconds: float) -> str:
    """Seconds as a person says them: `4.2 s`, `3 min 05 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
