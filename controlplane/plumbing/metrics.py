"""What every program counts for Prometheus, and the port where it is read.

RED for what serves requests (rate, errors, duration by operation), deliveries for what works in the background.
Labels come from fixed sets (operation ids, consumers, outcomes): no tenant's text becomes a label, so that nobody can
fill the memory of a program by inventing names.
"""

from __future__ import annotations

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server

# Seconds; from what a read takes to what a timeout is.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS = Counter(
    "rempart_http_requests", "Requests answered, by operation and status.", ["program", "operation", "status"]
)
REQUEST_SECONDS = Histogram(
    "rempart_http_request_seconds",
    "Seconds from a request's first byte to its answer's last.",
    ["program", "operation"],
    buckets=_BUCKETS,
)
REFUSALS = Counter(
    "rempart_http_refusals",
    "Requests refused for who asked or how often (401, 403, 429), by operation and code of the problem.",
    ["program", "operation", "code"],
)
FAILED_AUTHENTICATIONS = Counter(
    "rempart_failed_authentications",
    "Requests without a key that is in force (401), by route and reason.",
    ["program", "route", "reason"],
)
DELIVERIES = Counter(
    "rempart_deliveries", "Deliveries of outbox events that were run, by outcome.", ["consumer", "outcome"]
)
DELIVERY_SECONDS = Histogram(
    "rempart_delivery_seconds", "Seconds that one delivery ran.", ["consumer"], buckets=_BUCKETS
)
LOOP_SUCCEEDED = Gauge(
    "rempart_loop_succeeded_timestamp_seconds", "When a loop of this program last did its work.", ["loop"]
)


def loop_succeeded(loop: str) -> None:
    """A loop of this program came round and did its work."""
    LOOP_SUCCEEDED.labels(loop).set_to_current_time()


def serve_metrics(port: int, host: str) -> None:
    """Serve this process's metrics at `http://host:port/metrics` from a thread of its own; port 0: do not.

    Errors: OSError when the port is taken.
    """
    if port:
        start_http_server(port, addr=host, registry=REGISTRY)
