"""What the node-pool operator counts: the fleet as it is now, and what happened to it."""

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from operators.lib.store import Store

# From a simulated node's seconds to a machine that boots for half an hour.
_TIME_TO_READY_S = (1, 5, 15, 60, 180, 300, 600, 900, 1200, 1800, 3600)


class NodePoolMetrics:
    """Counters of one process. Register once per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.ready_seconds = Histogram(
            "rempart_nodepool_time_to_ready_seconds", "From the claim's creation to its acceptance.", ["pool"],
            buckets=_TIME_TO_READY_S, registry=registry,
        )  # fmt: skip
        self.acceptances = Counter(
            "rempart_nodepool_acceptance_runs", "Acceptance runs by result.", ["pool", "result"],
            registry=registry,
        )  # fmt: skip
        self.drains = Counter(
            "rempart_nodepool_drains", "Drains that started, and machines that were given back.", ["step"],
            registry=registry,
        )  # fmt: skip
        self.refused_evictions = Counter(
            "rempart_nodepool_refused_evictions", "Evictions that were refused, by HTTP status.", ["status"],
            registry=registry,
        )  # fmt: skip
        self.repaired_statuses = Counter(
            "rempart_nodepool_repaired_statuses", "Statuses of claims that contradicted what is.",
            registry=registry,
        )  # fmt: skip
        self.replaced = Counter(
            "rempart_nodepool_replaced_claims", "Claims deleted to be made again, by why.", ["pool", "why"],
            registry=registry,
        )  # fmt: skip

    def watch_fleet(self, pools: Store, claims: Store, quarantines: Store) -> None:
        """Show what these caches hold, counted when somebody asks."""
        self.registry.register(_Fleet(pools, claims, quarantines))


class _Fleet(Collector):
    def __init__(self, pools: Store, claims: Store, quarantines: Store) -> None:
        self._pools = pools
        self._claims = claims
        self._quarantines = quarantines

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        nodes = GaugeMetricFamily(
            "rempart_nodepool_nodes", "Node claims by pool and phase.", labels=["pool", "phase"]
        )
        usable = GaugeMetricFamily(
            "rempart_nodepool_usable_nodes", "Nodes that take tenants' pods.", labels=["pool"]
        )
        wanted = GaugeMetricFamily("rempart_nodepool_wanted_nodes", "spec.replicas.", labels=["pool"])
        conditions = GaugeMetricFamily(
            "rempart_nodepool_condition",
            "1 for the status that each condition of a pool has.",
            labels=["pool", "condition", "status", "reason"],
        )
        tally = Tally(
            (claim["spec"]["poolRef"], (claim.get("status") or {}).get("phase") or "Pending")
            for claim in self._claims
        )
        for (pool, phase), count in sorted(tally.items()):
            nodes.add_metric([pool, phase], count)
        for item in self._pools:
            name, status = item["metadata"]["name"], item.get("status") or {}
            wanted.add_metric([name], item["spec"]["replicas"])
            usable.add_metric([name], status.get("readyReplicas") or 0)
            for condition in status.get("conditions") or []:
                conditions.add_metric([name, condition["type"], condition["status"], condition["reason"]], 1)
        hosts = GaugeMetricFamily(
            "rempart_nodepool_hosts_set_aside", "Hosts that failed their checks.", labels=["pool"]
        )
        for pool, count in sorted(Tally(record["spec"]["pool"] for record in self._quarantines).items()):
            hosts.add_metric([pool], count)
        return (nodes, usable, wanted, conditions, hosts)
