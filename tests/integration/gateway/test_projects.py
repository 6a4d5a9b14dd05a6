"""Which project a call belongs to: the key's own, or of an unbound key any of its tenant's; never a stranger's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import openai
import pytest

from controlplane.kernel.ids import ApiKeyId, ProjectId
from tests.integration.gateway.rig import MODEL, Rig, Tenant, make_key, wait_until
from tests.integration.gateway.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.case("S10")

CHAT = "/v1/chat/completions"
CALL = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
HOSTS = {
    "first": "first-aaaa1111.rempart.localhost",
    "second": "second-bbbb2222.rempart.localhost",
    "foreign": "foreign-cccc3333.rempart.localhost",
    "unknown": "nobody.rempart.localhost",
}


@dataclass
class Stage:
    """A tenant with two projects that serve one model, a stranger with one, and keys of each kind."""

    rig: Rig
    keys: dict[str, Tenant]
    projects: dict[str, str]
    services: dict[str, str]

    def ask(self, key: str, **headers: str | None) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        given["authorization"] = f"Bearer {self.keys[key].key}"
        return httpx.post(self.rig.url + CHAT, json=CALL, headers=given, timeout=30)


@pytest.fixture(scope="module")
def stage(rig: Rig) -> Iterator[Stage]:
    bound = Tenant(is_bound=True)
    same = {"tenant_id": bound.tenant_id, "project_id": bound.project_id}
    keys = {
        "bound": bound,
        "unbound": Tenant(**same, is_bound=False),
        "of a version that does not say": Tenant(**same),
        "stranger": Tenant(is_bound=False),
    }
    stranger = keys["stranger"]
    second = str(ProjectId.new())
    routes = {
        "first": bound.route(hosts=[HOSTS["first"]]),
        "second": bound.route(project_id=second, hosts=[HOSTS["second"]]),
        "foreign": stranger.route(hosts=[HOSTS["foreign"]]),
    }
    projects = {
        "first": bound.project_id,
        "second": second,
        "foreign": stranger.project_id,
        "never heard of": str(ProjectId.new()),
        "garbage": "my project",
        "long": "prj_" + "a" * 5000,
        "another id": str(ApiKeyId.new()),
        "two": f"{bound.project_id}, {second}",
    }
    rig.publish_keys(*keys.values())
    rig.publish_routes(*routes.values())
    with ScriptedEngine() as engine:
        for route in routes.values():
            rig.publish_endpoints(route, engine.port)
        yield Stage(rig, keys, projects, {name: route["service_id"] for name, route in routes.items()})


MISMATCH, NO_PROJECT = (403, "project_mismatch"), (404, "project_not_found")
NO_SERVICE = (404, "service_not_found")
GARBAGE = ("foreign", "never heard of", "garbage", "long", "another id", "two")
OF_BOUND: dict[tuple[str | None, str | None], object] = {
    # (header, host): the service that answers, or the refusal.
    (None, None): "first",
    ("first", None): "first",
    ("", None): "first",
    (None, "first"): "first",
    ("first", "first"): "first",
    (None, "second"): NO_SERVICE,
    (None, "foreign"): NO_SERVICE,
    ("first", "second"): NO_SERVICE,
    ("first", "unknown"): NO_SERVICE,
    ("second", None): MISMATCH,
    ("second", "second"): MISMATCH,
    ("second", "first"): MISMATCH,
    **{(name, None): MISMATCH for name in GARBAGE},
    ("foreign", "foreign"): MISMATCH,
}
OF_UNBOUND: dict[tuple[str | None, str | None], object] = {
    (None, None): "first",
    ("first", None): "first",
    ("", None): "first",
    ("second", None): "second",
    (None, "first"): "first",
    (None, "second"): "second",
    ("", "second"): "second",
    ("second", "second"): "second",
    ("first", "second"): NO_SERVICE,
    ("second", "first"): NO_SERVICE,
    (None, "foreign"): NO_SERVICE,
    ("second", "foreign"): NO_SERVICE,
    ("second", "unknown"): NO_SERVICE,
    **{(name, None): NO_PROJECT for name in GARBAGE},
    ("foreign", "foreign"): NO_PROJECT,
}
TABLE = [
    *(
        (key, *aim, right)
        for key in ("bound", "of a version that does not say")
        for aim, right in OF_BOUND.items()
    ),
    *(("unbound", *aim, right) for aim, right in OF_UNBOUND.items()),
]


@pytest.mark.parametrize(("key", "header", "host", "right"), TABLE)
def test_a_call_belongs_to_the_keys_project_or_of_an_unbound_key_to_the_one_it_names(
    stage: Stage, key: str, header: str | None, host: str | None, right: object
) -> None:
    project = header and stage.projects[header]
    answer = stage.ask(key, openai_project=project, host=host and HOSTS[host])
    if isinstance(right, tuple):
        assert (answer.status_code, answer.json()["error"]["code"]) == right
        assert "x-rempart-residency" not in answer.headers
    else:
        assert answer.status_code == 200, answer.text
        data = stage.rig.usage_of(answer.headers["x-request-id"])["data"]
        assert (data["service_id"], data["project_id"]) == (
            stage.services[str(right)],
            stage.projects[str(right)],
        )
        assert data["tenant_id"] == stage.keys[key].tenant_id


def test_two_headers_name_no_project(stage: Stage) -> None:
    headers = [("authorization", f"Bearer {stage.keys['unbound'].key}")]
    headers += [("openai-project", stage.projects[name]) for name in ("first", "second")]
    answer = httpx.post(stage.rig.url + CHAT, json=CALL, headers=headers)
    assert answer.json()["error"]["code"] == "project_not_found"


def test_the_list_of_models_is_the_chosen_projects(stage: Stage) -> None:
    def owners(key: str, **headers: str) -> list[str]:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers["authorization"] = f"Bearer {stage.keys[key].key}"
        answer = httpx.get(stage.rig.url + "/v1/models", headers=headers)
        assert answer.status_code == 200, answer.text
        return [model["owned_by"] for model in answer.json()["data"]]

    second = stage.projects["second"]
    assert owners("unbound", openai_project=second) == [second]
    assert owners("unbound", host=HOSTS["second"]) == [second]
    assert owners("unbound") == owners("bound", host=HOSTS["second"]) == [stage.projects["first"]]
    # Of a foreign host nothing is learnt, nor is its project chosen.
    assert owners("stranger", host=HOSTS["second"]) == [stage.projects["foreign"]]


def test_the_openai_client_names_a_project_by_its_own_argument(stage: Stage) -> None:
    def ask(key: str) -> Any:
        client = openai.OpenAI(
            base_url=f"{stage.rig.url}/v1",
            api_key=stage.keys[key].key,
            project=stage.projects["second"],
            max_retries=0,
        )
        return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])

    assert ask("unbound").choices
    with pytest.raises(openai.PermissionDeniedError) as caught:
        ask("bound")
    assert caught.value.code == "project_mismatch"


@pytest.mark.parametrize("spent", ["first", "second"])
def test_a_hard_budget_is_that_of_the_chosen_project(stage: Stage, spent: str) -> None:
    rig, other = stage.rig, {"first": "second", "second": "first"}[spent]

    def publish(*projects: str) -> None:
        state = {
            "exhausted_tenants": [],
            "exhausted_projects": projects,
            "hard_tenants": [],
            "hard_projects": [],
        }
        rig.publish("rempart:budgets", {"version": 1, "generated_at": datetime.now(UTC).isoformat(), **state})

    def code(project: str) -> str | None:
        answer = stage.ask("unbound", openai_project=stage.projects[project])
        return None if answer.status_code == 200 else answer.json()["error"]["code"]

    publish(stage.projects[spent])
    try:
        wait_until(lambda: code(spent) == "insufficient_quota", "the budget to be in force")
        assert code(other) is None
    finally:
        publish()
    wait_until(lambda: code(spent) is None, "the budget to be raised")


def test_whatever_projects_a_key_asks_for_other_keys_are_still_known(stage: Stage) -> None:
    """Questions for projects have a table of their own, and the limits come before them."""
    for _ in range(50):
        answer = stage.ask("unbound", openai_project=str(ProjectId.new()))
        assert answer.json()["error"]["code"] == "project_not_found"
    assert stage.ask("bound").status_code == 200


def test_a_key_that_nobody_knows_learns_of_no_project(stage: Stage) -> None:
    headers = {"authorization": f"Bearer {make_key()}", "openai-project": stage.projects["second"]}
    answer = httpx.post(stage.rig.url + CHAT, json=CALL, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
