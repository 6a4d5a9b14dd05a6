"""The caches that the claim's controller and its teardown read."""

from collections.abc import Iterable
from dataclasses import dataclass

from operators.lib.objects import Obj, ObjectKey, labels_of, uid_of
from operators.lib.store import Change, Store
from operators.nodepool.domain import ANNOTATION_CLAIM_UID, LABEL_NODE_CLAIM, Order, PodFacts
from operators.nodepool.drain_rules import BudgetFacts
from operators.nodepool.order_rules import order_of
from operators.nodepool.resources import acceptance_name
from operators.nodepool.views import budget_facts, pod_facts

NODE_INDEX = "node"
POOL_INDEX = "pool"


@dataclass(frozen=True, slots=True)
class Caches:
    """Stores of one manager. `pods` are slim, indexed by NODE_INDEX; acceptance runs are in `acceptances`."""

    pools: Store
    claims: Store
    nodes: Store
    acceptances: Store
    pods: Store
    budgets: Store
    quarantines: Store
    system_namespace: str

    def pods_on(self, node: str) -> list[PodFacts]:
        """Facts of the pods bound to a node."""
        return [pod_facts(pod) for pod in self.pods.by_index(NODE_INDEX, node)]

    def budget_facts(self) -> Iterable[BudgetFacts]:
        """Every disruption budget of the cell."""
        return (budget_facts(budget) for budget in self.budgets)

    def hosts_set_aside(self, provider: str, pool: str = "") -> frozenset[str]:
        """Provider ids of hosts that failed their checks, of one pool or of all."""
        return frozenset(
            record["spec"]["providerID"]
            for record in self.quarantines
            if record["spec"]["provider"]["kind"] == provider and pool in ("", record["spec"]["pool"])
        )

    def own_node(self, claim: Obj) -> Obj | None:
        """The Node that was made for this very claim."""
        node = self.nodes.find(claim["metadata"]["name"])
        if node is None:
            return None
        annotations = node["metadata"].get("annotations") or {}
        return node if annotations.get(ANNOTATION_CLAIM_UID) == uid_of(claim) else None

    def acceptance(self, claim: str) -> Obj | None:
        """The claim's acceptance pod."""
        return self.acceptances.find(acceptance_name(claim), self.system_namespace)

    def claims_of(self, pool: str) -> list[Obj]:
        """Every claim that names the pool."""
        return self.claims.by_index(POOL_INDEX, pool)

    def pool_of(self, claim: Obj) -> Obj | None:
        """The pool that the claim names."""
        return self.pools.find(claim["spec"]["poolRef"])

    def order_of(self, claim: Obj) -> Order | None:
        """What is asked for this very machine."""
        pool = self.pool_of(claim)
        return None if pool is None else order_of(claim, pool)

    def keys_of_orders(self, change: Change) -> Iterable[ObjectKey]:
        """A pool wakes the claims that it newly says something of."""
        old, new = (
            {
                each["claim"]: each
                for each in (pool["spec"].get("nodeOrders") or [] if pool is not None else [])
            }
            for pool in (change.old, change.new)
        )
        return [
            ObjectKey("", name) for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)
        ]

    def drain_timeout_s(self, claim: str, default_s: float) -> float:
        """How long disruption budgets hold up the drain of this claim's node: its pool says."""
        found = self.claims.find(claim)
        pool = self.pool_of(found) if found is not None else None
        value = pool["spec"].get("drainTimeoutSeconds") if pool is not None else None
        return default_s if value is None else float(value)

    def keys_of_node(self, change: Change) -> Iterable[ObjectKey]:
        """A node wakes the claim of its name."""
        key = ObjectKey("", change.key.name)
        return (key,) if self.claims.get(key) is not None else ()

    def keys_of_acceptance(self, change: Change) -> Iterable[ObjectKey]:
        """An acceptance pod wakes its claim."""
        pod = change.new or change.old
        assert pod is not None
        name = labels_of(pod).get(LABEL_NODE_CLAIM)
        return (ObjectKey("", name),) if name else ()

    def keys_of_pod(self, change: Change) -> Iterable[ObjectKey]:
        """A pod wakes the claim of its node while that is drained, or waits for its work to end."""
        keys = []
        for pod in (change.old, change.new):
            name = pod["spec"]["nodeName"] if pod is not None else ""
            claim = self.claims.find(name) if name else None
            if claim is None:
                continue
            phase = (claim.get("status") or {}).get("phase")
            order = self.order_of(claim)
            is_drained = order is not None and order.action == "drain"
            if claim["metadata"].get("deletionTimestamp") or phase == "Validating" or is_drained:
                keys.append(ObjectKey("", name))
        return keys
