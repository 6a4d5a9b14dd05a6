"""The pod of a replica: restricted, bound to its pools, named so that it cannot be doubled."""

from __future__ import annotations

from typing import Any

import pytest

from operators.apis.v1alpha1 import InferenceDeployment
from operators.inference.replica_rules import PodToCreate
from operators.inference.resources import PodStamps, build_pod, hash_template, label_of, name_pod
from operators.inference.views import observe_pod
from tests.unit.operators.inference.pods import T0


def deployment(**changes: Any) -> InferenceDeployment:
    spec: dict[str, Any] = {
        "tenantId": "org_01jd0000000000000000000000",
        "projectId": "prj_01jd0000000000000000000000",
        "serviceId": "svc_01jd0000000000000000000000",
        "serviceName": "chat",
        "deploymentId": "dep_01jd0000000000000000000000",
        "regionalDeploymentId": "rdp_01jd0000000000000000000000",
        "datacenter": "essonne-1",
        "country": "FR",
        "nodePools": ["b300-a"],
        "model": {"name": "m", "uri": "u", "digest": "sha256:" + "0" * 64, "licence": "Apache-2.0"},
        "engine": {"name": "vllm", "image": "registry.example/vllm:1", "args": ["--port", "8000"]},
        "cpuMilli": 4000,
        "memoryMiB": 8192,
        "replicas": {"min": 0, "max": 2},
        "drainSeconds": 45,
        **changes,
    }
    metadata = {"name": "chat-00000001", "namespace": "rmp-1", "uid": "u-1", "generation": 1}
    return InferenceDeployment.model_validate(
        {"kind": "InferenceDeployment", "metadata": metadata, "spec": spec}
    )


def build(resource: InferenceDeployment, index: int = 0, attempt: int = 0) -> dict[str, Any]:
    return build_pod(resource, PodToCreate(index, attempt, 0), PodStamps(T0, T0))


class TestPod:
    def test_a_pod_says_in_which_country_it_runs(self) -> None:
        assert build(deployment(country="SE"))["metadata"]["labels"]["rempart.eu/country"] == "SE"

    def test_pod_runs_only_on_its_pools_in_its_datacenter(self) -> None:
        spec = build(deployment(nodePools=["b", "a"]))["spec"]
        required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        (term,) = required["nodeSelectorTerms"]
        assert term["matchExpressions"] == [
            {"key": "rempart.eu/node-pool", "operator": "In", "values": ["a", "b"]},
            {"key": "rempart.eu/datacenter", "operator": "In", "values": ["essonne-1"]},
        ]

    @pytest.mark.parametrize("is_simulated", [True, False])
    def test_only_a_simulated_deployment_tolerates_simulated_nodes(self, is_simulated: bool) -> None:
        keys = [each["key"] for each in build(deployment(simulated=is_simulated))["spec"]["tolerations"]]
        assert keys == (["rempart.eu/simulated"] if is_simulated else [])

    def test_gpus_are_asked_for_by_count(self) -> None:
        (container,) = build(deployment(accelerator={"sku": "b300", "count": 4}))["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "4"
        (container,) = build(deployment())["spec"]["containers"]
        assert "nvidia.com/gpu" not in container["resources"]["limits"]

    def test_secrets_are_references_never_values(self) -> None:
        refs = [{"key": "TOKEN", "secretName": "s", "secretKey": "k"}]
        (container,) = build(deployment(secretRefs=refs))["spec"]["containers"]
        assert {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}} in container["env"]

    def test_a_tenant_cannot_override_the_model_that_was_checked(self) -> None:
        env = [{"key": "REMPART_MODEL_DIGEST", "value": "sha256:evil"}]
        (container,) = build(deployment(env=env))["spec"]["containers"]
        values = [each["value"] for each in container["env"] if each["name"] == "REMPART_MODEL_DIGEST"]
        assert values == ["sha256:" + "0" * 64]

    @pytest.mark.parametrize(("concurrency", "expected"), [(1, "1"), (4, "4"), (100, "16")])
    def test_the_engine_is_told_how_many_requests_come_together(
        self, concurrency: int, expected: str
    ) -> None:
        (container,) = build(deployment(scaling={"concurrencyPerReplica": concurrency}))["spec"]["containers"]
        assert {"name": "REMPART_PARALLEL", "value": expected} in container["env"]

    def test_drain_time_is_the_grace_of_the_pod(self) -> None:
        assert build(deployment())["spec"]["terminationGracePeriodSeconds"] == 45

    def test_what_was_built_reads_back_as_a_replica(self) -> None:
        view = observe_pod({**build(deployment(), 1, 2), "status": {}})
        assert (view.replica_index, view.attempt, view.wanted_at, view.created_at) == (1, 2, T0, T0)
        assert view.template_hash == hash_template(deployment())


class TestName:
    def test_the_same_attempt_has_the_same_name_and_another_has_another(self) -> None:
        resource = deployment()
        template = hash_template(resource)
        found = [name_pod(resource, PodToCreate(i, a, 0), template) for i in range(3) for a in range(3)]
        assert len(set(found)) == 9
        assert found[0] == name_pod(resource, PodToCreate(0, 0, 5), template)

    @pytest.mark.parametrize(
        "changes",
        [
            {"env": [{"key": "A", "value": "1"}]},
            {"engine": {"name": "vllm", "image": "registry.example/vllm:2"}},
            {"nodePools": ["b300-b"]},
            {"cpuMilli": 5000},
        ],
    )
    def test_what_a_replica_runs_is_in_the_hash(self, changes: dict[str, Any]) -> None:
        assert hash_template(deployment(**changes)) != hash_template(deployment())

    @pytest.mark.parametrize(
        "changes", [{"replicas": {"min": 1, "max": 9}}, {"paused": True}, {"scaling": {"idleSeconds": 9}}]
    )
    def test_how_many_replicas_run_is_not_in_the_hash(self, changes: dict[str, Any]) -> None:
        assert hash_template(deployment(**changes)) == hash_template(deployment())

    def test_a_long_name_becomes_a_label_value_of_its_own(self) -> None:
        long, other = "s" * 63 + "-00000001", "s" * 63 + "-00000002"
        assert len(label_of(long)) <= 63
        assert label_of(long) != label_of(other)
