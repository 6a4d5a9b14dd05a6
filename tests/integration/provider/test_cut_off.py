"""The engine is killed between the server's work and the state; the next run finds what was made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.provider import Project, Service, inference
from infra.provider.workspace import OpenStack, RunFailed
from tests.fixtures.door import served
from tests.integration.deployments.fleet import MODEL
from tests.integration.provider.tenant import PASSPHRASE, STACK, Tenant

REPOSITORY = Path(__file__).resolve().parents[3]
KILLED_SECONDS_MAX = 120.0
# Another process runs the same program on the same stack: this is all it needs.
VICTIM = f"""
import os, pathlib
from infra.provider.workspace import open_stack
from tests.integration.provider.test_cut_off import declare
open_stack(declare, pathlib.Path("stack"), project="tests", stack="{STACK}", passphrase="{PASSPHRASE}",
           api_url=os.environ["REMPART_API_URL"], api_key=os.environ["REMPART_API_KEY"]).up()
"""


def declare() -> None:
    project = Project("project", name="cut-off")
    Service("service", name="cut-off", project_id=project.id, definition=inference(MODEL))


@dataclass
class KillingDoor:
    """The real door, which does a request whole and then kills who asked, before the answer leaves."""

    app: Any
    victim: subprocess.Popen[bytes] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        victim = self.victim
        is_last = scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", "/v1/services")
        if victim is None or not is_last:
            await self.app(scope, receive, send)
            return

        async def swallow(message: Any) -> None:
            del message

        await self.app(scope, receive, swallow)
        self.victim = None
        os.killpg(victim.pid, signal.SIGKILL)


@pytest.fixture
def stack(tenant: Tenant, tmp_path: Path) -> Iterator[OpenStack]:
    """A stack whose first run was killed after the server had made the service."""
    door = KillingDoor(tenant.fleet.api.app)
    with served(door) as url:  # type: ignore[arg-type] - any ASGI application will do
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "REMPART_API_URL": url,
            "REMPART_API_KEY": tenant.key,
        }
        door.victim = victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM], cwd=tmp_path, env=environment, start_new_session=True
        )
        assert victim.wait(timeout=KILLED_SECONDS_MAX) == -signal.SIGKILL
        yield tenant.open(declare, tmp_path / "stack", url=url)


def test_a_run_killed_after_the_servers_work_is_finished_by_the_next_without_a_second_service(
    stack: OpenStack, tenant: Tenant
) -> None:
    with tenant.client() as client:
        (made,) = client.services.list(name="cut-off")
        with pytest.raises(RunFailed, match="Another run holds this stack"):
            stack.up()
        stack.unlock()
        with tenant.with_cells():
            assert stack.up().counts["create"] == 1, "the service, which the state did not know"
            (found,) = client.services.list(name="cut-off")
            assert found["id"] == made["id"]
            stack.destroy()
        assert list(client.services.list(name="cut-off")) == []
