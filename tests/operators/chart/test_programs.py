"""Each program of the control plane's chart really runs on what its pod gives it: that environment, no more."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local import probes
from tests.fixtures.database import DatabaseUrls, create_database, drop_database, free_port
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.chart.charts import CHARTS, FULL, Helm, Object, containers_of, pod_of, workloads

START_SECONDS_MAX = 60.0
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

    def start_and_stop(self, is_up: Callable[[int, str], bool], log: Path) -> None:
        """Run it as a Deployment does until it is up; it must then stop cleanly within its pod's grace."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command, env=self.environment, cwd=CHARTS.parent, stdout=output, stderr=output
            )
        try:
            end = time.monotonic() + START_SECONDS_MAX
            while not is_up(process.pid, log.read_text(encoding="utf-8")):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < end, log.read_text(encoding="utf-8")
                time.sleep(POLL_S)
            process.terminate()
            code, said = process.wait(self.grace_seconds), log.read_text(encoding="utf-8")
            # uvicorn ends by the signal it was given, once it has shut down in order.
            assert code == 0 or (code == -signal.SIGTERM and "Application shutdown complete" in said), said
        finally:
            process.kill()
            process.wait()


def answers(port: int) -> Callable[[int, str], bool]:
    def is_ready(pid: int, said: str) -> bool:
        del pid, said
        try:
            return probes.answers_http(port, "/healthz") and probes.answers_http(port, "/readyz")
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
        "REMPART_KEY_PEPPER": "5c" * 32,
    }
    port = free_port()
    files = {
        "/etc/rempart/admin/key": str(tmp_path / "key"),
        "/etc/rempart/cell/kubeconfig": str(kubernetes_api.kubeconfigs["rempart-controlplane"]),
        "8080": str(port),
        # Here every interface would be more than this machine's own.
        "0.0.0.0": "127.0.0.1",
    }
    rendered = workloads(helm.objects("controlplane", FULL["controlplane"]))
    pods = {name: Pod(workload, secrets, files) for name, workload in rendered.items()}
    for _ in range(2):
        pods["migrate"].run()
    assert [pods["seed"].run().split()[-2:] for _ in range(2)] == [["registered", "now."], ["is", "known."]]
    signs = {
        "api": answers(port),
        "worker": probes.is_connected,
        "beat": probes.says("beat_started"),
        "relay": probes.says("relay_listening"),
        "watcher": probes.is_connected,
    }
    assert set(signs) == set(pods) - {"migrate", "seed"}
    for name, is_up in signs.items():
        pods[name].start_and_stop(is_up, tmp_path / f"{name}.log")
