"""Process hosts: machines of the local stack that run pods as local processes.

The two files of a host are the whole interface (docs/contracts.md, "Process hosts"): the node program
writes `host.json`, this provider writes and removes `assignment.json`.
"""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from operators.apis.v1alpha1 import ProviderKind
from operators.lib.store import Store
from operators.nodepool.domain import ANNOTATION_CLAIM_UID, MachineOrder
from operators.nodepool.providers.base import Machine, NoCapacity, Transient, Unsupported
from operators.nodepool.resources import wire_taint

ID_PREFIX = "process://"
HOSTS_MAX = 64
FILE_BYTES_MAX = 64 * 1024
RETRY_AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class Host:
    """One host's folder as it is now."""

    folder: Path
    host_id: str
    cpu_milli: int
    memory_mib: int
    assignment: dict[str, Any] | None

    @property
    def machine(self) -> Machine | None:
        """The machine that the host is held as, if it is."""
        if self.assignment is None:
            return None
        return Machine(
            str(self.assignment.get("claimUid", "")),
            str(self.assignment.get("nodeName", "")),
            f"{ID_PREFIX}{self.host_id}",
        )


class ProcessProvider:
    """Gives hosts of one folder to claims. Without a folder it supports nothing and says so."""

    kind = ProviderKind.PROCESS
    is_simulated = False
    has_hosts = True

    def __init__(self, hosts_dir: Path | None, nodes: Store) -> None:
        self._hosts_dir = hosts_dir
        self._nodes = nodes

    async def launch(self, order: MachineOrder, set_aside: frozenset[str]) -> Machine:
        """Assign a free host that is large enough. Errors: NoCapacity, Transient, Unsupported."""
        if self._hosts_dir is None:
            raise Unsupported("provider process needs REMPART_PROCESS_HOSTS_DIR")
        if order.gpus:
            raise Unsupported("a process host has no GPU")
        return await asyncio.to_thread(_assign, self._hosts_dir, order, set_aside)

    async def release(self, machine: Machine) -> bool:
        """Take the assignment away, then wait until the node program has removed the Node."""
        if self._hosts_dir is not None:
            await asyncio.to_thread(_unassign, self._hosts_dir, machine.claim_uid)
        node = self._nodes.find(machine.node_name)
        annotations = (node["metadata"].get("annotations") or {}) if node is not None else {}
        return annotations.get(ANNOTATION_CLAIM_UID) != machine.claim_uid

    async def list_machines(self) -> tuple[Machine, ...]:
        """Every host that is assigned."""
        if self._hosts_dir is None:
            return ()
        hosts = await asyncio.to_thread(read_hosts, self._hosts_dir)
        return tuple(host.machine for host in hosts if host.machine is not None)


def read_hosts(hosts_dir: Path) -> list[Host]:
    """The hosts in name order; a folder without a readable host.json offers nothing."""
    if not hosts_dir.is_dir():
        return []
    hosts = []
    for folder in sorted(path for path in hosts_dir.iterdir() if path.is_dir())[:HOSTS_MAX]:
        facts = _read(folder / "host.json")
        if facts is None or not isinstance(facts.get("hostId"), str):
            continue
        cpu_milli, memory_mib = facts.get("cpuMilli"), facts.get("memoryMiB")
        if isinstance(cpu_milli, int) and isinstance(memory_mib, int):
            assigned = _read(folder / "assignment.json")
            if assigned is None and (folder / "assignment.json").exists():
                # Unreadable is not free: somebody may be running there.
                assigned = {}
            hosts.append(Host(folder, facts["hostId"], cpu_milli, memory_mib, assigned))
    return hosts


def _read(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return None
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return document if isinstance(document, dict) else None


def _assign(hosts_dir: Path, order: MachineOrder, set_aside: frozenset[str]) -> Machine:
    hosts = read_hosts(hosts_dir)
    for host in hosts:
        if host.machine is not None and host.machine.claim_uid == order.claim_uid:
            return host.machine
    fitting = [
        host
        for host in hosts
        if host.assignment is None
        and host.cpu_milli >= order.cpu_milli
        and host.memory_mib >= order.memory_mib
    ]
    for host in fitting:
        if f"{ID_PREFIX}{host.host_id}" not in set_aside:
            return _write(host, order)
    aside = f"; {len(fitting)} failed their checks and are set aside (kubectl get hq)" if fitting else ""
    raise NoCapacity(f"no process host is free that is large enough{aside}", RETRY_AFTER_S)


def _write(host: Host, order: MachineOrder) -> Machine:
    provider_id = f"{ID_PREFIX}{host.host_id}"
    document = {
        "claimUid": order.claim_uid,
        "nodeName": order.node_name,
        "labels": dict(order.labels),
        "taints": [wire_taint(taint) for taint in order.taints],
        "providerID": provider_id,
    }
    handle, name = tempfile.mkstemp(prefix=".assignment-", dir=host.folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole like a rename, but never over another claim's assignment.
        os.link(name, host.folder / "assignment.json")
    except FileExistsError as err:
        raise Transient("the host was given to another claim meanwhile", 0.1) from err
    finally:
        Path(name).unlink(missing_ok=True)
    return Machine(order.claim_uid, order.node_name, provider_id)


def _unassign(hosts_dir: Path, claim_uid: str) -> None:
    for host in read_hosts(hosts_dir):
        if host.machine is not None and host.machine.claim_uid == claim_uid:
            (host.folder / "assignment.json").unlink(missing_ok=True)
