"""A disk that fills up while calls go on: what is not recorded is not run."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.database import running_redis
from tests.integration.gateway.rig import MODEL, Rig, Tenant, free_ports, running_rig, wait_until
from tests.integration.gateway.scripted_engine import ScriptedEngine

CHAT = "/v1/chat/completions"
CALL = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
PATIENCE_SECONDS = 120
RESERVE_MIB = 8

pytestmark = pytest.mark.case("X7")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB and 400 files. Only root may mount one: for others the test needs a prepared folder."""
    prepared = os.environ.get("REMPART_TEST_SMALL_DISK")
    if prepared:
        yield Path(prepared)
        return
    folder = tmp_path / "disk"
    folder.mkdir()
    assert os.geteuid() == 0, "run as root, or name a file system of 48 MiB in REMPART_TEST_SMALL_DISK"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,nr_inodes=400", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def rig(tmp_path: Path, small_disk: Path) -> Iterator[Rig]:
    settings = {"REMPART_GATEWAY_DISK_RESERVE_MIB": str(RESERVE_MIB)}
    with (
        running_redis(tmp_path, free_ports(1)[0]) as redis,
        running_rig(small_disk / "state", redis[0], settings=settings) as running,
    ):
        yield running


class _Caller(threading.Thread):
    def __init__(self, rig: Rig, tenant: Tenant) -> None:
        super().__init__(daemon=True)
        self._rig, self._key = rig, tenant.key
        self.answered: list[str] = []
        self.refused: list[httpx.Response] = []
        self.is_stopped = False

    def run(self) -> None:
        headers = {"authorization": f"Bearer {self._key}"}
        with httpx.Client(base_url=self._rig.url, headers=headers, timeout=30) as client:
            while not self.is_stopped:
                response = client.post(CHAT, json=CALL)
                if response.status_code == 200:
                    self.answered.append(response.headers["x-request-id"])
                else:
                    self.refused.append(response)
                    time.sleep(0.02)


def _until_full(act: Callable[[], object]) -> None:
    while True:
        try:
            act()
        except OSError as err:
            if err.errno != errno.ENOSPC:
                raise
            return


def fill_bytes(folder: Path) -> list[Path]:
    """Take every byte that is free."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            _until_full(lambda size=size: file.write(b"x" * size))  # type: ignore[misc]
    return [path]


def fill_inodes(folder: Path) -> list[Path]:
    """Take every file that may still be made."""
    made: list[Path] = []

    def make() -> None:
        path = folder / f"filler-{len(made)}"
        path.touch()
        made.append(path)

    _until_full(make)
    return made


@pytest.mark.parametrize("fill", [fill_bytes, fill_inodes])
def test_every_answered_call_is_metered_over_a_full_disk(rig: Rig, small_disk: Path, fill: object) -> None:
    assert callable(fill)
    tenant = Tenant()
    rig.publish_keys(tenant)
    route = tenant.route()
    rig.publish_routes(route)
    with ScriptedEngine() as engine:
        rig.publish_endpoints(route, engine.port)
        callers = [_Caller(rig, tenant) for _ in range(2)]
        for caller in callers:
            caller.start()
        wait_until(lambda: all(len(c.answered) > 50 for c in callers), "calls", PATIENCE_SECONDS)
        made = fill(small_disk)
        wait_until(lambda: all(len(c.refused) > 20 for c in callers), "refusals", PATIENCE_SECONDS)
        # Nothing more is given away, however long the disk stays full.
        before = sum(len(c.answered) for c in callers)
        wait_until(lambda: all(len(c.refused) > 60 for c in callers), "more refusals", PATIENCE_SECONDS)
        assert sum(len(c.answered) for c in callers) == before
        for path in made:
            path.unlink()
        enough = [len(c.answered) + 50 for c in callers]
        wait_until(
            lambda: all(len(c.answered) > n for c, n in zip(callers, enough, strict=True)),
            "calls once there is room again", PATIENCE_SECONDS,
        )  # fmt: skip
        for caller in callers:
            caller.is_stopped = True
            caller.join(30)
    answered = {name for caller in callers for name in caller.answered}
    wait_until(lambda: not answered - {line["id"] for line in rig.usage()}, "every call", PATIENCE_SECONDS)
    ids = [line["id"] for line in rig.usage()]
    assert len(ids) == len(set(ids))
    assert all(line["data"]["output_tokens"] == 5 for line in rig.usage() if line["id"] in answered)
    refusal = callers[0].refused[-1]
    assert refusal.status_code == 503
    assert refusal.headers["retry-after"] == "10"
    assert refusal.json()["error"]["code"] == "usage_not_recordable"
    assert refusal.json()["error"]["type"] == "server_error"
    health = rig.health()
    assert health is not None
    assert health["is_recording"] is True
