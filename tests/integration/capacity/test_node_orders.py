"""Cordon, drain and replace over REST, on a real API server with the real operator."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from controlplane.capacity.tasks import TICKS, consumers
from controlplane.entrypoints.watcher import KINDS, KindWatcher, make_watchers
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.consumers import Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import Database
from controlplane.plumbing.pulse import Pulse
from controlplane.plumbing.settings import Settings
from tests.fixtures.kubernetes import KubernetesApi
from tests.integration.capacity.test_admin_api import site as site
from tests.integration.capacity.test_pool_doors import hold, make_pool
from tests.integration.deployments.fleet import make_fleet
from tests.operators.harness import running, settings_for
from tests.operators.nodepool.things import budget, guest

POOL = "orders-b300"
NODES = "/v1/admin/nodes"
SECONDS_MAX = 60.0


@dataclass
class Cell:
    """The control plane's worker and watcher, turned by hand, beside an operator that runs."""

    admin: TestClient
    kubernetes: KubernetesApi
    context: Context
    watchers: list[KindWatcher]

    def turn(self) -> None:
        """Apply what rows say, and take over what the cell says."""
        found = {consumer.name: consumer for consumer in consumers(self.context)}["capacity.reconcile"]
        assert found.effect is not None
        found.effect(Event(id=None, topic=TICKS[0].topic, tenant_id=None, payload={}, occurred_at=None))  # type: ignore[arg-type]
        for watcher in self.watchers:
            watcher.take_over_list()

    def node(self, name: str) -> dict[str, Any]:
        return dict(self.admin.get(f"{NODES}/{name}").json()["node"])

    def order(self, name: str, verb: str, **body: Any) -> dict[str, Any]:
        reply = self.admin.post(f"{NODES}/{name}/{verb}", json=body or None)
        assert reply.status_code == 202, reply.text
        return dict(reply.json()["node"])

    def until(self, check: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + SECONDS_MAX
        while True:
            self.turn()
            value = check()
            if value:
                return value
            assert time.monotonic() < end, f"not within {SECONDS_MAX:.0f} s: {what}"
            time.sleep(0.2)

    def until_phase(self, name: str, phase: str) -> dict[str, Any]:
        def is_it() -> dict[str, Any] | None:
            found = self.admin.get(f"{NODES}/{name}")
            return (
                found.json()["node"]
                if found.status_code == 200 and found.json()["node"]["phase"] == phase
                else None
            )

        return dict(self.until(is_it, f"{name} is {phase}"))

    def is_shut(self, name: str) -> bool:
        found = json.loads(self.kubernetes.kubectl("get", "node", name, "-o", "json"))
        return bool(found["spec"].get("unschedulable"))

    def actions(self) -> list[str]:
        events = self.admin.get("/v1/admin/audit_events", params={"limit": 100}).json()["audit_events"]
        return [each["action"] for each in events if each["action"].startswith("node.")]


@pytest.fixture
def operator(kubernetes_api: KubernetesApi, tmp_path: Path) -> Iterator[None]:
    """The node-pool operator, in a thread with a loop of its own."""
    stop = threading.Event()

    async def work() -> None:
        async with running(settings_for(kubernetes_api.kubeconfigs["rempart-operators"], tmp_path)):
            while not stop.is_set():
                await asyncio.sleep(0.1)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    yield
    stop.set()
    thread.join(SECONDS_MAX)
    assert not thread.is_alive()


@pytest.fixture
def cell(
    kubernetes_api: KubernetesApi,
    api: TestClient,
    admin: TestClient,
    database: Database,
    settings: Settings,
    site: Any,
    operator: None,
    tmp_path: Path,
) -> Iterator[Cell]:
    own = Clusters(kubernetes_api.kubeconfigs["rempart-controlplane"])
    context = replace(make_fleet(api, database, settings, own).context, clusters=own)
    pulse = Pulse(tmp_path / "pulse", list(KINDS))
    found = Cell(admin, kubernetes_api, context, make_watchers(context, threading.Event(), pulse)[:2])
    make_pool(admin, name=POOL, replicas=2)
    for name in (f"{POOL}-0", f"{POOL}-1"):
        found.until_phase(name, "Ready")
    yield found
    kubernetes_api.kubectl("annotate", f"gnp/{POOL}", "rempart.eu/break-glass=end", "--overwrite")
    kubernetes_api.kubectl("delete", "pods,pdb", "--all", "-n", "default", "--force", "--grace-period=0")
    kubernetes_api.kubectl("delete", f"gnp/{POOL}", "--wait=false", "--ignore-not-found")
    end = time.monotonic() + SECONDS_MAX
    # Without a turn of the control plane, which would make it again.
    while own.find("GPUNodePool", None, POOL) is not None:
        assert time.monotonic() < end, "the pool is still there"
        time.sleep(0.2)


@pytest.mark.case("F19")
class TestOrders:
    def test_a_cordon_lasts_until_it_is_lifted(self, cell: Cell) -> None:
        name = f"{POOL}-0"
        first = cell.order(name, "cordon")
        assert first["order"] == "cordon"
        shown = cell.until_phase(name, "Cordoned")
        assert (shown["is_ready"], shown["reason"]) == (False, "Cordoned")
        assert "rempart admin nodes uncordon" in shown["message"]
        assert cell.is_shut(name)
        # The same again changes nothing and is no second act.
        assert cell.order(name, "cordon")["ordered_at"] == first["ordered_at"]
        assert cell.actions() == ["node.cordoned"]
        # A hand in the cell is put right, and told the door.
        cell.kubernetes.kubectl("uncordon", name)
        cell.until(lambda: cell.is_shut(name), "it is cordoned again")

        def is_told() -> bool:
            told = cell.kubernetes.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}")
            return "CordonKept" in told and "rempart admin nodes uncordon" in told

        cell.until(is_told, "an Event says why")
        cell.order(name, "uncordon")
        cell.until_phase(name, "Ready")
        assert not cell.is_shut(name)
        # It opened the node once: a later cordon in the cell is not undone.
        cell.kubernetes.kubectl("cordon", name)
        cell.until_phase(name, "Cordoned")
        for _ in range(5):
            cell.turn()
            time.sleep(0.2)
        assert cell.is_shut(name)
        # A new word opens it again, whoever closed it.
        cell.order(name, "drain")
        cell.until_phase(name, "Drained")
        cell.order(name, "uncordon")
        cell.until_phase(name, "Ready")

    def test_a_drain_says_what_it_waits_for_and_ends_with_the_pools_drain_time(self, cell: Cell) -> None:
        name = f"{POOL}-1"
        kubectl = cell.kubernetes.kubectl
        for pod in ("held", "free"):
            manifest = {"apiVersion": "v1", "kind": "Pod", **guest(pod, node=name, app=pod)}
            kubectl("create", "-f", "-", stdin=json.dumps(manifest))
            kubectl("wait", f"pod/{pod}", "--for=jsonpath={.status.phase}=Running", "--timeout=50s")
        kubectl("create", "-f", "-", stdin=json.dumps(budget("held", 0, app="held")))
        cell.order(name, "drain")

        def waits() -> dict[str, Any] | None:
            seen = cell.node(name)
            return (
                seen
                if "default/held" in seen["drain_message"] and "1 pod is left" in seen["drain_message"]
                else None
            )

        shown = cell.until(waits, "the drain names what it waits for")
        assert (shown["phase"], shown["is_drained"], shown["is_ready"]) == ("Draining", False, False)
        assert "held by disruption budget held" in shown["drain_message"]
        assert "budgets hold until" in shown["drain_message"]
        assert cell.kubernetes.try_kubectl("get", "pod/free").returncode
        kubectl("patch", f"gnp/{POOL}", "--type=merge", "-p", '{"spec":{"drainTimeoutSeconds":1}}')
        # The pool's word wakes nothing by itself; the budget's change does.
        kubectl("annotate", "pod/held", "example.org/wake=1")
        shown = cell.until_phase(name, "Drained")
        assert (shown["is_drained"], shown["is_ready"], shown["order"]) == (True, False, "drain")
        assert cell.kubernetes.try_kubectl("get", "pod/held").returncode
        assert cell.is_shut(name)

    def test_a_replaced_machine_is_another_one_and_the_order_ends(self, cell: Cell) -> None:
        name = f"{POOL}-0"
        cell.order(name, "cordon")
        cell.until_phase(name, "Cordoned")

        def uid() -> str:
            found = cell.kubernetes.try_kubectl("get", "nc", name, "-o", "jsonpath={.metadata.uid}")
            return found.stdout if not found.returncode else ""

        before = uid()
        cell.order(name, "replace")
        assert cell.order(name, "replace")["order"] == "replace"
        refused = cell.admin.post(f"{NODES}/{name}/uncordon")
        assert (refused.status_code, "being replaced" in refused.json()["detail"]) == (409, True)
        cell.until(lambda: uid() not in ("", before), "another claim has the name")
        shown = cell.until_phase(name, "Ready")
        assert (shown["order"], shown["is_drained"]) == (None, None)
        assert not cell.is_shut(name)
        pool = json.loads(cell.kubernetes.kubectl("get", f"gnp/{POOL}", "-o", "json"))
        cell.turn()
        pool = json.loads(cell.kubernetes.kubectl("get", f"gnp/{POOL}", "-o", "json"))
        assert not pool["spec"].get("nodeOrders")
        assert sorted(cell.actions()) == ["node.cordoned", "node.replaced"]

    def test_refusals_say_why(self, cell: Cell, database: Database) -> None:
        def told(name: str, verb: str, **body: Any) -> tuple[int, str]:
            reply = cell.admin.post(f"{NODES}/{name}/{verb}", json=body or None)
            return reply.status_code, "" if reply.status_code < 300 else str(reply.json()["detail"])

        for verb in ("cordon", "uncordon", "drain", "replace"):
            assert told("nobody-0", verb) == (404, "There is no machine 'nobody-0'.")
        hold(database, POOL, 8, 2)
        for verb in ("drain", "replace"):
            status, sentence = told(f"{POOL}-0", verb)
            assert (status, "needs 2 machines" in sentence) == (409, True)
        assert told(f"{POOL}-0", "drain", is_forced=True)[0] == 202
        assert cell.order(f"{POOL}-0", "uncordon")["order"] == "uncordon"
        # A silent node is not shown ready, cordoned or not.
        quiet = {
            "status": {
                "conditions": [{"type": "Ready", "status": "False", "reason": "Test", "message": "quiet"}]
            }
        }
        cell.until_phase(f"{POOL}-1", "Ready")
        cell.kubernetes.kubectl("annotate", f"node/{POOL}-1", "kwok.x-k8s.io/node-", "--overwrite")
        cell.kubernetes.kubectl(
            "patch", f"node/{POOL}-1", "--subresource=status", "--type=strategic", "-p", json.dumps(quiet)
        )
        assert cell.until_phase(f"{POOL}-1", "NotReady")["is_ready"] is False
        cell.order(f"{POOL}-1", "cordon")
        cell.until(lambda: cell.is_shut(f"{POOL}-1"), "it is cordoned, too")
        assert cell.node(f"{POOL}-1")["phase"] == "NotReady"
