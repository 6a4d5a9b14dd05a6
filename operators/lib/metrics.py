"""What the runtime counts. One registry per process, read by the health server."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class Metrics:
    """Counters of one operator process; a test makes its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.api_requests = Counter(
            "rempart_operator_api_requests", "Requests to the API server.", ["verb", "resource", "code"],
            registry=self.registry,
        )  # fmt: skip
        self.api_writes = Counter(
            "rempart_operator_api_writes", "Requests that may change an object.", ["verb", "resource"],
            registry=self.registry,
        )  # fmt: skip
        self.api_skipped = Counter(
            "rempart_operator_api_writes_skipped", "Writes left out: nothing had changed.", ["resource"],
            registry=self.registry,
        )  # fmt: skip
        self.reconciles = Counter(
            "rempart_operator_reconciles", "Reconciles by outcome.", ["controller", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self.reconcile_seconds = Histogram(
            "rempart_operator_reconcile_seconds", "Duration of a reconcile.", ["controller"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.queue_depth = Gauge(
            "rempart_operator_queue_depth", "Keys that wait.", ["controller"], registry=self.registry
        )
        self.relists = Counter(
            "rempart_operator_relists",
            "Full lists, with why.",
            ["resource", "reason"],
            registry=self.registry,
        )
        self.usage_shipped = Counter(
            "rempart_operator_usage_shipped", "Lines of a usage spool that the control plane settled.", ["spool"],
            registry=self.registry,
        )  # fmt: skip
        self.usage_set_aside = Counter(
            "rempart_operator_usage_set_aside", "Of them, lines that it refused: somebody must look.", ["spool"],
            registry=self.registry,
        )  # fmt: skip
        self.usage_not_taken = Counter(
            "rempart_operator_usage_not_taken", "Batches that have to be sent again.", ["spool"],
            registry=self.registry,
        )  # fmt: skip
        self.events = Counter(
            "rempart_operator_events", "Kubernetes Events by what became of them.", ["outcome"],
            registry=self.registry,
        )  # fmt: skip
        self.spool_damage = Counter(
            "rempart_operator_spool_damage", "Lines and segments of a spool found damaged when it was opened.",
            ["spool"], registry=self.registry,
        )  # fmt: skip
        self.is_spool_open = Gauge(
            "rempart_operator_spool_open", "1 while this process can record what it meters.", ["spool"],
            registry=self.registry,
        )  # fmt: skip
        self.is_leader = Gauge(
            "rempart_operator_leader", "1 while this process leads.", registry=self.registry
        )

    def writes_total(self, *, has_events: bool = True) -> float:
        """Requests that may have changed an object, over all kinds but Lease (a heartbeat by nature).

        Without Events (news, written apart at a rate of their own) where the cost of a reconcile is asked for.
        """
        left_out = {"leases"} if has_events else {"leases", "events"}
        return sum(
            sample.value
            for metric in self.api_writes.collect()
            for sample in metric.samples
            if sample.name.endswith("_total") and sample.labels["resource"] not in left_out
        )
