"""The process node as a whole: one host, its lock, its log server, and a node while the host is assigned."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import platform
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from aiohttp import web

from infra.local.processnode.api_client import ApiClient, open_client, read_kubeconfig
from infra.local.processnode.domain import Assignment, HostOffer
from infra.local.processnode.hosts import HostFolder
from infra.local.processnode.journal import log
from infra.local.processnode.leftovers import end_leftovers, read_boot_id
from infra.local.processnode.log_server import build_app, build_tls
from infra.local.processnode.node_agent import NodeAgent, pods_folder
from infra.local.processnode.node_rules import HostFacts
from infra.local.processnode.pod_users import find_obstacle
from infra.local.processnode.pod_worker import PodSurroundings, PodWorker
from infra.local.processnode.ports import PortBook
from infra.local.processnode.status_rules import HOST_ADDRESS

SOURCE_ROOT = Path(__file__).resolve().parents[3]
"""Where `infra` is importable from: the local images are modules of it."""

LOCK_RETRY_SECONDS = 0.1
LOCK_SECONDS_MAX = 3.0
"""How long an earlier run of the same host may take to let go."""


class HostBusy(Exception):
    """Another process node serves this host; the message names the state folder."""


@dataclass(frozen=True, slots=True)
class LogKeys:
    """What the log server proves itself with, and whose certificates it takes from clients."""

    certificate: Path
    key: Path
    client_authority: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What the program is started with. Without `log_keys` there is no log server."""

    kubeconfig: Path
    hosts: Path
    state: Path
    offer: HostOffer
    log_keys: LogKeys | None
    port: int


class ProcessNode:
    """Serves one host until told to stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._host = HostFolder(settings.hosts, settings.offer.host_id)
        self._registered = settings.state / "registered.json"
        self._agent: NodeAgent | None = None
        self._is_separated = False

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Errors: HostBusy, and OSError for files that cannot be read."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        for folder in (self._settings.state, pods_folder(self._settings.state)):
            folder.mkdir(parents=True, exist_ok=True)
            # Passed by each pod on the way to its own folder, and listed by none.
            folder.chmod(0o711)
        obstacle = await asyncio.to_thread(find_obstacle, SOURCE_ROOT)
        self._is_separated = not obstacle
        if obstacle:
            log("pods_not_separated", message=obstacle)
        with _lock(self._settings.state / "lock"):
            ended = end_leftovers(pods_folder(self._settings.state))
            log("process_node_started", host=self._settings.offer.host_id, leftovers_ended=ended)
            self._host.offer(self._settings.offer)
            async with open_client(read_kubeconfig(self._settings.kubeconfig)) as client:
                port = await self._serve_logs()
                serving = asyncio.create_task(self._serve(client, port))
                stop = asyncio.create_task(stopping.wait())
                await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
                stop.cancel()
                await self._end(serving)
        log("process_node_stopped")

    async def _serve(self, client: ApiClient, port: int) -> None:
        """Be the node that the assignment names, one assignment after the other."""
        folder = pods_folder(self._settings.state)
        shared = PodSurroundings(client, PortBook(), folder, SOURCE_ROOT, self._is_separated)
        facts = observe_facts()
        left_behind = self._find_registered()
        current: Assignment | None = None
        while True:
            current = self._host.find_assignment()
            if left_behind and (current is None or current.claim_uid != left_behind.claim_uid):
                await self._release(NodeAgent(left_behind, self._settings.offer, facts, port, shared))
            left_behind = None
            if current is None:
                await self._host.wait_for_change(None)
                continue
            self._remember(current)
            agent = self._agent = NodeAgent(current, self._settings.offer, facts, port, shared)
            running = asyncio.create_task(agent.run())
            try:
                await self._wait_for_other_claim(current)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            await self._release(agent)

    async def _wait_for_other_claim(self, current: Assignment) -> None:
        seen: Assignment | None = current
        while seen and (seen.claim_uid, seen.node_name) == (current.claim_uid, current.node_name):
            seen = await self._host.wait_for_change(seen)

    async def _release(self, agent: NodeAgent) -> None:
        self._agent = agent
        log("host_released", node=agent.assignment.node_name)
        await agent.release()
        self._registered.unlink(missing_ok=True)
        self._agent = None

    async def _end(self, serving: asyncio.Task[None]) -> None:
        if serving.done():
            serving.result()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        if self._agent:
            await self._agent.stop()

    async def _serve_logs(self) -> int:
        """Serve logs and return the port; 0 when there are no keys to serve them with."""
        keys = self._settings.log_keys
        if keys is None:
            log("log_server_absent", reason="no keys were given: kubectl logs does not reach this node")
            return 0
        runner = web.AppRunner(build_app(self._find_worker), access_log=None)
        await runner.setup()
        tls = build_tls(keys.certificate, keys.key, keys.client_authority)
        site = web.TCPSite(runner, HOST_ADDRESS, self._settings.port, ssl_context=tls)
        await site.start()
        address = runner.addresses[0]
        log("log_server_ready", port=address[1])
        return int(address[1])

    def _find_worker(self, namespace: str, name: str) -> PodWorker | None:
        return self._agent.find_worker(namespace, name) if self._agent else None

    def _remember(self, assignment: Assignment) -> None:
        """Write down which node is ours, so that a later run can release it even without its assignment."""
        part = self._registered.with_suffix(".part")
        part.write_text(json.dumps(asdict(assignment)))
        part.replace(self._registered)

    def _find_registered(self) -> Assignment | None:
        try:
            document = json.loads(self._registered.read_text())
            return Assignment(document["claim_uid"], document["node_name"], document["provider_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def observe_facts() -> HostFacts:
    """Ask the operating system who this machine is."""
    machine = Path("/etc/machine-id")
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    architectures = {"x86_64": "amd64", "aarch64": "arm64"}
    return HostFacts(
        machine_id=machine.read_text().strip() if machine.exists() else platform.node(),
        boot_id=read_boot_id(),
        kernel_version=platform.release(),
        os_image=release.get("PRETTY_NAME", "Linux"),
        architecture=architectures.get(platform.machine(), platform.machine()),
    )


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the host for this run alone; the kernel lets go of it whatever happens to us."""
    deadline = asyncio.get_running_loop().time() + LOCK_SECONDS_MAX
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise HostBusy(f"another process node uses {path.parent}") from error
                time.sleep(LOCK_RETRY_SECONDS)
        yield
    finally:
        os.close(descriptor)
