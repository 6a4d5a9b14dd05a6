"""History that goes backwards: etcd put back to an older state, and API servers that say so in silence."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from infra.local.build import program
from infra.local.kubernetes import Kubernetes
from infra.local.versions import KUBERNETES
from operators.lib import pulse as pulse_module
from operators.lib.access import Access
from operators.lib.client import KubernetesClient
from operators.lib.clock import SystemClock
from operators.lib.objects import NODES, Obj
from operators.lib.pulse import Pulse
from operators.lib.reflector import Reflector, Selection
from operators.lib.store import Store
from tests.operators.harness import pool_manifest, until

DEADLINE_S = 90.0


def wait_for(check: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not check():
        assert time.monotonic() < end, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.2)


def kubectl(kubeconfig: Path, *arguments: str, stdin: str | None = None) -> str:
    command = [str(program(KUBERNETES, "kubectl")), f"--kubeconfig={kubeconfig}", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def readiness(port: int) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as err:
        return err.code, err.read().decode()


@contextlib.contextmanager
def operators_program(kubeconfig: Path, state: Path) -> Iterator[tuple[Callable[[], int], Path]]:
    """The real program, without election; its health port, and its log."""
    log_file = state / "operators.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("REMPART_")},
        "KUBECONFIG": str(kubeconfig),
        "REMPART_ENVIRONMENT": "local",
        "REMPART_STATE_DIR": str(state),
        "REMPART_OPERATOR_LEADER_ELECTION": "false",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    with log_file.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "operators"], env=environment, stderr=log)

    def port() -> int:
        assert process.poll() is None, log_file.read_text()[-2000:]
        for line in log_file.read_text().splitlines():
            if '"health_listening"' in line:
                return int(json.loads(line)["port"])
        return 0

    try:
        yield port, log_file
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()


@pytest.mark.case("F12")
def test_after_etcd_was_put_back_the_operator_says_not_ready_and_then_sees_the_present(
    tmp_path: Path,
) -> None:
    """Real etcd and API server, a real data directory of the past, and an operator that is never restarted."""
    root = tmp_path / "cluster"
    cluster = Kubernetes(root, has_controllers=False, has_simulated_nodes=False)
    kubeconfig = cluster.start()
    try:
        state = tmp_path / "state"
        state.mkdir()
        with operators_program(cluster.kubeconfig("rempart-operators"), state) as (port, log_file):
            wait_for(lambda: port() > 0 and readiness(port())[0] == 200, "ready at first")

            def claims() -> int:
                return len(kubectl(kubeconfig, "get", "nodeclaims", "-o", "name").split())

            kubectl(kubeconfig, "apply", "-f", "-", stdin=json.dumps(pool_manifest("restored", 2)))
            wait_for(lambda: claims() == 2, "two claims")
            cluster.stop()
            wait_for(lambda: readiness(port())[0] == 503, "not ready without an API server")
            assert "follow" in readiness(port())[1]
            data = root / "etcd"
            backup = tmp_path / "backup"
            shutil.copytree(data, backup)
            cluster.start()
            wait_for(lambda: readiness(port())[0] == 200, "ready again after a restart")
            kubectl(kubeconfig, "scale", "gnp/restored", "--replicas=9")
            wait_for(lambda: claims() == 9, "nine claims")
            # Past the revisions of the backup by more than the start of the API server itself will add.
            for number in range(30):
                kubectl(kubeconfig, "annotate", "--overwrite", "gnp/restored", f"busy={number}")
            cluster.stop()
            shutil.rmtree(data)
            shutil.copytree(backup, data)
            cluster.start()
            wait_for(lambda: readiness(port())[0] == 200, "ready once the present is seen")
            assert claims() == 2, "the past is the present now"
            kubectl(kubeconfig, "scale", "gnp/restored", "--replicas=5")
            wait_for(lambda: claims() == 5, "the operator acts on the present")
            status = json.loads(kubectl(kubeconfig, "get", "gnp/restored", "-o", "json"))["status"]
            wait_for(
                lambda: (
                    json.loads(kubectl(kubeconfig, "get", "gnp/restored", "-o", "json"))["status"]["replicas"]
                    == 5
                ),
                f"the status counts what is there, not {status['replicas']}",
            )
            assert "history_rewound" in log_file.read_text()
    finally:
        cluster.stop()


class Historian:
    """Stands in for an API server at the HTTP contract: its watches never end and never speak."""

    def __init__(self) -> None:
        self.revision = 100
        self.nodes = {"old": 90, "both": 95}
        self.lists = 0
        self.is_dumb = False
        self._port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await asyncio.sleep(3600)
            return response
        if self.is_dumb:
            return web.json_response({"kind": "Status", "code": 503, "message": "no"}, status=503)
        if "limit" not in request.query:
            self.lists += 1
        items: list[Obj] = [
            {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(revision)}}
            for name, revision in self.nodes.items()
        ]
        return web.json_response({"metadata": {"resourceVersion": str(self.revision)}, "items": items})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[KubernetesClient]:
        app = web.Application()
        app.router.add_get("/api/v1/nodes", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        access = Access(f"http://127.0.0.1:{runner.addresses[0][1]}", None, lambda: None)
        try:
            async with KubernetesClient(access) as client:
                yield client
        finally:
            await runner.cleanup()


@pytest.mark.case("F12")
async def test_a_watch_that_waits_for_the_future_is_noticed_without_any_broken_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse_module, "PULSE_S", 0.1)
    server = Historian()
    async with server.serving() as client:
        store = Store(NODES)
        reflector = Reflector(client, store, Selection(NODES))
        pulse = Pulse(client, SystemClock(), [reflector])
        assert "not filled" in pulse.why_not_ready()
        tasks = [asyncio.create_task(reflector.run()), asyncio.create_task(pulse.run())]

        async def is_ready() -> bool:
            return pulse.why_not_ready() == ""

        try:
            await until(is_ready, "ready", 10.0)
            # A backup of revision 40: `old` was made later, `both` was changed later.
            server.revision, server.nodes = 40, {"both": 12, "past": 30}

            async def sees_the_present() -> bool:
                found = {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in store}
                return found == {"both": "12", "past": "30"} and pulse.why_not_ready() == ""

            await until(sees_the_present, "the cache is the restored state", 10.0)
            assert server.lists == 2
            monkeypatch.setattr(pulse_module, "FRESH_S", 0.3)
            server.is_dumb = True

            async def is_unready() -> bool:
                return "no answer about the present" in pulse.why_not_ready()

            await until(is_unready, "not ready while nobody answers", 10.0)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
