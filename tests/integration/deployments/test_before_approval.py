"""What a stranger can do before an operator has confirmed who it is: every operation of the API, and its bound.

An operation that is new has no row here, and fails the first test until somebody has said what bounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from controlplane.catalogue import service as catalogue
from controlplane.deployments.tasks import consumers
from controlplane.entrypoints.api import create_app
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.consumers import Consumers
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import Database
from controlplane.plumbing.redis import connect
from controlplane.plumbing.settings import Settings
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import QuotaName
from tests.architecture.wall import Operation, World, list_operations, load_builders
from tests.fixtures.tenants import Caller, operator_headers, sign_up
from tests.integration.deployments.fleet import Fleet, add_site, definition

load_builders()
pytestmark = [pytest.mark.case("X17"), pytest.mark.case("W7")]

WAITS = "Your organization waits for approval by the platform operator"
GPU = {
    "instance_types": [{"type": "b300-1x"}],
    "inference": {"model": "mistral-small-3.2-24b-instruct", "is_simulated_allowed": True},
}

# Makes one more of something, until its bound.
MAKES: dict[str, tuple[QuotaName, Callable[[Fleet, int], Response]]] = {
    "create_project": (QuotaName.PROJECTS, lambda f, n: send(f, "/v1/projects", {"name": f"p-{n}"})),
    "create_api_key": (
        QuotaName.API_KEYS, lambda f, n: send(f, "/v1/api_keys", {"name": f"k-{n}", "role": "viewer"}),
    ),
    "create_app": (QuotaName.APPS, lambda f, n: send(f, "/v1/apps", {"name": f"a-{n}"})),
    "create_secret": (QuotaName.SECRETS, lambda f, n: send(f, "/v1/secrets", {"name": f"s-{n}", "value": "v"})),
    "create_service": (QuotaName.SERVICES, lambda f, n: deploy(f, f"w-{n}")),
}  # fmt: skip
# What there is before: the first project and the first key.
AT_FIRST = {QuotaName.PROJECTS: 1, QuotaName.API_KEYS: 1}
# Lets a service grow: bounded by replicas and GPUs.
GROWS = {
    "create_service", "replace_service", "update_service", "scale_service", "resume_service", "rollback_service",
    "redeploy_service",
}  # fmt: skip
# Changes that hold nothing more than before, or what is the organization's own to say.
FREE = {
    "update_organization", "update_project", "delete_project", "revoke_api_key", "update_app", "delete_app",
    "update_secret", "delete_secret", "delete_service", "pause_service", "cancel_deployment", "preview_costs",
    "set_budget",
    # A successor beside its key: bounded by twice the limit of keys.
    "roll_api_key",
}  # fmt: skip
# No tenant's role allows it.
CLOSED = {"ingest_usage_events", "report_security_events"}


@pytest.fixture
def strict(settings: Settings, database: Database) -> Iterator[TestClient]:
    chosen = settings.model_copy(update={"is_approval_needed": True})
    with TestClient(create_app(chosen, database), base_url="http://api.test") as client:
        yield client


@pytest.fixture
def waiting(strict: TestClient, database: Database, settings: Settings) -> Fleet:
    """A stranger that has just signed up, on a platform with a site of its own machines."""
    with database.system() as uow:
        catalogue.seed(uow)
    context = Context(settings, database, connect(settings.redis_url), Clusters(None))
    rows_only = [c for c in consumers(context) if not c.name.startswith("deployments.apply")]
    fleet = Fleet(strict, database, context, sign_up(strict), Consumers(rows_only))
    add_site(fleet, "essonne-1", "FR", nodes=4)
    return fleet


def send(fleet: Fleet, path: str, body: dict[str, Any], method: str = "POST") -> Response:
    headers = {**fleet.caller.headers, "If-Match": '"1"'}
    return fleet.api.request(method, path, json=body, headers=headers)


def deploy(fleet: Fleet, name: str, **changes: Any) -> Response:
    apps = fleet.get("/v1/apps")["apps"]
    app_id = apps[0]["id"] if apps else fleet.create_app()
    return send(fleet, "/v1/services", {"app_id": app_id, "definition": definition(name, **changes)})


def operations(api: TestClient) -> list[Operation]:
    app = api.app
    assert isinstance(app, FastAPI)
    return [op for op in list_operations(app.openapi()) if not op.is_admin and "security" not in op.spec]


def check_waits(answer: Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (409, "approval_needed"), answer.text
    assert WAITS in answer.json()["detail"]


def test_of_every_operation_it_is_said_what_bounds_it(strict: TestClient) -> None:
    changing = {op.spec["operationId"] for op in operations(strict) if op.method != "get"}
    assert set(MAKES) | GROWS | FREE | CLOSED == changing


@pytest.mark.parametrize("name", MAKES)
def test_it_makes_so_many_and_no_more(waiting: Fleet, name: str) -> None:
    quota, make = MAKES[name]
    limits = {q["name"]: q["limit"] for q in waiting.get("/v1/quotas")["quotas"]}
    answers = [make(waiting, number) for number in range(limits[quota] + 2)]
    made = [answer for answer in answers if answer.is_success]
    assert len(made) == limits[quota] - AT_FIRST.get(quota, 0)
    for answer in answers[len(made) :]:
        check_waits(answer)


@pytest.mark.parametrize(
    "size", [{"scalings": [{"min": 0, "max": 3}]}, GPU | {"scalings": [{"min": 0, "max": 1}]}]
)
def test_no_gpu_and_no_third_replica_at_the_first_deployment(waiting: Fleet, size: dict[str, Any]) -> None:
    check_waits(deploy(waiting, "large", **size))
    assert waiting.get("/v1/services")["services"] == []


@pytest.mark.parametrize("name", sorted(GROWS - {"create_service"}))
def test_nothing_grows_past_the_bound_afterwards(waiting: Fleet, name: str) -> None:
    made = deploy(waiting, "small")
    assert made.is_success, made.text
    path = f"/v1/services/{made.json()['service']['id']}"
    large = definition("small", scalings=[{"min": 0, "max": 3}])
    match name:
        case "replace_service":
            check_waits(send(waiting, path, {"definition": large}, "PUT"))
            check_waits(send(waiting, path, {"definition": definition("small", **GPU)}, "PUT"))
        case "update_service":
            check_waits(send(waiting, path, {"definition": {"scalings": large["scalings"]}}, "PATCH"))
        case "scale_service":
            check_waits(send(waiting, f"{path}/scale", {"min": 0, "max": 3}))
        case "redeploy_service":
            # Of the size that it had.
            assert send(waiting, f"{path}/redeploy", {}).is_success
        case "resume_service" | "rollback_service":
            # An operator lowers the limit, or the bound itself falls: what stopped, or was larger, does not come back.
            _check_return(waiting, made.json()["service"], name)
        case _:
            raise AssertionError(name)


def _etag(fleet: Fleet, path: str) -> str:
    return str(fleet.api.get(path, headers=fleet.caller.headers).headers["ETag"])


def _check_return(fleet: Fleet, service: dict[str, Any], name: str) -> None:
    path = f"/v1/services/{service['id']}"
    if name == "resume_service":
        assert send(fleet, f"{path}/pause", {}).is_success
        fleet.answer_as_cells()
        body: dict[str, Any] = {}
    else:
        for _ in range(3):
            fleet.answer_as_cells()
        smaller = definition("small", scalings=[{"min": 0, "max": 1}])
        assert fleet.api.put(
            path,
            json={"definition": smaller},
            headers={**fleet.caller.headers, "If-Match": _etag(fleet, path)},
        ).is_success
        for _ in range(6):
            fleet.answer_as_cells()
        body = {"deployment_id": service["latest_deployment_id"]}
    tenant_id = TenantId.parse(fleet.caller.organization_id)
    with fleet.database.system() as uow:
        tenancy.set_quota(uow, tenant_id, QuotaName.REPLICAS, 1, actor="test")
    verb = name.removesuffix("_service")
    answer = send(fleet, f"{path}/{verb}", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "quota_exceeded"), answer.text


def test_all_else_is_allowed_and_reading_is_free(
    strict: TestClient, database: Database, settings: Settings
) -> None:
    """Each operation without a bound, sent as its description says: none is refused for want of an approval."""
    world = World(strict, sign_up(strict), Caller("", "", "", ""))
    wrong = []
    for operation in sorted(operations(strict), key=lambda op: op.method == "delete"):
        name = operation.spec["operationId"]
        if operation.method != "get" and name not in FREE:
            continue
        answer, _ = operation.send(world, world.owner.headers)
        if answer.status_code >= 500 or answer.status_code in {401, 403} or WAITS in answer.text:
            wrong.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []


def test_once_approved_the_same_deployment_is_taken(
    waiting: Fleet, database: Database, settings: Settings
) -> None:
    size = {"scalings": [{"min": 0, "max": 3}]}
    check_waits(deploy(waiting, "large", **size))
    path = f"/v1/admin/organizations/{waiting.caller.organization_id}/approve"
    approved = waiting.api.post(path, json={"version": 1}, headers=operator_headers(database, settings))
    assert approved.status_code == 200
    assert deploy(waiting, "large", **size).is_success


def test_what_a_refused_organization_runs_stops(
    waiting: Fleet, database: Database, settings: Settings
) -> None:
    service = deploy(waiting, "small").json()["service"]
    waiting.answer_as_cells()
    path = f"/v1/admin/organizations/{waiting.caller.organization_id}/refuse"
    refused = waiting.api.post(path, json={"reason": "x"}, headers=operator_headers(database, settings))
    assert refused.status_code == 200
    waiting.run()
    assert not waiting.failures
    assert waiting.service(service)["status"] in {"PAUSING", "PAUSED"}
