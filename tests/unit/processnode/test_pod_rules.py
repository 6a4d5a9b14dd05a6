"""What a pod's spec becomes on a process node, and what is refused rather than half done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalogue.env_rules import PLATFORM_ENV
from infra.local.processnode.domain import EnvSource, PodRefused, RestartPolicy
from infra.local.processnode.pod_rules import (
    decide_plan,
    expand_references,
    parse_mib,
    parse_milli,
    read_field,
)

PYTHON = "python3"


def make_pod(
    namespace: str = "rempart-system", spec: dict[str, Any] | None = None, **container: Any
) -> dict[str, Any]:
    base = {"name": "c", "image": "rempart.eu/local/process:1", "command": ["true"], **container}
    return {
        "metadata": {"namespace": namespace, "name": "p", "uid": "u-1", "labels": {"app": "x"}},
        "spec": {"containers": [base], "nodeName": "n", **(spec or {})},
    }


def refusal(pod: dict[str, Any]) -> PodRefused:
    with pytest.raises(PodRefused) as caught:
        decide_plan(pod, PYTHON)
    return caught.value


class TestImages:
    def test_a_local_image_starts_its_module_with_the_pods_arguments(self) -> None:
        pod = make_pod("tenant", image="rempart.eu/local/llama-cpp:1", command=[], args=["--parallel", "2"])
        assert decide_plan(pod, PYTHON).command == (PYTHON, "-m", "infra.local.engine", "--parallel", "2")

    @pytest.mark.parametrize(
        "image",
        [
            "",
            "nginx",
            "rempart.eu/local/process",
            "rempart.eu/local/other:1",
            "evil/rempart.eu/local/process:1",
        ],
    )
    def test_any_other_image_does_not_exist_here(self, image: str) -> None:
        assert refusal(make_pod(image=image)).reason == "ErrImagePull"

    def test_any_command_is_for_the_system_namespace_only(self) -> None:
        assert decide_plan(make_pod(), PYTHON).command == ("true",)
        assert refusal(make_pod("tenant")).reason == "ErrImagePull"

    def test_a_local_image_keeps_its_own_program(self) -> None:
        pod = make_pod("tenant", image="rempart.eu/local/llama-cpp:1", command=["sh"])
        assert refusal(pod).reason == "CreateContainerConfigError"


class TestWhatAProcessCannotHonour:
    @pytest.mark.parametrize(
        "pod",
        [
            make_pod(spec={"initContainers": [{"name": "i"}]}),
            make_pod(spec={"containers": [{"name": "a"}, {"name": "b"}]}),
            make_pod(spec={"volumes": [{"name": "data", "emptyDir": {}}]}),
            make_pod(envFrom=[{"configMapRef": {"name": "s"}}]),
            make_pod(lifecycle={"preStop": {"exec": {"command": ["sleep", "5"]}}}),
            make_pod(readinessProbe={"exec": {"command": ["true"]}}),
            make_pod(
                readinessProbe={"httpGet": {"port": 80, "scheme": "HTTPS"}}, ports=[{"containerPort": 80}]
            ),
            make_pod(readinessProbe={"tcpSocket": {"port": 81}}, ports=[{"containerPort": 80}]),
            make_pod(resources={"limits": {"memory": "lots"}}),
            make_pod(env=[{"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]),
        ],
    )
    def test_it_is_refused_with_a_sentence(self, pod: dict[str, Any]) -> None:
        error = refusal(pod)
        assert error.reason == "CreateContainerConfigError"
        assert len(error.message.split()) > 4

    def test_the_token_volume_that_admission_adds_is_left_out(self) -> None:
        decide_plan(make_pod(spec={"volumes": [{"name": "kube-api-access-x1", "projected": {}}]}), PYTHON)


class TestEnvironment:
    @pytest.mark.parametrize(
        "name",
        [
            "LD_PRELOAD",
            "PYTHONPATH",
            "PATH",
            "GGML_BACKEND_PATH",
            "PORT",
            "HOME",
            "HTTPS_PROXY",
            "LLAMA_ARG_MODEL",
        ],
    )
    def test_a_tenant_cannot_choose_which_code_runs(self, name: str) -> None:
        image: dict[str, Any] = {"image": "rempart.eu/local/llama-cpp:1", "command": []}
        assert name in refusal(make_pod("tenant", env=[{"name": name, "value": "x"}], **image)).message
        decide_plan(make_pod(env=[{"name": name, "value": "x"}]), PYTHON)

    @pytest.mark.parametrize("name", ["LOG_LEVEL", "APP_MODE", *sorted(PLATFORM_ENV)])
    def test_what_the_api_allows_and_the_platform_tells_reaches_the_engine(self, name: str) -> None:
        image: dict[str, Any] = {"image": "rempart.eu/local/llama-cpp:1", "command": []}
        plan = decide_plan(make_pod("tenant", env=[{"name": name, "value": "x"}], **image), PYTHON)
        assert [entry.name for entry in plan.env] == [name]

    def test_a_secret_that_brings_variables_is_read_whole(self) -> None:
        plan = decide_plan(make_pod(envFrom=[{"secretRef": {"name": "s"}}]), PYTHON)
        assert plan.env_secrets == ("s",)

    def test_each_source_is_read(self) -> None:
        env = [
            {"name": "A", "value": "1"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
            {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ]
        sources = [entry.source for entry in decide_plan(make_pod(env=env), PYTHON).env]
        assert sources == [EnvSource.LITERAL, EnvSource.SECRET, EnvSource.CONFIG_MAP, EnvSource.FIELD]

    def test_fields_come_from_the_pod(self) -> None:
        pod = make_pod()
        assert read_field(pod, "metadata.labels['app']", "127.0.0.1") == "x"
        assert read_field(pod, "status.podIP", "127.0.0.1") == "127.0.0.1"
        with pytest.raises(PodRefused):
            read_field(pod, "spec.containers", "127.0.0.1")

    def test_references_expand_as_kubernetes_does(self) -> None:
        assert expand_references("$(A)-$$(A)-$(B)-$A", {"A": "1"}) == "1-$(A)-$(B)-$A"

    @given(st.text(alphabet="$()AB ", max_size=30))
    def test_expansion_without_variables_only_undoubles_dollars(self, text: str) -> None:
        assert len(expand_references(text, {})) == len(text) - text.count("$$")


class TestQuantities:
    @pytest.mark.parametrize(
        ("text", "milli"), [("0", 0), ("1", 1000), ("250m", 250), ("0.1", 100), ("1e1", 10000), ("0.0001", 1)]
    )
    def test_cpu(self, text: str, milli: int) -> None:
        assert parse_milli(text) == milli

    @pytest.mark.parametrize(
        ("text", "mib"), [("1Gi", 1024), ("512Mi", 512), ("1048576", 1), ("1M", 1), ("1", 1), ("0", 0)]
    )
    def test_memory_is_rounded_up(self, text: str, mib: int) -> None:
        assert parse_mib(text) == mib


def test_defaults_are_kubernetes_own() -> None:
    plan = decide_plan(make_pod(), PYTHON)
    assert (plan.restart_policy, plan.grace_seconds, plan.deadline_seconds) == (
        RestartPolicy.ALWAYS,
        30,
        None,
    )


def test_a_probe_finds_its_port_by_name_or_number() -> None:
    ports = [{"name": "http", "containerPort": 8080}]
    for wanted in ("http", 8080):
        plan = decide_plan(make_pod(ports=ports, readinessProbe={"httpGet": {"port": wanted}}), PYTHON)
        assert plan.readiness is not None
        assert (plan.readiness.port, plan.readiness.path, plan.readiness.period) == (8080, "/", 10)
