"""A process dies at every commit between a tenant's wish and the cell's object; a fresh one finishes the work.

Enumerated, not sampled: the flow is run again and again, killed at its first, second, … commit, just before it and
just after it, until it gets through. What a killed process held is waited for by moving its times into the past.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from controlplane.audit import service as audit
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.kubernetes import KubernetesApi
from tests.integration.deployments.fleet import Fleet, add_site, make_fleet
from tests.simulation.flow import MOMENTS

REPOSITORY = Path(__file__).resolve().parents[2]
# The flow has some twenty commits; a run that is still killed after this many never ends.
COMMITS_MAX = 120
# Fewer would mean that the hook is not where the commits are.
COMMITS_MIN = 10


@dataclass(slots=True)
class Runner:
    """The process that forks a control plane for each order."""

    process: subprocess.Popen[str]
    app_id: str
    key: str

    def run(self, name: str, die_at: int = 0, moment: str = "after") -> int:
        order = {"name": name, "app_id": self.app_id, "key": self.key, "die_at": die_at, "moment": moment}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the runner is gone"
        return int(json.loads(answer)["status"])


@pytest.fixture
def fleet(api: TestClient, database: Database, settings: Settings) -> Fleet:
    """A tenant, and one site with room for every run."""
    made = make_fleet(api, database, settings)
    add_site(made, "essonne-1", "FR", nodes=50, cpu_milli=192_000, memory_mib=2_000_000)
    made.run()
    return made


@pytest.fixture
def runner(fleet: Fleet, settings: Settings, kubernetes_api: KubernetesApi) -> Iterator[Runner]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("REMPART_")},
        "REMPART_ENVIRONMENT": "local",
        "REMPART_DATABASE_URL": settings.app_database_url.get_secret_value(),
        "REMPART_SYSTEM_DATABASE_URL": settings.system_database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url,
        "REMPART_KEY_PEPPER": settings.key_pepper.get_secret_value(),
        "REMPART_STATE_DIR": str(settings.state_dir),
        "KUBECONFIG": str(kubernetes_api.kubeconfigs["rempart-controlplane"]),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.simulation.flow"],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Runner(process, fleet.create_app("crash"), fleet.caller.secret)
    finally:
        process.communicate()
        namespace = namespace_of(fleet)
        kubernetes_api.kubectl("delete", "idp", "--all", "-n", namespace)
        kubernetes_api.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")


def end_waiting(fleet: Fleet) -> None:
    """Let every lease and every pause be over, as if the clock had moved on."""
    with fleet.database.system() as uow:
        uow.session.execute(
            text(
                "UPDATE delivery SET lease_until = now() - interval '1 s', next_attempt_at = now()"
                " WHERE state = 'PENDING'"
            )
        )


def namespace_of(fleet: Fleet) -> str:
    return f"rmp-{ProjectId.parse(fleet.caller.project_id).suffix}"


def list_part_names(fleet: Fleet) -> list[str]:
    with fleet.database.system() as uow:
        return sorted(uow.session.scalars(text("SELECT object_name FROM regional_deployment")))


def list_resource_names(kubernetes_api: KubernetesApi, fleet: Fleet) -> list[str]:
    """The custom resources in this test's namespace."""
    listed = kubernetes_api.kubectl("get", "idp", "-n", namespace_of(fleet), "-o", "json")
    return sorted(item["metadata"]["name"] for item in json.loads(listed)["items"])


# Each reads one figure of the service called :name; all of them must be 1.
ONES = {
    "services": "SELECT count(*) FROM service WHERE name = :name",
    "deployments": "SELECT count(*) FROM deployment d JOIN service s ON s.id = d.service_id WHERE s.name = :name",
    "parts that their cell was told of": """
        SELECT count(*) FROM regional_deployment
        WHERE service_name = :name AND status = 'SCHEDULED' AND applied_generation = generation""",
    "parts": "SELECT count(*) FROM regional_deployment WHERE service_name = :name",
    "reservations": """
        SELECT count(*) FROM reservation r JOIN regional_deployment d ON d.id = r.holder
        WHERE d.service_name = :name""",
    "audit lines": """
        SELECT count(*) FROM audit_event a JOIN service s ON a.detail ->> 'name' = s.name
        WHERE s.name = :name AND a.action = 'service.created'""",
}
NONES = {
    "deliveries not done": "SELECT count(*) FROM delivery WHERE state <> 'DONE'",
    "events not routed": "SELECT count(*) FROM outbox_event WHERE routed_at IS NULL",
    "pools whose counters differ from their reservations": """
        SELECT count(*) FROM node_pool p
        WHERE p.cpu_milli_reserved <> (SELECT coalesce(sum(cpu_milli), 0) FROM reservation WHERE pool_id = p.id)""",
}


def find_problems(fleet: Fleet, name: str) -> dict[str, Any]:
    """What is not exactly once, or not finished."""
    with fleet.database.system() as uow:
        ones = {what: uow.session.scalar(text(query), {"name": name}) for what, query in ONES.items()}
        nones = {what: uow.session.scalar(text(query)) for what, query in NONES.items()}
        broken = audit.verify(uow, TenantId.parse(fleet.caller.organization_id))
    return {
        **{what: n for what, n in ones.items() if n != 1},
        **{what: n for what, n in nones.items() if n},
        **({} if broken is None else {"audit chain": broken}),
    }


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_fresh_process_finishes_what_one_left_at_any_commit(
    runner: Runner, fleet: Fleet, kubernetes_api: KubernetesApi, moment: str
) -> None:
    assert runner.run(f"{moment}-warm-up") == 0
    for number in range(1, COMMITS_MAX):
        name = f"{moment}-{number}"
        status = runner.run(name, number, moment)
        if status == -signal.SIGKILL:
            end_waiting(fleet)
            status = runner.run(name)
            is_over = False
        else:
            is_over = True
        assert status == 0, f"{moment} commit {number}: exit {status}"
        assert find_problems(fleet, name) == {}, f"{moment} commit {number}"
        if is_over:
            break
    print(f"killed {moment} each of {number - 1} commits, each time finished by a fresh process")
    assert COMMITS_MIN <= number - 1 < COMMITS_MAX - 1
    assert list_part_names(fleet) == list_resource_names(kubernetes_api, fleet)
