"""Pure decisions about the stack's addresses: role URLs, the environment file, what in a shell is our own."""

import shlex
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit


def derive_role_url(owner_url: str, role: str) -> str:
    """The same database as another role, without a password: migrations give our roles none."""
    parts = urlsplit(owner_url)
    host = parts.netloc.rpartition("@")[2]
    # urlunsplit drops an empty host; libpq needs `user@` before the path.
    rest = urlunsplit(("", "", parts.path, parts.query, ""))
    return f"{parts.scheme}://{role}@{host}{rest}"


def build_env_file(variables: Mapping[str, str]) -> str:
    """Shell lines, quoted: `set -a; . build/local/env; set +a` takes them over."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())


def read_env_file(text: str) -> dict[str, str]:
    """What `build_env_file` wrote."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def drop_own(environment: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The environment without those values that are this stack's own addresses.

    A shell that took over `build/local/env` has DATABASE_URL and its like set; they must not make the next
    start believe that somebody else runs our database.
    """
    return {name: value for name, value in environment.items() if own.get(name) != value}
