"""The operators can be scraped, and each of their alerts asks for a metric, and a label, that exists."""

import re

import pytest
from prometheus_client import CollectorRegistry

from operators.lib.metrics import Metrics
from operators.lib.objects import GPU_NODE_POOLS, HOST_QUARANTINES, NODE_CLAIMS, Obj
from operators.lib.store import Store
from operators.nodepool.metrics import NodePoolMetrics
from tests.operators.chart.charts import FULL, Helm, containers_of, is_selected, of_kind, workloads


def fleet() -> tuple[Store, Store, Store]:
    pools, claims, quarantines = Store(GPU_NODE_POOLS), Store(NODE_CLAIMS), Store(HOST_QUARANTINES)
    condition = {"type": "Degraded", "status": "True", "reason": "RepairHeld"}
    meta = {"uid": "1", "resourceVersion": "1"}
    pools.upsert(
        {
            "metadata": {"name": "p", **meta},
            "spec": {"replicas": 3},
            "status": {"readyReplicas": 1, "conditions": [condition]},
        }
    )
    for number, phase in enumerate(("Ready", "Ready", "")):
        status: Obj = {"phase": phase} if phase else {}
        claim = {"metadata": {"name": f"p-{number}", **meta}, "spec": {"poolRef": "p"}, "status": status}
        claims.upsert(claim)
    quarantines.upsert({"metadata": {"name": "h", **meta}, "spec": {"pool": "p"}})
    return pools, claims, quarantines


def served() -> dict[str, set[str]]:
    """Names of what is served, with their labels, asked of a registry that has everything."""
    metrics = Metrics()
    counted = NodePoolMetrics(metrics.registry)
    counted.watch_fleet(*fleet())
    # A metric with labels shows them once it has counted something.
    counted.refused_evictions.labels("429").inc()
    metrics.reconciles.labels("c", "defect").inc()
    metrics.relists.labels("nodes", "rewound").inc()
    found: dict[str, set[str]] = {}
    for metric in metrics.registry.collect():
        for sample in metric.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.case("F21")
def test_the_operators_can_be_scraped_and_each_alert_asks_for_what_is_served(helm: Helm) -> None:
    objects = helm.objects("operators", FULL["operators"])
    (monitor,) = of_kind(objects, "PodMonitor")
    (workload,) = workloads(objects).values()
    assert is_selected(monitor["spec"]["selector"], workload["spec"]["template"]["metadata"]["labels"])
    ports = {port["name"] for container in containers_of(workload) for port in container.get("ports", [])}
    assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports
    (rule,) = of_kind(objects, "PrometheusRule")
    known = served()
    alerts = [alert for group in rule["spec"]["groups"] for alert in group["rules"]]
    assert len(alerts) >= 8
    for alert in alerts:
        asked = re.findall(r"(rempart_\w+)(?:\{([^}]*)\})?", alert["expr"])
        assert asked, alert["alert"]
        for name, matchers in asked:
            assert name in known, (alert["alert"], name)
            labels = set(re.findall(r"(\w+)\s*(?:=|!|~)", re.sub(r'"[^"]*"', "", matchers)))
            assert labels <= known[name], (alert["alert"], name, labels)
        assert alert["annotations"]["action"]


@pytest.mark.case("F21")
def test_the_fleet_is_counted_as_it_is_when_somebody_asks() -> None:
    registry = CollectorRegistry()
    NodePoolMetrics(registry).watch_fleet(*fleet())

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("rempart_nodepool_nodes", pool="p", phase="Ready") == 2
    assert value("rempart_nodepool_nodes", pool="p", phase="Pending") == 1
    assert value("rempart_nodepool_usable_nodes", pool="p") == 1
    assert value("rempart_nodepool_wanted_nodes", pool="p") == 3
    assert value("rempart_nodepool_hosts_set_aside", pool="p") == 1
    labels = {"pool": "p", "condition": "Degraded", "status": "True", "reason": "RepairHeld"}
    assert value("rempart_nodepool_condition", **labels) == 1
