"""Read pip's lock files: what is pinned, and the hashes of the files that may be installed. Pure.

Source: pip's requirements file format, hash-checking mode.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_SEPARATORS = re.compile(r"[-_.]+")


class NotALock(ValueError):
    """A line that is no pin with hashes: what it installs would not be what is looked at."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One release; `marker` says where it is installed, "" everywhere; `hashes` are SHA-256, one a file."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Its package URL (purl-spec, type pypi)."""
        return f"pkg:pypi/{self.name}@{self.version.replace('+', '%2B')}"


def canonical_name(name: str) -> str:
    """Write a project's name as the index compares it (PyPA, name normalization)."""
    return _SEPARATORS.sub("-", name).lower()


def read_pins(text: str) -> tuple[Pin, ...]:
    """Return the pins of a lock, by name. Errors: NotALock."""
    pins: dict[str, Pin] = {}
    for block in re.sub(r"\\\n\s*(?=--hash)", " ", text).splitlines():
        line = block.strip()
        if not line or line.startswith("#"):
            continue
        head = line.partition(" --hash")[0].strip()
        found = _PIN.fullmatch(head)
        hashes = tuple(sorted(_HASH.findall(line)))
        if found is None or not hashes:
            raise NotALock(f"'{head[:100]}' is no pin with hashes")
        name = canonical_name(found[1])
        if name in pins:
            raise NotALock(f"{name} is pinned twice")
        pins[name] = Pin(name, found[2], (found[3] or "").strip(), hashes)
    return tuple(pins[name] for name in sorted(pins))
