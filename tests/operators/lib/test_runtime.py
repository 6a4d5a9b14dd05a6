"""Client, reflector and election against a real API server, also through a connection that breaks."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from operators.lib.access import Access, load_access
from operators.lib.client import KubernetesClient
from operators.lib.errors import AlreadyExists, Conflict, Gone, Invalid, NotFound, Unavailable
from operators.lib.objects import GPU_NODE_POOLS, NODES, Obj, ObjectKey, Resource
from operators.lib.reflector import Reflector, Selection
from operators.lib.store import Store
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.harness import DEADLINE_S, pool_manifest, until

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", True)
MANAGER = "rempart-test"


def config(name: str, **data: str) -> Obj:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


def key(name: str) -> ObjectKey:
    return ObjectKey("default", name)


@pytest.fixture
async def admin(kubernetes_api: KubernetesApi) -> AsyncIterator[KubernetesClient]:
    """A client of the cluster's administrator."""
    async with KubernetesClient(load_access(str(kubernetes_api.kubeconfig))) as client:
        yield client


class BreakableLine:
    """A loopback relay to the API server whose connections a test can cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["BreakableLine"]:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> int:
        """Break every connection; how many there were."""
        count = len(self._writers)
        for writer in list(self._writers):
            writer.transport.abort()
        return count

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        finally:
            self._writers -= {writer, far_writer}
            writer.close()
            far_writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


async def test_each_refusal_is_its_own_error(admin: KubernetesClient) -> None:
    await admin.create(CONFIG_MAPS, config("errors", a="1"), manager=MANAGER)
    try:
        with pytest.raises(AlreadyExists):
            await admin.create(CONFIG_MAPS, config("errors", a="1"), manager=MANAGER)
        with pytest.raises(NotFound):
            await admin.get(CONFIG_MAPS, key("absent"))
        stale = {"metadata": {"resourceVersion": "1"}, "data": {"a": "2"}}
        with pytest.raises(Conflict):
            await admin.patch(CONFIG_MAPS, key("errors"), stale, manager=MANAGER)
        with pytest.raises(Conflict):
            await admin.delete(CONFIG_MAPS, key("errors"), uid="another")
        with pytest.raises(Invalid):
            await admin.create(GPU_NODE_POOLS, pool_manifest("bad", -1), manager=MANAGER)
    finally:
        await admin.delete(CONFIG_MAPS, key("errors"))
    assert await admin.delete(CONFIG_MAPS, key("errors")) is None


class ForgetfulServer:
    """Stands in for an API server that has compacted its history: every watch begins with 410."""

    def __init__(self) -> None:
        self.lists: list[str] = []
        self.second_list = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        if "watch" in request.query:
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            return web.Response(body=json.dumps({"type": "ERROR", "object": status}) + "\n")
        self.lists.append(request.query.get("resourceVersion", ""))
        if len(self.lists) == 2:
            self.second_list.set()
        item = {
            "metadata": {"name": f"n{len(self.lists)}", "uid": f"{len(self.lists)}", "resourceVersion": "5"}
        }
        return web.json_response({"metadata": {"resourceVersion": str(4 + len(self.lists))}, "items": [item]})


async def test_a_forgotten_revision_is_listed_again_from_the_current_state() -> None:
    server = ForgetfulServer()
    app = web.Application()
    app.router.add_get("/api/v1/nodes", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        access = Access(f"http://127.0.0.1:{runner.addresses[0][1]}", None, lambda: None)
        async with KubernetesClient(access) as client:
            with pytest.raises(Gone):
                await anext(client.watch(NODES, revision=1))
            store = Store(NODES)
            task = asyncio.create_task(Reflector(client, store, Selection(NODES)).run())
            await asyncio.wait_for(server.second_list.wait(), DEADLINE_S)

            async def is_replaced() -> bool:
                return store.find("n1") is None

            await until(is_replaced, "the first list's object is dropped")
            task.cancel()
            await asyncio.wait({task})
        # The start may read the server's cache; after 410 only the current state will do.
        assert server.lists[:2] == ["0", ""]
    finally:
        await runner.cleanup()


async def test_applying_the_same_again_sends_nothing_and_drift_is_corrected(admin: KubernetesClient) -> None:
    wanted = config("apply", a="1", b="2")
    first = await admin.apply(CONFIG_MAPS, wanted, manager=MANAGER)
    assert first is not None
    writes = admin.metrics.writes_total()
    assert await admin.apply(CONFIG_MAPS, wanted, manager=MANAGER, cached=first) is None
    labelled = await admin.patch(
        CONFIG_MAPS, key("apply"), {"metadata": {"labels": {"x": "y"}}}, manager="other"
    )
    assert await admin.apply(CONFIG_MAPS, wanted, manager=MANAGER, cached=labelled) is None
    assert admin.metrics.writes_total() == writes + 1
    drifted = await admin.patch(CONFIG_MAPS, key("apply"), {"data": {"a": "9"}}, manager="other")
    fixed = await admin.apply(CONFIG_MAPS, wanted, manager=MANAGER, cached=drifted)
    assert fixed is not None
    assert fixed["data"] == {"a": "1", "b": "2"}
    shorter = await admin.apply(CONFIG_MAPS, config("apply", a="1"), manager=MANAGER, cached=fixed)
    assert shorter is not None
    assert shorter["data"] == {"a": "1"}
    await admin.delete(CONFIG_MAPS, key("apply"))


async def test_a_status_equal_to_the_cached_one_is_not_sent(admin: KubernetesClient) -> None:
    pool = await admin.create(GPU_NODE_POOLS, pool_manifest("status", 0), manager=MANAGER)
    status = {"replicas": 0, "readyReplicas": 0, "phases": {"Ready": 1, "Failed": 1}}
    written = await admin.patch_status(GPU_NODE_POOLS, pool, status, manager=MANAGER)
    assert written is not None
    assert await admin.patch_status(GPU_NODE_POOLS, written, written["status"], manager=MANAGER) is None
    less = await admin.patch_status(GPU_NODE_POOLS, written, {"phases": {"Ready": 2}}, manager=MANAGER)
    assert less is not None
    assert less["status"]["phases"] == {"Ready": 2}
    await admin.delete(GPU_NODE_POOLS, ObjectKey("", "status"))


async def test_a_cache_survives_cut_connections_and_misses_nothing(
    kubernetes_api: KubernetesApi, admin: KubernetesClient
) -> None:
    access = load_access(str(kubernetes_api.kubeconfig))
    address = urlsplit(access.server)
    assert address.hostname is not None
    assert address.port is not None
    async with BreakableLine(address.hostname, address.port).open() as line:
        through = replace(access, server=f"https://127.0.0.1:{line.port}")
        async with KubernetesClient(through) as client:
            store = Store(CONFIG_MAPS)
            reflector = Reflector(client, store, Selection(CONFIG_MAPS, "default", "kind=cut"))
            task = asyncio.create_task(reflector.run())
            await asyncio.wait_for(reflector.synced.wait(), DEADLINE_S)
            for number in range(4):
                manifest = config(f"cut-{number}", n=str(number))
                manifest["metadata"]["labels"] = {"kind": "cut"}
                await admin.create(CONFIG_MAPS, manifest, manager=MANAGER)
                if number == 2:
                    await admin.delete(CONFIG_MAPS, key("cut-0"))

                async def is_equal() -> bool:
                    actual = await admin.list(CONFIG_MAPS, namespace="default", label_selector="kind=cut")
                    return {k.name for k in store.keys()} == {i["metadata"]["name"] for i in actual.items}  # noqa: SIM118

                await until(is_equal, f"the cache shows change {number}")
                assert line.cut() > 0
            assert all("managedFields" not in obj["metadata"] for obj in store)
            task.cancel()
            await asyncio.wait({task})
            for number in range(1, 4):
                await admin.delete(CONFIG_MAPS, key(f"cut-{number}"))


async def test_an_unreachable_server_is_unavailable_after_bounded_attempts(
    kubernetes_api: KubernetesApi,
) -> None:
    access = replace(load_access(str(kubernetes_api.kubeconfig)), server="https://127.0.0.1:1")
    async with KubernetesClient(access) as client:
        with pytest.raises(Unavailable):
            await client.get(NODES, ObjectKey("", "x"))
        attempts = [
            sample.value
            for metric in client.metrics.api_requests.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        ]
        assert sum(attempts) == 4


async def test_the_program_serves_probes_logs_json_and_ends_on_sigterm(
    kubernetes_api: KubernetesApi, tmp_path: Path
) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("REMPART_")},
        "KUBECONFIG": str(kubernetes_api.kubeconfigs["rempart-operators"]),
        "REMPART_ENVIRONMENT": "local",
        "REMPART_STATE_DIR": str(tmp_path),
        # Nothing listens there: the operators run without their wake-up hints, and say so in the log.
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    log_file = tmp_path / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "operators"], env=environment, stderr=log)
    try:

        async def events() -> dict[str, Obj]:
            lines = [json.loads(line) for line in log_file.read_text().splitlines()]
            assert process.poll() is None, lines
            return {line["event"]: line for line in lines}

        async def leads() -> bool:
            return "leader_elected" in await events()

        await until(leads, "the operators lead")
        port = (await events())["health_listening"]["port"]
        async with aiohttp.ClientSession() as session:
            for path, text in (
                ("healthz", "ok"),
                ("readyz", "ready"),
                ("metrics", "rempart_operator_leader 1.0"),
            ):
                async with session.get(f"http://127.0.0.1:{port}/{path}") as response:
                    assert response.status == 200
                    assert text in await response.text()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        process.kill()
        process.wait()
    assert json.loads(log_file.read_text().splitlines()[-1])["event"] == "operators_stopped"


async def test_settings_that_cannot_be_used_end_the_program_with_their_name(tmp_path: Path) -> None:
    environment = {**os.environ, "REMPART_OPERATOR_WORKERS": "many"}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "operators"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "REMPART_OPERATOR_WORKERS" in done.stderr
