"""Simulated machines: Nodes that KWOK plays. No hardware, no pods that run; labelled and tainted as such."""

import hashlib
from collections.abc import Callable
from datetime import datetime

from operators.apis.v1alpha1 import ProviderKind
from operators.lib.client import KubernetesClient
from operators.lib.errors import AlreadyExists, Conflict
from operators.lib.objects import NODES, Obj, ObjectKey, is_deleting, uid_of
from operators.lib.store import Store
from operators.nodepool.domain import ANNOTATION_CLAIM_UID, MANAGER, MachineOrder
from operators.nodepool.providers.base import Machine, Terminal, Transient
from operators.nodepool.resources import build_fake_node

ID_PREFIX = "kwok://"


def seeded_latency_s(seed: int, claim_uid: str, latency_max_s: float) -> float:
    """A launch latency from 0 to `latency_max_s`, the same for the same seed and claim."""
    digest = hashlib.blake2b(f"{seed}/{claim_uid}".encode(), digest_size=8).digest()
    return latency_max_s * (int.from_bytes(digest, "big") / 2**64)


class KwokProvider:
    """Creates and deletes Nodes. State lives in the API server only."""

    kind = ProviderKind.KWOK
    is_simulated = True
    has_hosts = False

    def __init__(
        self,
        client: KubernetesClient,
        nodes: Store,
        now: Callable[[], datetime],
        *,
        seed: int = 0,
        latency_max_s: float = 0.0,
    ) -> None:
        self._client = client
        self._nodes = nodes
        self._now = now
        self._seed = seed
        self._latency_max_s = latency_max_s

    async def launch(self, order: MachineOrder, set_aside: frozenset[str]) -> Machine:
        """Create the Node once its seeded latency has passed. Errors: Transient, Terminal."""
        del set_aside  # A simulated machine has no host that could be bad.
        machine = Machine(order.claim_uid, order.node_name, f"{ID_PREFIX}{order.node_name}")
        node = self._nodes.find(order.node_name)
        if node is not None:
            await self._check(node, order)
            return machine
        latency_s = seeded_latency_s(self._seed, order.claim_uid, self._latency_max_s)
        left_s = latency_s - (self._now() - order.ordered_at).total_seconds()
        if left_s > 0:
            raise Transient("the simulated machine is still starting", left_s)
        try:
            created = await self._client.create(
                NODES, build_fake_node(order, machine.provider_id), manager=MANAGER
            )
        except AlreadyExists as err:
            raise Transient("a node of that name is there, the cache has not shown it yet", 0.2) from err
        self._nodes.observe_write(created)
        return machine

    async def _check(self, node: Obj, order: MachineOrder) -> None:
        uid = (node["metadata"].get("annotations") or {}).get(ANNOTATION_CLAIM_UID)
        if uid is None:
            raise Terminal(f"a node named {order.node_name} exists that no claim made")
        if is_deleting(node):
            raise Transient("the node of that name is being deleted", 1.0)
        if uid != order.claim_uid:
            # Left behind by an earlier claim of the same name that was removed by force.
            await self._client.delete(NODES, ObjectKey("", order.node_name), uid=uid_of(node))
            raise Transient("a node left behind by an earlier claim was removed", 0.2)

    async def release(self, machine: Machine) -> bool:
        """Delete the Node of this claim."""
        node = self._nodes.find(machine.node_name)
        if node is None:
            return True
        if (node["metadata"].get("annotations") or {}).get(ANNOTATION_CLAIM_UID) != machine.claim_uid:
            return True
        try:
            left = await self._client.delete(NODES, ObjectKey("", machine.node_name), uid=uid_of(node))
        except Conflict:
            # Another node has the name: ours is gone.
            return True
        if left is None:
            self._nodes.remove(node, "write")
        return left is None

    async def list_machines(self) -> tuple[Machine, ...]:
        """Every Node with our provider id."""
        found = []
        for node in self._nodes:
            provider_id = (node.get("spec") or {}).get("providerID") or ""
            uid = (node["metadata"].get("annotations") or {}).get(ANNOTATION_CLAIM_UID)
            if uid and provider_id.startswith(ID_PREFIX):
                found.append(Machine(uid, node["metadata"]["name"], provider_id))
        return tuple(found)
