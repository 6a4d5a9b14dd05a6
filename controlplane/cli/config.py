"""Where the command keeps its key: one file, readable by its owner alone; the environment goes first."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from controlplane.sdk import Rempart


class NotLoggedIn(Exception):
    """No key in the environment or in the file."""


@dataclass(frozen=True, slots=True)
class Profile:
    base_url: str
    key: str


def config_path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "rempart" / "config.json"


def load_profile() -> Profile:
    """The environment's REMPART_API_KEY and REMPART_API_URL, or what `rempart login` stored."""
    stored: dict[str, str] = {}
    path = config_path()
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
    key = os.environ.get("REMPART_API_KEY") or stored.get("key", "")
    url = os.environ.get("REMPART_API_URL") or stored.get("base_url", "http://127.0.0.1:8080")
    if not key:
        raise NotLoggedIn("No API key: run 'rempart login', or set REMPART_API_KEY.")
    return Profile(url, key)


def save_profile(profile: Profile) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
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
