"""One registered node: its object, its lease, its pods; from an assignment until that is taken away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.local.processnode.api_client import (
    MERGE,
    RETRY_FIRST_SECONDS,
    RETRY_MOST_SECONDS,
    ApiClient,
    ApiError,
    Json,
)
from infra.local.processnode.domain import Assignment, HostOffer
from infra.local.processnode.journal import log
from infra.local.processnode.node_rules import (
    HostFacts,
    build_lease,
    build_node,
    build_node_status,
    format_micro_time,
    is_node_ready,
)
from infra.local.processnode.pod_worker import Ending, PodSurroundings, PodWorker

LEASE_RENEW_SECONDS = 10
"""Kubelet's default: a quarter of the lease."""

HEARTBEAT_SECONDS = 300
"""Kubelet's default for a status in which nothing changed; the lease says that the node lives."""

RELEASE_SECONDS_MAX = 120
"""How long pods may take to leave before the node is removed without them."""

WORKER_RETRY_SECONDS = 5.0
"""A pod whose worker failed on something nobody foresaw is taken up again; if it is gone, that ends at once."""

FAREWELL_SECONDS_MAX = 2.0
"""The last word to the API server when this program stops; it may be stopping too."""

NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class NodeTaken(Exception):
    """A Node of this name exists and belongs to another host; the message names both."""


class NodeAgent:
    """Registers one node and runs what is bound to it."""

    def __init__(
        self, assignment: Assignment, offer: HostOffer, facts: HostFacts, port: int, shared: PodSurroundings
    ) -> None:
        self.assignment = assignment
        self.workers: dict[str, PodWorker] = {}
        self._offer = offer
        self._facts = facts
        self._port = port
        self._shared = shared
        self._client: ApiClient = shared.client
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._path = f"{NODES}/{assignment.node_name}"

    async def run(self) -> None:
        """Register and serve until cancelled. Never raises for a server that is down."""
        node = await self._register_patiently()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_alive(node))
                group.create_task(self._follow_pods())
        finally:
            log("node_left", node=self.assignment.node_name, pods=len(self._tasks))

    async def stop(self) -> None:
        """Stop every process, leave the objects: this program will be back, or somebody else will notice."""
        for worker in self.workers.values():
            worker.end(Ending.SHUTDOWN)
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        with contextlib.suppress(ApiError, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS_MAX):
                node = await self._client.get(self._path)
                await self._patch_status(node, is_ready=False)

    async def release(self) -> None:
        """Evict every pod, wait for them within a bound, and remove the Node and its lease."""
        following = asyncio.create_task(self._follow_pods())
        try:
            async with asyncio.timeout(RELEASE_SECONDS_MAX):
                await self._evict()
        except TimeoutError:
            log("release_cut", node=self.assignment.node_name, pods=len(self.workers))
        finally:
            following.cancel()
        await self._end_workers()
        await self._delete_patiently(self._path)
        await self._delete_patiently(f"{LEASES}/{self.assignment.node_name}")
        log("node_removed", node=self.assignment.node_name)

    def find_worker(self, namespace: str, name: str) -> PodWorker | None:
        """Find a pod of this node by its name."""
        for worker in self.workers.values():
            if (worker.namespace, worker.name) == (namespace, name):
                return worker
        return None

    async def _register_patiently(self) -> Mapping[str, Any]:
        delay = RETRY_FIRST_SECONDS
        while True:
            try:
                return await self._register()
            except (ApiError, NodeTaken) as error:
                log("register_delayed", node=self.assignment.node_name, error=str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MOST_SECONDS)

    async def _register(self) -> Mapping[str, Any]:
        """Create the Node, or take up the one we registered before. Errors: ApiError, NodeTaken."""
        now = datetime.now(UTC)
        wanted = build_node(self.assignment, self._offer, self._facts, self._port, now)
        try:
            node = await self._client.create(NODES, wanted)
        except ApiError as error:
            if error.status != 409:
                raise
            node = await self._client.get(self._path)
            owner = node["spec"].get("providerID", "")
            if owner != self.assignment.provider_id:
                raise NodeTaken(f"{self.assignment.node_name} belongs to {owner or 'nobody'}") from error
            # Labels are asserted again; taints are not: those were perhaps lifted since.
            await self._client.patch(
                self._path, {"metadata": {"labels": wanted["metadata"]["labels"]}}, MERGE
            )
            node = await self._patch_status(node)
        await self._renew(node)
        log("node_registered", node=self.assignment.node_name, provider_id=self.assignment.provider_id)
        return node

    async def _keep_alive(self, node: Mapping[str, Any]) -> None:
        """Renew the lease; now and then the status; register again if somebody deleted the Node."""
        beat_at = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(LEASE_RENEW_SECONDS)
            try:
                node = await self._client.get(self._path)
                await self._renew(node)
                is_due = asyncio.get_running_loop().time() - beat_at >= HEARTBEAT_SECONDS
                if is_due or not is_node_ready(node.get("status", {})):
                    await self._patch_status(node)
                    beat_at = asyncio.get_running_loop().time()
            except ApiError as error:
                log("node_beat_failed", node=self.assignment.node_name, error=str(error))
                if error.status == 404:
                    node = await self._register_patiently()

    async def _renew(self, node: Mapping[str, Any]) -> None:
        now = datetime.now(UTC)
        renewal = {"spec": {"renewTime": format_micro_time(now)}}
        try:
            await self._client.patch(f"{LEASES}/{self.assignment.node_name}", renewal, MERGE)
        except ApiError as error:
            if error.status != 404:
                raise
            await self._client.create(LEASES, build_lease(node, now))

    async def _patch_status(self, node: Mapping[str, Any], *, is_ready: bool = True) -> Json:
        now = datetime.now(UTC)
        before = node.get("status", {})
        status = build_node_status(before, self._offer, self._facts, self._port, now, is_ready=is_ready)
        return await self._client.patch(f"{self._path}/status", {"status": status})

    async def _follow_pods(self) -> None:
        selector = f"spec.nodeName={self.assignment.node_name}"
        async for kind, item in self._client.follow("/api/v1/pods", selector):
            if kind == "SYNC":
                self._sync(item)
            elif kind == "DELETED":
                self._forget(item["metadata"]["uid"])
            else:
                self._observe(item)

    def _sync(self, pods: list[Mapping[str, Any]]) -> None:
        """Take a whole list: what is not in it is gone."""
        for uid in set(self.workers) - {pod["metadata"]["uid"] for pod in pods}:
            self._forget(uid)
        for pod in pods:
            self._observe(pod)

    def _observe(self, pod: Mapping[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self.workers:
            self.workers[uid].observe(pod)
            return
        worker = self.workers[uid] = PodWorker(pod, self._shared)
        task = self._tasks[uid] = asyncio.create_task(worker.run())
        task.add_done_callback(lambda done, uid=uid: self._observe_end(uid, done))  # type: ignore[misc]

    def _forget(self, uid: str) -> None:
        if uid in self.workers:
            self.workers[uid].end(Ending.VANISHED)

    def _observe_end(self, uid: str, task: asyncio.Task[None]) -> None:
        worker = self.workers.pop(uid)
        self._tasks.pop(uid, None)
        if not task.cancelled() and (error := task.exception()):
            log("pod_worker_failed", uid=uid, error=repr(error))
            asyncio.get_running_loop().call_later(WORKER_RETRY_SECONDS, self._observe, worker.pod)

    async def _evict(self) -> None:
        """Delete the pods of this node and wait until their processes have ended."""
        delay = RETRY_FIRST_SECONDS
        while True:
            try:
                listed = await self._client.get(
                    f"/api/v1/pods?fieldSelector=spec.nodeName={self.assignment.node_name}"
                )
                if not listed["items"]:
                    break
                for pod in listed["items"]:
                    metadata = pod["metadata"]
                    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
                    if not metadata.get("deletionTimestamp"):
                        await self._client.delete(path, uid=metadata["uid"])
            except ApiError as error:
                log("evict_delayed", node=self.assignment.node_name, error=str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, 1.0)

    async def _end_workers(self) -> None:
        for worker in self.workers.values():
            worker.end(Ending.VANISHED)
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def _delete_patiently(self, path: str) -> None:
        delay = RETRY_FIRST_SECONDS
        while True:
            try:
                await self._client.delete(path)
                return
            except ApiError as error:
                log("delete_delayed", path=path, error=str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MOST_SECONDS)


def pods_folder(state: Path) -> Path:
    """Return where the pods of this node keep their files."""
    return state / "pods"
