"""Telling a real API server: objects appear, are refused in words, heal, and go."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from controlplane.deployments.definition_schemas import DefinitionIn, to_definition
from controlplane.deployments.manifest import build_manifests
from controlplane.deployments.models import RegionalDeploymentRow
from controlplane.deployments.service_observe import observe_inference_deployment_gone
from controlplane.deployments.tasks import tell_cell
from controlplane.kernel.ids import ProjectId
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.kubernetes import KubernetesApi
from tests.integration.deployments.fleet import Fleet, add_site, make_fleet
from tests.unit.deployments.parts import part as unit_part
from tests.unit.deployments.test_bounds import ENGINE, SMALLEST, WIDE, largest_body

GONE_SECONDS_MAX = 30
CRDS = Path(__file__).resolve().parents[3] / "helm" / "operators" / "crds"


@pytest.fixture
def cell(
    kubernetes_api: KubernetesApi, api: TestClient, database: Database, settings: Settings
) -> Iterator[Fleet]:
    """A fleet whose cell is a real API server; nothing reconciles there, so what is told stays as told."""
    kubernetes_api.kubectl("apply", "-f", str(CRDS))
    kubernetes_api.kubectl(
        "wait", "--for=condition=Established", "crd/inferencedeployments.rempart.eu", "--timeout=30s"
    )
    fleet = make_fleet(api, database, settings, Clusters(kubernetes_api.kubeconfig))
    add_site(fleet, "essonne-1", "FR", cpu_milli=4000)
    yield fleet
    namespace = f"rmp-{fleet.caller.project_id.partition('_')[2]}"
    kubernetes_api.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")


def read(
    kubernetes_api: KubernetesApi, kind: str, part: dict[str, Any], name: str | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        kubernetes_api.kubectl(
            "get", kind, name or part["object_name"], "-n", part["namespace"], "-o", "json"
        )
    )
    return found


class TestTelling:
    def test_placed_service_stands_in_its_cell(self, cell: Fleet, kubernetes_api: KubernetesApi) -> None:
        cell.post("/v1/secrets", {"name": "hub-token", "value": "zebra"})
        service = cell.create_service(env=[{"key": "APP_TOKEN", "secret": "hub-token"}])
        cell.run()
        [part] = cell.parts(service)
        assert part["status"] == "SCHEDULED"
        assert cell.part(part).applied_generation == 1
        resource = read(kubernetes_api, "idp", part)
        assert resource["spec"]["regionalDeploymentId"] == part["id"]
        assert resource["spec"]["replicas"] == {"min": 0, "max": 2}
        secret = read(kubernetes_api, "secret", part, f"{part['object_name']}-env")
        assert list(secret["data"]) == ["APP_TOKEN"]
        namespace = json.loads(kubernetes_api.kubectl("get", "namespace", part["namespace"], "-o", "json"))
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"

    def test_repeated_telling_writes_nothing(self, cell: Fleet, kubernetes_api: KubernetesApi) -> None:
        service = cell.create_service()
        cell.run()
        [part] = cell.parts(service)
        before = read(kubernetes_api, "idp", part)["metadata"]["resourceVersion"]
        held = cell.part(part)
        tell_cell(cell.context, held.tenant_id, held.id)
        assert read(kubernetes_api, "idp", part)["metadata"]["resourceVersion"] == before

    def test_object_deleted_by_hand_heals(self, cell: Fleet, kubernetes_api: KubernetesApi) -> None:
        service = cell.create_service()
        cell.run()
        [part] = cell.parts(service)
        resource = read(kubernetes_api, "idp", part)
        kubernetes_api.kubectl("delete", "idp", part["object_name"], "-n", part["namespace"])
        with cell.database.system() as uow:
            observe_inference_deployment_gone(uow, resource)
        cell.run()
        healed = read(kubernetes_api, "idp", part)
        assert healed["metadata"]["uid"] != resource["metadata"]["uid"]

    def test_scaled_service_is_told_in_place(self, cell: Fleet, kubernetes_api: KubernetesApi) -> None:
        service = cell.create_service()
        cell.run()
        cell.post(f"/v1/services/{service['id']}/scale", {"min": 1, "max": 3})
        cell.run()
        [part] = cell.parts(service)
        assert read(kubernetes_api, "idp", part)["spec"]["replicas"] == {"min": 1, "max": 3}

    def test_deleted_service_leaves_nothing_in_the_cell(
        self, cell: Fleet, kubernetes_api: KubernetesApi
    ) -> None:
        service = cell.create_service()
        cell.run()
        [part] = cell.parts(service)
        headers = {**cell.caller.headers, "If-Match": '"1"'}
        assert cell.api.delete(f"/v1/services/{service['id']}", headers=headers).status_code == 202
        cell.run()
        held = cell.part(part)
        deadline = time.monotonic() + GONE_SECONDS_MAX
        while cell.part(part).terminated_at is None:
            # What the watcher does when the API server has let the object go.
            assert time.monotonic() < deadline, "the object stays"
            tell_cell(cell.context, held.tenant_id, held.id)
        cell.run()
        gone = kubernetes_api.try_kubectl("get", "idp", part["object_name"], "-n", part["namespace"])
        assert gone.returncode != 0
        assert cell.service(service)["status"] == "DELETED"

    def test_refusal_of_the_api_server_ends_the_deployment_with_its_sentence(
        self, cell: Fleet, kubernetes_api: KubernetesApi
    ) -> None:
        weak = make_fleet(
            cell.api,
            cell.database,
            cell.context.settings,
            Clusters(kubernetes_api.kubeconfigs["process-node"]),
        )
        service = weak.create_service()
        weak.run()
        deployment = weak.deployment(service["latest_deployment_id"])
        assert deployment["status"] == "ERRORING"
        assert "forbidden" in deployment["messages"][0]
        assert "REGIONAL_DEPLOYMENT_REFUSED" in weak.events(service)
        assert weak.service(service)["status"] == "UNHEALTHY"
        # The identity may not look whether anything was left behind: until one may, the capacity stays held.
        held = weak.part(weak.parts(service)[0])
        tell_cell(cell.context, held.tenant_id, held.id)
        weak.run()
        assert weak.deployment(service["latest_deployment_id"])["status"] == "ERROR"
        assert weak.parts(service)[0]["status"] == "ERROR"
        with weak.database.system() as uow:
            assert uow.session.scalar(text("SELECT count(*) FROM reservation")) == 0

    def test_worker_killed_after_telling_is_finished_by_the_next_one(
        self, cell: Fleet, kubernetes_api: KubernetesApi
    ) -> None:
        service = cell.create_service()
        cell.run()
        [part] = cell.parts(service)
        held = cell.part(part)
        # As if the process had died between the API server's answer and its record.
        with cell.database.system() as uow:
            row = uow.session.query(RegionalDeploymentRow).filter_by(id=held.id).one()
            row.status, row.applied_generation = "PROVISIONING", 0
        tell_cell(cell.context, held.tenant_id, held.id)
        assert cell.part(part).applied_generation == 1
        assert cell.parts(service)[0]["status"] == "SCHEDULED"


@pytest.mark.case("X1")
class TestBounds:
    def test_api_server_takes_the_largest_and_the_smallest_definition(
        self, cell: Fleet, kubernetes_api: KubernetesApi
    ) -> None:
        for index, body in enumerate((largest_body(), SMALLEST)):
            definition = to_definition(DefinitionIn.model_validate(body))
            placed = unit_part(
                index,
                service_name=definition.name,
                object_name=f"{definition.name}-1234567{index}",
                project_id=ProjectId.parse(cell.caller.project_id),
                placement=replace(WIDE, accelerator_sku=None, gpus_per_replica=0),
                replicas_min=definition.replicas_min,
                replicas_max=definition.replicas_max,
            )
            assert cell.context.clusters is not None
            for manifest in build_manifests(placed, definition, ENGINE, {}):
                cell.context.clusters.apply(manifest)
            found = read(
                kubernetes_api, "idp", {"object_name": placed.object_name, "namespace": placed.namespace}
            )
            assert found["spec"]["replicas"]["max"] == definition.replicas_max


class TestWalls:
    @pytest.mark.case("X11")
    def test_project_namespace_is_shut_bounded_and_hands_out_no_token(
        self, cell: Fleet, kubernetes_api: KubernetesApi
    ) -> None:
        service = cell.create_service()
        cell.run()
        [part] = cell.parts(service)
        shut = read(kubernetes_api, "networkpolicy", part, "default-deny")["spec"]
        assert shut["podSelector"] == {}
        assert set(shut["policyTypes"]) == {"Ingress", "Egress"}
        assert "ingress" not in shut
        assert "egress" not in shut
        opened = read(kubernetes_api, "networkpolicy", part, "engines")["spec"]
        assert [port["port"] for rule in opened["ingress"] for port in rule["ports"]] == [8000]
        assert {port["port"] for rule in opened["egress"] for port in rule["ports"]} == {53}
        assert read(kubernetes_api, "resourcequota", part, "project")["spec"]["hard"]["services"] == "0"
        assert read(kubernetes_api, "limitrange", part, "project")["spec"]["limits"]
        account = read(kubernetes_api, "serviceaccount", part, "default")
        assert account["automountServiceAccountToken"] is False

    @pytest.mark.case("X11")
    def test_pod_that_says_nothing_gets_a_bound_and_no_token(
        self, cell: Fleet, kubernetes_api: KubernetesApi
    ) -> None:
        service = cell.create_service()
        cell.run()
        [part] = cell.parts(service)
        pod = json.dumps(POD)

        def is_created() -> bool:
            # Until the quota's use is worked out, the API server refuses what it counts.
            made = kubernetes_api.try_kubectl("create", "-n", part["namespace"], "-f", "-", stdin=pod)
            assert made.returncode == 0 or "status unknown for quota" in made.stderr, made.stderr
            return made.returncode == 0

        deadline = time.monotonic() + GONE_SECONDS_MAX
        while not is_created():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        spec = read(kubernetes_api, "pod", part, "plain")["spec"]
        assert spec["containers"][0]["resources"]["limits"]["memory"]
        assert not [
            volume
            for volume in spec.get("volumes", [])
            if "token" in volume["name"] or "access" in volume["name"]
        ]

    @pytest.mark.case("X21")
    @pytest.mark.parametrize("namespace", ["kube-system", "default", "rempart-system"])
    @pytest.mark.parametrize(
        ("verb", "kind"),
        [
            ("create", "secret"),
            ("create", "serviceaccount"),
            ("create", "networkpolicy"),
            ("delete", "secret"),
        ],
    )
    def test_control_plane_can_write_nothing_outside_projects_namespaces(
        self, kubernetes_api: KubernetesApi, namespace: str, verb: str, kind: str
    ) -> None:
        found = {
            "secret": {"apiVersion": "v1", "kind": "Secret", "type": "Opaque"},
            "serviceaccount": {"apiVersion": "v1", "kind": "ServiceAccount"},
            "networkpolicy": {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
            },
        }[kind]
        body = json.dumps({**found, "metadata": {"name": "taken-over", "namespace": namespace}})
        if verb == "delete":
            kubernetes_api.kubectl("apply", "-f", "-", stdin=body)
            refused = kubernetes_api.try_kubectl(
                "delete", kind, "taken-over", "-n", namespace, identity="rempart-controlplane"
            )
            kubernetes_api.kubectl("delete", kind, "taken-over", "-n", namespace)
        else:
            refused = kubernetes_api.try_kubectl(
                "create", "-f", "-", identity="rempart-controlplane", stdin=body
            )
        assert refused.returncode != 0
        assert "projects' namespaces" in refused.stderr

    @pytest.mark.case("X21")
    def test_control_plane_changes_no_other_namespace_and_makes_no_token(
        self, cell: Fleet, kubernetes_api: KubernetesApi
    ) -> None:
        service = cell.create_service()
        cell.run()
        [part] = cell.parts(service)
        label = json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": "kube-system", "labels": {"a": "b"}},
            }
        )
        who = {"identity": "rempart-controlplane"}
        refused = kubernetes_api.try_kubectl("apply", "--server-side", "-f", "-", stdin=label, **who)
        assert "projects' namespaces" in refused.stderr
        token = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/service-account-token",
            "metadata": {
                "name": "token",
                "namespace": part["namespace"],
                "annotations": {"kubernetes.io/service-account.name": "default"},
            },
        }
        refused = kubernetes_api.try_kubectl("create", "-f", "-", stdin=json.dumps(token), **who)
        assert "Opaque only" in refused.stderr
        token["type"] = "Opaque"
        kubernetes_api.kubectl("create", "-f", "-", stdin=json.dumps(token), **who)


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "plain"},
    "spec": {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "c",
                "image": "none",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    },
}
