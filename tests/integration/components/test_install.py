"""A cell installed on a real API server by the real engine, helm and kubectl: made, kept, put right, taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.components.__main__ import NO_PLAN, main, program
from infra.components.plan import CellPlan, Plan
from infra.components.values_rules import controlplane_values
from infra.local.build import ensure_built
from infra.local.build import program as built
from infra.local.versions import HELM, KUBERNETES, TEST_SOURCES
from infra.provider.workspace import Outcome, open_stack
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.chart.charts import Helm
from tests.unit.components.plans import document, plan

RELEASE = "iac-1"
NAMESPACES = ("rempart-system", "iac-gateway")


def cell_plan(replicas: int) -> Plan:
    cell = document()["cells"][0] | {"cell": RELEASE}
    cell["gateway"] = cell["gateway"] | {"namespace": "iac-gateway", "replicas": replicas}
    return Plan(cells=(CellPlan.model_validate(cell),), wait_seconds=0)


@dataclass
class Story:
    api: KubernetesApi
    runs: dict[str, Outcome] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def labels(self, namespace: str) -> dict[str, str]:
        found = json.loads(self.api.kubectl("get", "namespace", namespace, "-o", "json"))
        labels: dict[str, str] = found["metadata"]["labels"]
        return labels

    def replicas(self) -> int:
        found = self.api.kubectl("get", "statefulset", "-n", "iac-gateway", "-o", "json")
        (only,) = json.loads(found)["items"]
        return int(only["spec"]["replicas"])

    def workloads(self) -> list[str]:
        flags = (
            "-o",
            "name",
            f"--selector=app.kubernetes.io/instance in ({RELEASE}-operators,{RELEASE}-gateway)",
        )
        return [
            line
            for namespace in NAMESPACES
            for line in self.api.kubectl("get", "deploy,sts", "-n", namespace, *flags).split()
        ]


@pytest.fixture(scope="module")
def story(kubernetes_api: KubernetesApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    ensure_built(sources=TEST_SOURCES)
    folder, told = tmp_path_factory.mktemp("install"), Story(kubernetes_api)
    before = told.labels("rempart-system") if "rempart-system" in namespaces(kubernetes_api) else {}
    environment = {
        "KUBECONFIG": str(kubernetes_api.kubeconfig),
        "REMPART_HELM": str(built(HELM, "helm")),
        "REMPART_KUBECTL": str(built(KUBERNETES, "kubectl")),
        **{f"HELM_{part}_HOME": str(folder / part) for part in ("CACHE", "CONFIG", "DATA")},
    }

    def run(replicas: int) -> Any:
        return open_stack(
            program(cell_plan(replicas)),
            folder / "stack",
            project="tests",
            stack="cell",
            passphrase="of this test",
            environment=environment,
        )

    told.runs["up"] = run(1).up()
    told.seen["labels"] = {name: told.labels(name) for name in NAMESPACES}
    told.seen["workloads"] = told.workloads()
    told.runs["up again"] = run(1).up()
    kubernetes_api.kubectl("label", "namespace", "iac-gateway", "rempart.eu/data-residency-", "--overwrite")
    told.runs["refresh"] = run(1).refresh()
    told.runs["change"] = run(3).up()
    told.seen["replicas"] = told.replicas()
    told.seen["repaired"] = told.labels("iac-gateway")
    told.runs["destroy"] = run(3).destroy()
    yield told
    kubernetes_api.kubectl("delete", "namespace", "iac-gateway", "--ignore-not-found", "--timeout=50s")
    if before:
        pairs = [f"{key}={value}" for key, value in before.items()]
        kubernetes_api.kubectl("label", "namespace", "rempart-system", *pairs, "--overwrite")


def namespaces(api: KubernetesApi) -> set[str]:
    return {each["metadata"]["name"] for each in json.loads(api.kubectl("get", "ns", "-o", "json"))["items"]}


def test_a_cell_is_installed_and_a_second_up_changes_nothing(story: Story) -> None:
    assert len(story.seen["workloads"]) == 2, story.seen["workloads"]
    assert story.runs["up again"].changes == 0


def test_its_namespaces_are_labelled_for_the_union(story: Story) -> None:
    for labels in story.seen["labels"].values():
        assert labels["rempart.eu/data-residency"] == "eu"


def test_a_changed_plan_is_an_upgrade(story: Story) -> None:
    assert story.seen["replicas"] == 3
    assert story.runs["change"].counts["update"] == 2, "the gateway and the namespace's labels"


def test_a_label_that_was_taken_away_comes_back(story: Story) -> None:
    assert story.runs["refresh"].counts["update"] == 1
    assert story.seen["repaired"]["rempart.eu/data-residency"] == "eu"


def test_what_is_destroyed_leaves_namespaces_and_custom_resources(story: Story) -> None:
    assert story.workloads() == []
    assert set(NAMESPACES) <= namespaces(story.api), "they hold Secrets that are not ours"
    assert "rempart.eu/data-residency" not in story.labels("iac-gateway")
    assert "gpunodepools.rempart.eu" in story.api.kubectl("get", "crd", "-o", "name")


def test_the_control_plane_renders_from_a_plan(helm: Helm) -> None:
    whole = plan()
    assert whole.control_plane is not None
    assert "kind: Job" in helm.template("controlplane", controlplane_values(whole.control_plane))


def test_the_command_says_what_is_wrong_with_a_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    path = tmp_path / "plan.yaml"
    path.write_text("cells: {}\n", encoding="utf-8")
    assert main(["up", str(path)]) == NO_PLAN
    assert "plan.yaml is no plan" in capsys.readouterr().err
    path.write_text("cells: []\n", encoding="utf-8")
    assert main(["up", str(path)]) == NO_PLAN
    assert "PULUMI_CONFIG_PASSPHRASE must be set" in capsys.readouterr().err
