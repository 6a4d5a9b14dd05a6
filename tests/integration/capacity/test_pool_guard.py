"""Hands on a pool that the control plane keeps, on a real API server: refused with the right door, or they last."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from controlplane.capacity import service
from controlplane.capacity.tasks import TICKS, consumers
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.consumers import Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from operators.apis.v1alpha1 import GPUNodePoolSpec
from tests.fixtures.kubernetes import KubernetesApi
from tests.integration.capacity.test_admin_api import site as site
from tests.integration.capacity.test_pool_doors import change, make_pool
from tests.integration.deployments.fleet import make_fleet

NAME = "guarded-b300"
IN_FORCE_SECONDS_MAX = 30
# What a person does to a pool with kubectl, and where the refusal sends them.
HANDS = {
    "scale": (("scale", f"gnp/{NAME}", "--replicas=1"), "rempart admin pools scale"),
    "pause": (("patch", f"gnp/{NAME}", "--type=merge", "-p", '{"spec":{"paused":true}}'), "pause"),
    "memory": (("patch", f"gnp/{NAME}", "--type=merge", "-p", '{"spec":{"memoryMiB":64}}'), "update"),
    "cpu": (("patch", f"gnp/{NAME}", "--type=merge", "-p", '{"spec":{"cpuMilli":100}}'), "update"),
    "labels": (("patch", f"gnp/{NAME}", "--type=merge", "-p", '{"spec":{"nodeLabels":{"a":"b"}}}'), "update"),
    "taints": (
        ("patch", f"gnp/{NAME}", "--type=merge", "-p",
         '{"spec":{"nodeTaints":[{"key":"a","value":"b","effect":"NoExecute"}]}}'), "update",
    ),
    "unlabel": (("label", f"gnp/{NAME}", "app.kubernetes.io/managed-by-"), "break-glass"),
    "delete": (("delete", f"gnp/{NAME}", "--wait=false"), "rempart admin pools delete"),
}  # fmt: skip

# Another value for each field of a pool's spec.
NEW_VALUES: dict[str, Any] = {
    "datacenter": "elsewhere",
    "cell": "elsewhere",
    "provider": {"kind": "process"},
    "instanceType": "cpu-2x",
    "accelerator": {"sku": "other", "count": 1},
    "cpuMilli": 100,
    "memoryMiB": 64,
    "replicas": 1,
    "nodeLabels": {"example.org/a": "b"},
    "nodeTaints": [{"key": "example.org/a", "value": "b", "effect": "NoSchedule"}],
    "drainTimeoutSeconds": 61,
    "rollout": {"maxUnavailable": 3},
    "repair": {"notReadySeconds": 0, "maxUnhealthyPercent": 7},
    "nodeOrders": [{"claim": "x-0", "uid": "u", "action": "cordon", "since": "2026-01-01T00:00:00Z"}],
    "paused": True,
}


@pytest.fixture
def cell(
    kubernetes_api: KubernetesApi,
    api: TestClient,
    admin: TestClient,
    database: Database,
    settings: Settings,
    site: Any,
) -> Iterator[Context]:
    """The control plane with its own identity at a real API server, and one pool of it there."""
    own = Clusters(kubernetes_api.kubeconfigs["rempart-controlplane"])
    context = replace(make_fleet(api, database, settings, own).context, clusters=own)
    make_pool(admin, name=NAME, replicas=2)
    tick(context)
    yield context
    kubernetes_api.kubectl("annotate", f"gnp/{NAME}", "rempart.eu/break-glass=end", "--overwrite")
    kubernetes_api.kubectl("delete", f"gnp/{NAME}", "--wait=false", "--ignore-not-found")


def tick(context: Context) -> None:
    """One full tick: every pool is held against its row."""
    found = {consumer.name: consumer for consumer in consumers(context)}["capacity.reconcile"]
    assert found.effect is not None
    found.effect(Event(id=None, topic=TICKS[0].topic, tenant_id=None, payload={}, occurred_at=None))  # type: ignore[arg-type]


def observe(database: Database, context: Context) -> None:
    """What the watcher does when the pool changes."""
    found = context.clusters.find("GPUNodePool", None, NAME)
    assert found is not None
    with database.system() as uow:
        service.observe_node_pool(uow, found)


def spec(kubernetes_api: KubernetesApi) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubernetes_api.kubectl("get", f"gnp/{NAME}", "-o", "json"))
    return dict(found["spec"])


def refusal(kubernetes_api: KubernetesApi, command: tuple[str, ...]) -> str:
    """What a person is told. A policy is in force a moment after it, or its parameter, was made."""
    deadline = time.monotonic() + IN_FORCE_SECONDS_MAX
    while True:
        done = kubernetes_api.try_kubectl(*command, "--dry-run=server")
        if done.returncode:
            return done.stderr
        assert time.monotonic() < deadline, f"{command} is let through"
        time.sleep(0.2)


@pytest.mark.case("F3")
class TestHandsOnAPool:
    def test_each_is_refused_with_the_right_door(self, kubernetes_api: KubernetesApi, cell: Context) -> None:
        before = spec(kubernetes_api)
        for name, (command, door) in HANDS.items():
            told = refusal(kubernetes_api, command)
            assert door in told, (name, told)
            assert kubernetes_api.try_kubectl(*command).returncode, name
        assert spec(kubernetes_api) == before

    def test_each_field_of_the_spec_is_refused_or_lasts(
        self, kubernetes_api: KubernetesApi, cell: Context
    ) -> None:
        # Every field that the pool's kind has, whoever adds one.
        assert set(NEW_VALUES) == {
            field.alias or name for name, field in GPUNodePoolSpec.model_fields.items()
        }
        refusal(kubernetes_api, HANDS["memory"][0])
        for field, value in NEW_VALUES.items():
            patch = json.dumps({"spec": {field: value}})
            done = kubernetes_api.try_kubectl("patch", f"gnp/{NAME}", "--type=merge", "-p", patch)
            if done.returncode:
                assert "rempart admin pools" in done.stderr or "cannot change" in done.stderr, (
                    field,
                    done.stderr,
                )
                continue
            tick(cell)
            assert spec(kubernetes_api)[field] == value, f"{field} was undone in silence"

    def test_what_rest_says_lasts_beyond_a_tick(
        self, kubernetes_api: KubernetesApi, admin: TestClient, cell: Context
    ) -> None:
        marks = {
            "replicas": 1, "paused": True, "node_labels": {"example.org/hall": "h1"},
            "node_taints": [{"key": "example.org/own", "value": "yes", "effect": "NoSchedule"}],
        }  # fmt: skip
        assert change(admin, f"/v1/admin/node_pools/{NAME}", marks).status_code == 200
        for _ in range(2):
            tick(cell)
            now = spec(kubernetes_api)
            assert (now["replicas"], now["paused"]) == (1, True)
            assert now["nodeLabels"] == marks["node_labels"]
            assert now["nodeTaints"] == marks["node_taints"]
        assert change(admin, f"/v1/admin/node_pools/{NAME}", {"paused": False}).status_code == 200
        tick(cell)
        assert not spec(kubernetes_api).get("paused")

    def test_fields_without_another_door_are_kubectls_and_last(
        self, kubernetes_api: KubernetesApi, cell: Context
    ) -> None:
        kubernetes_api.kubectl(
            "patch", f"gnp/{NAME}", "--type=merge", "-p", '{"spec":{"drainTimeoutSeconds":60}}'
        )
        tick(cell)
        assert spec(kubernetes_api)["drainTimeoutSeconds"] == 60

    def test_a_pool_kept_by_hand_lasts_and_says_so(
        self, kubernetes_api: KubernetesApi, admin: TestClient, database: Database, cell: Context
    ) -> None:
        path = f"/v1/admin/node_pools/{NAME}"
        kubernetes_api.kubectl("annotate", f"gnp/{NAME}", "rempart.eu/break-glass=incident 4711")
        deadline = time.monotonic() + IN_FORCE_SECONDS_MAX
        while kubernetes_api.try_kubectl("scale", f"gnp/{NAME}", "--replicas=1").returncode:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        kubernetes_api.kubectl("patch", f"gnp/{NAME}", "--type=merge", "-p", '{"spec":{"paused":true}}')
        tick(cell)
        now = spec(kubernetes_api)
        assert (now["replicas"], now["paused"]) == (1, True)
        observe(database, cell)
        assert "incident 4711" in admin.get(path).json()["node_pool"]["message"]
        kubernetes_api.kubectl("annotate", f"gnp/{NAME}", "rempart.eu/break-glass-")
        tick(cell)
        assert spec(kubernetes_api)["replicas"] == 2
        assert not spec(kubernetes_api).get("paused")

    def test_a_pool_deleted_while_it_is_kept_by_hand_stays_deleted(
        self, kubernetes_api: KubernetesApi, admin: TestClient, database: Database, cell: Context
    ) -> None:
        path = f"/v1/admin/node_pools/{NAME}"
        kubernetes_api.kubectl("annotate", f"gnp/{NAME}", "rempart.eu/break-glass=fire")
        observe(database, cell)
        deadline = time.monotonic() + IN_FORCE_SECONDS_MAX
        while kubernetes_api.try_kubectl("delete", f"gnp/{NAME}").returncode:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        for _ in range(2):
            with database.system() as uow:
                service.settle_node_pools(uow, frozenset())
            tick(cell)
            assert cell.clusters.find("GPUNodePool", None, NAME) is None
        found = admin.get(path).json()["node_pool"]
        assert (found["state"], found["ready_nodes"]) == ("REMOVED", 0)
        assert "fire" in found["message"]
        assert "makes it again" in found["message"]
        assert change(admin, path, {"replicas": 1}).status_code == 200
        tick(cell)
        assert spec(kubernetes_api)["replicas"] == 1
        assert admin.get(path).json()["node_pool"]["state"] == "ACTIVE"

    def test_the_control_plane_deletes_its_pool(
        self, kubernetes_api: KubernetesApi, admin: TestClient, cell: Context
    ) -> None:
        path = f"/v1/admin/node_pools/{NAME}"
        assert admin.delete(path, headers={"If-Match": admin.get(path).headers["ETag"]}).status_code == 204
        tick(cell)
        found = kubernetes_api.try_kubectl("get", f"gnp/{NAME}", "-o", "json")
        assert found.returncode or json.loads(found.stdout)["metadata"]["deletionTimestamp"]
        kubernetes_api.kubectl("apply", "-f", "-", stdin=json.dumps(OTHER | {"metadata": {"name": NAME}}))

    def test_a_pool_of_somebody_else_is_theirs(self, kubernetes_api: KubernetesApi, cell: Context) -> None:
        kubernetes_api.kubectl("apply", "-f", "-", stdin=json.dumps(OTHER))
        kubernetes_api.kubectl("scale", "gnp/their-own", "--replicas=0")
        kubernetes_api.kubectl("patch", "gnp/their-own", "--type=merge", "-p", '{"spec":{"paused":true}}')
        kubernetes_api.kubectl("delete", "gnp/their-own", "--wait=false")


OTHER = {
    "apiVersion": "rempart.eu/v1alpha1",
    "kind": "GPUNodePool",
    "metadata": {"name": "their-own"},
    "spec": {
        "datacenter": "essonne-1", "cell": "essonne-1-a", "provider": {"kind": "kwok"},
        "instanceType": "cpu-1x", "cpuMilli": 1000, "memoryMiB": 1024, "replicas": 0,
    },
}  # fmt: skip
