"""Where the command keeps its keys: one file, readable by its owner alone; the environment goes first."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from controlplane.cli.errors import NothingCalled, NotLoggedIn, WrongUse
from controlplane.sdk import Rempart
from controlplane.sdk.client import DEFAULT_URL

DEFAULT_NAME = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_wanted: dict[str, Any] = {"profile": "", "is_debug": False}


@dataclass(frozen=True, slots=True)
class Profile:
    """Where to call, and with which key. The key is never printed."""

    base_url: str
    key: str


def configure(profile: str | None, *, is_debug: bool) -> None:
    """What the command line said before the command: which profile, and whether to tell each request."""
    if profile is not None and not _NAME.fullmatch(profile):
        raise WrongUse(f"'{profile}' is no name of a context: letters, digits, dots, dashes and underscores.")
    _wanted.update(profile=profile or "", is_debug=is_debug)


def config_path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "rempart" / "config.json"


def chosen_name() -> str:
    """The profile in use: the one asked for, else the one that `context use` chose."""
    return str(_wanted["profile"] or _read_file(config_path()).get("current") or DEFAULT_NAME)


def read_profiles() -> dict[str, Profile]:
    """Every stored profile by name."""
    return _profiles(_read_file(config_path()))


def load_profile() -> Profile:
    """The environment's REMPART_API_KEY and REMPART_API_URL, or what `rempart login` stored.

    Errors: NotLoggedIn when there is no key, WrongUse when the file is damaged or has no such profile.
    """
    profiles = read_profiles()
    stored = profiles.get(chosen_name())
    if stored is None and _wanted["profile"]:
        known = ", ".join(sorted(profiles)) or "none"
        raise WrongUse(f"There is no context '{_wanted['profile']}'; stored are: {known}.")
    # A profile that was asked for by name goes before a key that lies in the environment.
    environment = {} if _wanted["profile"] else os.environ
    key = environment.get("REMPART_API_KEY") or (stored.key if stored else "")
    if not key:
        raise NotLoggedIn("No API key: run 'rempart login', or set REMPART_API_KEY.")
    return Profile(environment.get("REMPART_API_URL") or (stored.base_url if stored else DEFAULT_URL), key)


def save_profile(profile: Profile) -> Path:
    """Store a profile under the name in use, which becomes the current one."""
    name = chosen_name()
    try:
        profiles = read_profiles()
    except WrongUse:
        # A damaged file holds nothing that could be kept.
        profiles = {}
    return _write(name, {**profiles, name: profile})


def use_profile(name: str) -> None:
    """Make a stored profile the current one. Errors: NothingCalled when there is none of this name."""
    profiles = read_profiles()
    if name not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise NothingCalled(f"There is no context '{name}'; stored are: {known}.")
    _write(name, profiles)


def forget_profile() -> bool:
    """Remove the profile in use; with the last one the file goes."""
    name, profiles = chosen_name(), read_profiles()
    existed = profiles.pop(name, None) is not None
    if profiles:
        _write(next(iter(sorted(profiles))) if existed else name, profiles)
    else:
        config_path().unlink(missing_ok=True)
    return existed


def connect() -> Rempart:
    profile = load_profile()
    return Rempart(profile.key, profile.base_url, transport=_Told() if _wanted["is_debug"] else None)


class _Told(httpx.HTTPTransport):
    """Tells each request on standard error: method, address, status, time and request id; no header, no body."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        began = time.monotonic()
        print(f"> {request.method} {request.url}", file=sys.stderr)
        try:
            answer = super().handle_request(request)
        except httpx.TransportError as error:
            print(f"< {type(error).__name__}: {error}", file=sys.stderr)
            raise
        took = round((time.monotonic() - began) * 1000)
        print(
            f"< {answer.status_code} in {took} ms {answer.headers.get('x-request-id', '')}", file=sys.stderr
        )
        return answer


def _write(current: str, profiles: dict[str, Profile]) -> Path:
    """Write the file anew, in one step; nobody but its owner can read it at any moment."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    stored = {name: {"base_url": each.base_url, "key": each.key} for name, each in profiles.items()}
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"current": current, "profiles": stored}, file)
    draft.replace(path)
    return path


def _profiles(stored: dict[str, Any]) -> dict[str, Profile]:
    found = stored.get("profiles", {})
    if "key" in stored:
        # As a single key was stored before there were names.
        found = {DEFAULT_NAME: stored}
    try:
        return {str(name): Profile(str(each["base_url"]), str(each["key"])) for name, each in found.items()}
    except (AttributeError, KeyError, TypeError):
        raise _damaged() from None


def _read_file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise _damaged()
    return stored


def _damaged() -> WrongUse:
    return WrongUse("The stored key's file is damaged: run 'rempart login' again.")
