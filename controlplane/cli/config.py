"""Where the command keeps its key: one file, readable by its owner alone; the environment goes first."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from controlplane.cli.errors import NotLoggedIn, WrongUse
from controlplane.sdk import Rempart
from controlplane.sdk.client import DEFAULT_URL


@dataclass(frozen=True, slots=True)
class Profile:
    """Where to call, and with which key. The key is never printed."""

    base_url: str
    key: str


def config_path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "rempart" / "config.json"


def load_profile() -> Profile:
    """The environment's REMPART_API_KEY and REMPART_API_URL, or what `rempart login` stored.

    Errors: NotLoggedIn when there is no key, WrongUse when the file is damaged.
    """
    stored = _read_file(config_path())
    key = os.environ.get("REMPART_API_KEY") or stored.get("key", "")
    if not key:
        raise NotLoggedIn("No API key: run 'rempart login', or set REMPART_API_KEY.")
    return Profile(os.environ.get("REMPART_API_URL") or stored.get("base_url", DEFAULT_URL), key)


def save_profile(profile: Profile) -> Path:
    """Write the file anew, in one step; nobody but its owner can read it at any moment."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"base_url": profile.base_url, "key": profile.key}, file)
    draft.replace(path)
    return path


def forget_profile() -> bool:
    path = config_path()
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed


def connect() -> Rempart:
    profile = load_profile()
    return Rempart(profile.key, profile.base_url)


def _read_file(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise WrongUse("The stored key's file is damaged: run 'rempart login' again.")
    return stored
