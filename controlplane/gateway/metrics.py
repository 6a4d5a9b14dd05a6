"""What the gateway process counts, for Prometheus: one registry a process, read at /metrics of its inner port."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """Counters of one process; a test makes its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.usage_shipped = Counter(
            "rempart_gateway_usage_shipped", "Usage events that the ingest settled.", registry=self.registry
        )
        self.usage_set_aside = Counter(
            "rempart_gateway_usage_set_aside", "Of them, events that it refused: somebody must look.",
            registry=self.registry,
        )  # fmt: skip
        self.usage_not_taken = Counter(
            "rempart_gateway_usage_not_taken", "Batches of usage that have to be sent again.",
            registry=self.registry,
        )  # fmt: skip
        self.spool_damage = Counter(
            "rempart_gateway_spool_damage", "Lines and segments of the usage spool found damaged at a start.",
            registry=self.registry,
        )  # fmt: skip
        self.usage_unknown = Counter(
            "rempart_gateway_usage_unknown", "Calls that began and of whose end nothing is known.",
            registry=self.registry,
        )  # fmt: skip
        self.calls_open = Gauge(
            "rempart_gateway_calls_open", "Calls that began and have no end yet.", registry=self.registry
        )
        self.is_recording = Gauge(
            "rempart_gateway_recording", "1 while there is room to record usage; at 0 calls are refused.",
            registry=self.registry,
        )  # fmt: skip
        self.rows_dropped = Gauge(
            "rempart_gateway_snapshot_rows_dropped", "Rows of the last snapshots that could not be taken: not live.",
            registry=self.registry,
        )  # fmt: skip
        self.snapshots_refused = Gauge(
            "rempart_gateway_snapshots_refused", "Snapshots that are refused whole: the one before is in force.",
            registry=self.registry,
        )  # fmt: skip
        self.is_redis_connected = Gauge(
            "rempart_gateway_redis_connected", "1 while snapshots and budgets are followed.",
            registry=self.registry,
        )  # fmt: skip
        self.refusals = Counter(
            "rempart_gateway_refusals", "Calls refused for who asked or how often, by the code answered.",
            ["code"], registry=self.registry,
        )  # fmt: skip
