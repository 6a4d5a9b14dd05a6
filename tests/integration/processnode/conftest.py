"""A process node on the session's API server: the real program, started as the local stack starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.kubernetes import KubernetesApi

DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.05
IDENTITY = "process-node"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def wait_until(is_true: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(POLL_SECONDS)


class ProcessNodeProgram:
    """One host, the process node that serves it, and the cluster it joins."""

    def __init__(self, api: KubernetesApi, folder: Path, host_id: str) -> None:
        self.api = api
        self.node = f"node-{host_id}"
        self.host = folder / "hosts" / host_id
        self.state = folder / "state"
        self._log = folder / "process-node.log"
        self._host_id = host_id
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        keys = self.api.root / "pki"
        command = [sys.executable, "-m", "infra.local.processnode", "--host-id", self._host_id]
        command += ["--hosts-dir", str(self.host.parent), "--state-dir", str(self.state)]
        command += ["--tls-cert", str(keys / "node-server.crt"), "--tls-key", str(keys / "node-server.key")]
        command += ["--client-ca", str(keys / "ca.crt")]
        env = {**os.environ, "KUBECONFIG": str(self.api.kubeconfigs[IDENTITY])}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.wait(DEADLINE_SECONDS)
            self.process = None

    def assign(self, **changes: Any) -> None:
        document = {
            "claimUid": f"claim-of-{self.node}",
            "nodeName": self.node,
            "labels": {"rempart.eu/node-pool": "local"},
            "taints": [{"key": "rempart.eu/unvalidated", "effect": "NoSchedule"}],
            "providerID": f"process://{self._host_id}",
            **changes,
        }
        self.host.mkdir(parents=True, exist_ok=True)
        part = self.host / "assignment.part"
        part.write_text(json.dumps(document))
        part.replace(self.host / "assignment.json")

    def unassign(self) -> None:
        (self.host / "assignment.json").unlink()

    def get(self, kind: str, name: str, namespace: str = "rempart-system") -> dict[str, Any] | None:
        done = self.api.try_kubectl("get", kind, name, "-n", namespace, "-o", "json")
        if done.returncode and "NotFound" in done.stderr:
            return None
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def is_ready(self) -> bool:
        node = self.get("node", self.node)
        conditions = node["status"]["conditions"] if node else []
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def create_pod(self, name: str, namespace: str = "rempart-system", **changes: Any) -> None:
        spec = changes.pop("spec", {})
        container = {
            "name": "c",
            "image": "rempart.eu/local/process:1",
            "securityContext": RESTRICTED,
            **changes,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "nodeName": self.node,
                "automountServiceAccountToken": False,
                "containers": [container],
                **spec,
            },
        }
        self.api.kubectl("create", "-f", "-", stdin=json.dumps(pod))

    def status(self, name: str, namespace: str = "rempart-system") -> dict[str, Any]:
        pod = self.get("pod", name, namespace)
        status: dict[str, Any] = pod["status"] if pod else {}
        return status

    def container(self, name: str, namespace: str = "rempart-system") -> dict[str, Any]:
        found: dict[str, Any] = next(iter(self.status(name, namespace).get("containerStatuses", ())), {})
        return found

    def wait_for_container(
        self, name: str, is_true: Callable[[dict[str, Any]], bool], namespace: str = "rempart-system"
    ) -> dict[str, Any]:
        seen: list[dict[str, Any]] = []

        def looks_right() -> bool:
            seen.append(self.container(name, namespace))
            return bool(seen[-1]) and is_true(seen[-1])

        wait_until(looks_right, f"pod {name} as expected")
        return seen[-1]

    def processes(self, name: str, namespace: str = "rempart-system") -> list[int]:
        """List the living processes that carry this pod's uid."""
        pod = self.get("pod", name, namespace)
        return processes_of(pod["metadata"]["uid"]) if pod else []

    def delete_pod(self, name: str, *options: str, namespace: str = "rempart-system") -> None:
        self.api.kubectl("delete", "pod", name, "-n", namespace, *options)


def processes_of(uid: str) -> list[int]:
    """List living processes by a variable that only that pod's processes carry."""
    marker = f"REMPART_POD_UID={uid}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="session")
def serviced_api(kubernetes_api: KubernetesApi) -> KubernetesApi:
    """The session's API server once its namespaces take pods."""
    for namespace in ("default", "rempart-system"):
        wait_until(
            lambda ns=namespace: (  # type: ignore[misc]
                kubernetes_api.try_kubectl("get", "serviceaccount", "default", "-n", ns).returncode == 0
            ),
            f"namespace {namespace} has a service account",
        )
    return kubernetes_api


@pytest.fixture
def program(
    serviced_api: KubernetesApi, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[ProcessNodeProgram]:
    """A process node of one's own; whatever it leaves in the cluster goes with the test."""
    host_id = f"h{zlib.crc32(request.node.nodeid.encode()):08x}"
    started = ProcessNodeProgram(serviced_api, tmp_path, host_id)
    started.assign()
    started.start()
    try:
        wait_until(started.is_ready, "the node is ready")
        yield started
    finally:
        serviced_api.try_kubectl(
            "delete",
            "pod",
            "-A",
            f"--field-selector=spec.nodeName={started.node}",
            "--force",
            "--grace-period=0",
        )
        started.end(signal.SIGKILL)
        serviced_api.try_kubectl("delete", "node", started.node)
