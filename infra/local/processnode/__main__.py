"""`python -m infra.local.processnode`: be one host of the process provider."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from pathlib import Path

from infra.local.processnode.domain import HostOffer
from infra.local.processnode.program import HostBusy, LogKeys, ProcessNode, Settings

DEFAULT_HOST_ID = "local-1"

_PATHS = {
    "--kubeconfig": "KUBECONFIG",
    "--hosts-dir": "REMPART_PROCESS_HOSTS_DIR",
    "--state-dir": "REMPART_STATE_DIR",
    "--tls-cert": "REMPART_PROCESS_NODE_CERTIFICATE",
    "--tls-key": "REMPART_PROCESS_NODE_KEY",
    "--client-ca": "REMPART_PROCESS_NODE_CLIENT_AUTHORITY",
}
_REQUIRED = ("--kubeconfig", "--hosts-dir", "--state-dir")

MEMORY_SHARE_PERCENT = 75
"""What the host offers of the machine's memory: the rest is for the stack beside it."""


def read_settings(arguments: list[str]) -> Settings:
    """Read flags; each falls back to a variable that the local stack sets (README, "Starting it")."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.processnode", description=__doc__)
    for flag, variable in _PATHS.items():
        default = os.environ.get(variable)
        parser.add_argument(flag, type=Path, default=Path(default) if default else None, help=variable)
    parser.add_argument("--host-id", default=os.environ.get("REMPART_PROCESS_HOST_ID", DEFAULT_HOST_ID))
    parser.add_argument("--port", type=int, default=0, help="port of the log server (0: any)")
    parser.add_argument("--cpu-milli", type=int, default=len(os.sched_getaffinity(0)) * 1000)
    parser.add_argument("--memory-mib", type=int, default=_memory_mib() * MEMORY_SHARE_PERCENT // 100)
    options = parser.parse_args(arguments)
    for flag in _REQUIRED:
        if vars(options)[flag.strip("-").replace("-", "_")] is None:
            parser.error(f"{flag} or {_PATHS[flag]} is required")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", options.host_id):
        parser.error("--host-id is lower-case letters, digits and dashes, at most 63")
    keys = (options.tls_cert, options.tls_key, options.client_ca)
    if any(keys) and not all(keys):
        parser.error("--tls-cert, --tls-key and --client-ca go together")
    return Settings(
        kubeconfig=options.kubeconfig,
        hosts=options.hosts_dir.resolve(),
        state=options.state_dir.resolve(),
        offer=HostOffer(options.host_id, options.cpu_milli, options.memory_mib),
        log_keys=LogKeys(*keys) if all(keys) else None,
        port=options.port,
    )


def main() -> int:
    """Run the process node; 75 if another one serves this host."""
    settings = read_settings(sys.argv[1:])
    try:
        asyncio.run(ProcessNode(settings).run())
    except HostBusy as error:
        print(error, file=sys.stderr)
        return os.EX_TEMPFAIL
    return os.EX_OK


def _memory_mib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


if __name__ == "__main__":
    sys.exit(main())
