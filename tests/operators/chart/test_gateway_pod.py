"""The gateway's pod agrees with the program inside: its files, its flags, its doors."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from controlplane.gateway.domain import GatewayConfig
from controlplane.gateway.envoy_bootstrap import build_arguments
from controlplane.kernel.keyring import Keyring
from tests.operators.chart.charts import FULL, REQUIRED, Helm, Object, containers_of, pod_of, workloads

COMMAND_SECONDS_MAX = 30.0
POD_NAME = "$(POD_NAME)"


@contextmanager
def answering(status: int) -> Iterator[tuple[int, list[str]]]:
    """A server on loopback that gives each call this status; its port and the calls it saw."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            del code, size

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def stateful(helm: Helm) -> Object:
    (found,) = workloads(helm.objects("gateway", REQUIRED["gateway"])).values()
    return found


def run_in_pod(command: list[str], ports: dict[str, int]) -> int:
    """Run a probe's or hook's command as the pod would, with its doors elsewhere."""
    for port, actual in ports.items():
        command = [word.replace(f"127.0.0.1:{port}/", f"127.0.0.1:{actual}/") for word in command]
    assert command[0] == "python"
    done = subprocess.run(
        [sys.executable, *command[1:]], capture_output=True, timeout=COMMAND_SECONDS_MAX, check=False
    )
    return done.returncode


def config_of(gateway: Object) -> GatewayConfig:
    told = {each["name"]: each.get("value", "") for each in gateway["env"]}
    return GatewayConfig(
        name=told["REMPART_GATEWAY_NAME"],
        host=told["REMPART_GATEWAY_HOST"],
        port=int(told["REMPART_GATEWAY_PORT"]),
        admin_port=int(told["REMPART_GATEWAY_ADMIN_PORT"]),
        activator_port=int(told["REMPART_ACTIVATOR_PORT"]),
        state_dir=Path(told["REMPART_STATE_DIR"]),
        redis_url="",
        hash_ring=Keyring.single(b"p" * 32),
        workers=int(told["REMPART_GATEWAY_WORKERS"]),
    )


def test_envoy_is_started_as_the_gateway_asks(stateful: Object) -> None:
    gateway, envoy = containers_of(stateful)
    config = config_of(gateway)
    assert config.name == f"essonne-1.{POD_NAME}"
    flags, bootstrap = envoy["args"], config.envoy_dir / "bootstrap.json"
    assert flags == ["-c", str(bootstrap), *build_arguments(config)]
    assert [port["containerPort"] for port in envoy["ports"]] == [config.port]
    # Both name themselves after the pod.
    for container in (gateway, envoy):
        assert {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} in container[
            "env"
        ]


def test_the_gateway_knows_the_names_it_is_called_by_and_its_memory(stateful: Object) -> None:
    gateway, envoy = containers_of(stateful)
    told = {each["name"]: each.get("value", "") for each in gateway["env"]}
    (service,) = {stateful["metadata"]["name"]}
    inside = f"{service}.{stateful['metadata']['namespace']}"
    names = told["REMPART_GATEWAY_NAMES"].split(",")
    assert {service, inside, f"{inside}.svc", f"{inside}.svc.cluster.local"} <= set(names)
    limit = envoy["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    assert int(told["REMPART_ENVOY_MEMORY_BYTES"]) <= 0.8 * int(limit[:-2]) * 2**30


def test_both_programs_share_a_volume_that_outlives_the_pod(stateful: Object) -> None:
    gateway, envoy = containers_of(stateful)
    assert gateway["volumeMounts"] == envoy["volumeMounts"] == [{"name": "state", "mountPath": "/state"}]
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "state"
    assert stateful["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"


def test_without_a_volume_the_state_goes_with_the_pod_and_the_notes_say_so(helm: Helm) -> None:
    (found,) = workloads(helm.objects("gateway", FULL["gateway"])).values()
    assert "volumeClaimTemplates" not in found["spec"]
    state = [each for each in pod_of(found)["volumes"] if each["name"] == "state"]
    assert state == [{"name": "state", "emptyDir": {"sizeLimit": "1Gi"}}]


def test_envoy_starts_behind_the_gateway_and_stops_before_it(stateful: Object) -> None:
    gateway, envoy = containers_of(stateful)
    (sidecar,) = pod_of(stateful)["initContainers"]
    assert sidecar["name"] == gateway["name"] == "gateway"
    assert sidecar["restartPolicy"] == "Always"
    assert "startupProbe" in sidecar
    drains = envoy["lifecycle"]["preStop"]["sleep"]["seconds"]
    # After Envoy the activator's own 25 s and the last look at the access log must fit.
    assert pod_of(stateful)["terminationGracePeriodSeconds"] >= drains + 25 + 15


@pytest.mark.parametrize("kind", ["startup", "liveness", "readiness"])
def test_a_probe_tells_a_good_answer_from_a_bad_one_and_from_none(stateful: Object, kind: str) -> None:
    gateway, _ = containers_of(stateful)
    config = config_of(gateway)
    command = gateway[f"{kind}Probe"]["exec"]["command"]
    doors = {str(config.activator_port), str(config.admin_port)}
    with answering(200) as (good, seen), answering(503) as (bad, _):
        assert run_in_pod(command, dict.fromkeys(doors, good)) == 0
        asked = ["GET /healthz", "GET /ready"] if kind == "readiness" else ["GET /healthz"]
        assert seen == asked
        assert run_in_pod(command, dict.fromkeys(doors, bad)) != 0
    assert run_in_pod(command, dict.fromkeys(doors, good)) != 0


def test_a_pod_that_stops_tells_envoy_to_drain(stateful: Object) -> None:
    gateway, _ = containers_of(stateful)
    command = gateway["lifecycle"]["preStop"]["exec"]["command"]
    with answering(200) as (port, seen):
        assert run_in_pod(command, {str(config_of(gateway).admin_port): port}) == 0
    assert seen == ["POST /healthcheck/fail"]
