"""Each program of the control plane's chart really runs on what its pod gives it: that environment, no more."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local import probes
from tests.fixtures.database import DatabaseUrls, create_database, drop_database, free_port
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.chart.charts import (
    CHARTS,
    FULL,
    Helm,
    Object,
    containers_of,
    is_selected,
    of_kind,
    pod_of,
    workloads,
)

START_SECONDS_MAX = 180.0
PROBE_SECONDS_MAX = 30.0
METRICS_PORT = "9100"
PROBES = ("startup", "liveness", "readiness")
# Longer than any loop takes between two signs while all it works with is there.
PATIENCE_SECONDS = 5.0
POLL_S = 0.1


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[DatabaseUrls]:
    urls = create_database(postgres_url)
    yield urls
    drop_database(postgres_url, urls)


class Pod:
    """A workload's one container as a process: its command, and the environment that its Secrets fill."""

    def __init__(self, workload: Object, secrets: dict[str, str], files: dict[str, str]) -> None:
        (container,) = containers_of(workload)
        self.grace_seconds = pod_of(workload).get("terminationGracePeriodSeconds", 30)
        assert container["command"][0] == "python"
        self.command = [sys.executable, *(files.get(word, word) for word in container["command"][1:])]
        given = {
            each["name"]: files.get(each["value"], each["value"])
            if "value" in each
            else secrets[each["valueFrom"]["secretKeyRef"]["key"]]
            for each in container["env"]
        }
        self.environment = {"PATH": os.environ["PATH"], **given}
        self.probes = {
            kind: container[f"{kind}Probe"]["exec"]["command"]
            for kind in PROBES
            if "exec" in container.get(f"{kind}Probe", {})
        }

    def run(self) -> str:
        """Run it as a Job does; what it printed. Errors: AssertionError when it fails."""
        done = subprocess.run(
            self.command,
            env=self.environment,
            cwd=CHARTS.parent,
            capture_output=True,
            text=True,
            timeout=START_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def probe(self, kind: str, seconds_max: float | None = None) -> bool:
        """Whether the kubelet would be content; with `seconds_max`, as if the probe had that patience."""
        command = [sys.executable, *self.probes[kind][1:]]
        if seconds_max is not None:
            command[command.index("--max-age") + 1] = str(seconds_max)
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=CHARTS.parent,
            capture_output=True,
            timeout=PROBE_SECONDS_MAX,
            check=False,
        )
        return done.returncode == 0

    @contextmanager
    def started(self, log: Path) -> Iterator["Running"]:
        """Run it as a Deployment does; afterwards it is gone, also when a test failed."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command, env=self.environment, cwd=CHARTS.parent, stdout=output, stderr=output
            )
        try:
            yield Running(self, process, log)
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Running:
    """A pod's program while it runs."""

    pod: Pod
    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, check: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + START_SECONDS_MAX
        while not check():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, f"{what}: {self.said()}"
            time.sleep(POLL_S)

    def stop(self) -> None:
        """It stops cleanly within its pod's grace."""
        self.process.terminate()
        code, said = self.process.wait(self.pod.grace_seconds), self.said()
        # uvicorn ends by the signal it was given, once it has shut down in order.
        assert code == 0 or (code == -signal.SIGTERM and "Application shutdown complete" in said), said


def answers(port: int, *paths: str) -> Callable[[int, str], bool]:
    def is_ready(pid: int, said: str) -> bool:
        del pid, said
        try:
            return all(probes.answers_http(port, path) for path in paths)
        except OSError:
            return False

    return is_ready


def test_every_program_runs_on_what_its_pod_gives_it(
    helm: Helm, kubernetes_api: KubernetesApi, empty_database: DatabaseUrls, redis_url: str, tmp_path: Path
) -> None:
    secrets = {
        "DATABASE_URL": empty_database.owner,
        "REMPART_DATABASE_URL": empty_database.app,
        "REMPART_SYSTEM_DATABASE_URL": empty_database.system,
        "REDIS_URL": redis_url,
        "REMPART_HASH_KEYS": "1:" + "5a" * 32,
        "REMPART_SEALING_KEYS": "1:" + "5b" * 32,
        "REMPART_SESSION_KEYS": "1:" + "5c" * 32,
        "REMPART_TOKEN_KEYS": "1:" + "5d" * 32,
    }
    port, portal_port = free_port(), free_port()
    files = {
        "/etc/rempart/keys/admin": str(tmp_path / "admin"),
        "/etc/rempart/keys/producer": str(tmp_path / "producer"),
        "/etc/rempart/cell/kubeconfig": str(kubernetes_api.kubeconfigs["rempart-controlplane"]),
        "8080": str(port),
        "8084": str(portal_port),
        # Here every interface would be more than this machine's own.
        "0.0.0.0": "127.0.0.1",
    }
    objects = helm.objects("controlplane", FULL["controlplane"])
    rendered = workloads(objects)
    # The portal is ready once the API is, which it asks by the name and port of the API's Service.
    labels = rendered["api"]["spec"]["template"]["metadata"]["labels"]
    (service,) = (
        each
        for each in of_kind(objects, "Service")
        if is_selected({"matchLabels": each["spec"]["selector"]}, labels)
    )
    (entry,) = service["spec"]["ports"]
    files[f"http://{service['metadata']['name']}:{entry['port']}"] = f"http://127.0.0.1:{port}"
    # Each pod has a network of its own, so the same port serves every program's metrics; here they share one.
    metrics_ports = {name: free_port() for name in rendered}
    pods = {
        name: Pod(
            workload,
            secrets,
            {
                **files,
                "/tmp/pulse": str(tmp_path / f"{name}-pulse"),  # noqa: S108
                METRICS_PORT: str(metrics_ports[name]),
            },
        )
        for name, workload in rendered.items()
    }
    for _ in range(2):
        pods["migrate"].run()
    assert [pods["seed"].run().split()[-2:] for _ in range(2)] == [["registered", "now."], ["is", "known."]]
    signs = {
        "api": answers(port, "/healthz", "/readyz"),
        "portal": answers(portal_port, "/livez", "/readyz"),
        "worker": probes.is_connected,
        "beat": probes.says("beat_started"),
        "relay": probes.says("relay_listening"),
        "watcher": probes.is_connected,
    }
    assert set(signs) == set(pods) - {"migrate", "seed"}
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(pods[name].started(tmp_path / f"{name}.log")) for name in sorted(signs)
        }
        for name, program in running.items():
            program.wait_for(lambda p=program, n=name: signs[n](p.process.pid, p.said()), "up")  # type: ignore[misc]
            assert probes.answers_http(metrics_ports[name], "/metrics"), name
        portless = [program for program in running.values() if program.pod.probes]
        assert len(portless) == 4
        check_probes(portless)
        for program in running.values():
            program.stop()


def check_probes(programs: list[Running]) -> None:
    """A program that runs satisfies its probes; one that hangs does not, until it goes on."""
    for program in programs:
        assert set(program.pod.probes) == set(PROBES)
        for kind in PROBES:
            program.wait_for(lambda p=program, k=kind: p.pod.probe(k), kind)  # type: ignore[misc]
        program.process.send_signal(signal.SIGSTOP)
    for program in programs:
        program.wait_for(
            lambda p=program: not p.pod.probe("liveness", PATIENCE_SECONDS),  # type: ignore[misc]
            "a hanging program counts as alive",
        )
        program.process.send_signal(signal.SIGCONT)
    for program in programs:
        program.wait_for(
            lambda p=program: p.pod.probe("readiness", PATIENCE_SECONDS),  # type: ignore[misc]
            "not ready again",
        )
