"""Settings of the operator process, read once from the environment (docs/contracts.md)."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM_NAMESPACE = "rempart-system"


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What the process was told at its start. Empty text or None = not set."""

    environment: str
    kubeconfig: str
    state_dir: Path
    process_hosts_dir: Path | None
    redis_url: str
    identity: str
    namespace: str
    cell: str
    health_host: str
    health_port: int
    qps: float
    workers: int
    is_leader_election_on: bool
    # Where acceptance runs of nodes happen.
    system_namespace: str
    # Where allocations are shipped to; without an address they stay in the spool.
    ingest_url: str = ""
    ingest_key: str = field(repr=False, default="")
    ingest_key_file: Path | None = None


class InvalidSettings(ValueError):
    """An environment variable has a value that cannot be used."""


def _whole(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name, "") or str(default)
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise InvalidSettings(f"{name} must be a whole number from {low} to {high}")
    return int(text)


def read_settings(environ: Mapping[str, str] | None = None) -> OperatorSettings:
    """The settings of this process. Errors: InvalidSettings names the variable, never its value."""
    environ = os.environ if environ is None else environ
    hosts = environ.get("REMPART_PROCESS_HOSTS_DIR", "")
    key_file = environ.get("REMPART_INGEST_KEY_FILE", "")
    environment = environ.get("REMPART_ENVIRONMENT", "") or "production"
    if environment not in ("local", "production"):
        raise InvalidSettings("REMPART_ENVIRONMENT must be local or production")
    election = environ.get("REMPART_OPERATOR_LEADER_ELECTION", "") or "true"
    if election not in ("true", "false"):
        raise InvalidSettings("REMPART_OPERATOR_LEADER_ELECTION must be true or false")
    return OperatorSettings(
        environment=environment,
        kubeconfig=environ.get("KUBECONFIG", ""),
        state_dir=Path(environ.get("REMPART_STATE_DIR", "") or "state"),
        process_hosts_dir=Path(hosts) if hosts else None,
        redis_url=environ.get("REDIS_URL", ""),
        identity=environ.get("POD_NAME", "") or f"{socket.gethostname()}-{os.getpid()}",
        namespace=environ.get("POD_NAMESPACE", "") or SYSTEM_NAMESPACE,
        cell=environ.get("REMPART_CELL", "") or "local",
        health_host=environ.get("REMPART_OPERATOR_HEALTH_HOST", "") or "127.0.0.1",
        health_port=_whole(environ, "REMPART_OPERATOR_HEALTH_PORT", 0, 0, 65_535),
        # 300 writes/s is half of what one API server on two cores was measured to take.
        qps=float(_whole(environ, "REMPART_OPERATOR_QPS", 300, 1, 10_000)),
        workers=_whole(environ, "REMPART_OPERATOR_WORKERS", 16, 1, 256),
        is_leader_election_on=election == "true",
        system_namespace=environ.get("REMPART_SYSTEM_NAMESPACE", "") or SYSTEM_NAMESPACE,
        ingest_url=environ.get("REMPART_INGEST_URL", ""),
        ingest_key=environ.get("REMPART_INGEST_KEY", ""),
        ingest_key_file=Path(key_file) if key_file else None,
    )
