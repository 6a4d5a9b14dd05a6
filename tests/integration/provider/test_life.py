"""One stack's life with the real engine on a real door, told once; each test looks at one part of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest

from controlplane.sdk import NotFound, Unauthenticated
from infra.provider import ApiKey, Project, Secret, Service, inference
from infra.provider.workspace import Outcome, Program
from tests.integration.deployments.fleet import MODEL
from tests.integration.provider.tenant import PASSPHRASE, Tenant, state_texts

TOKEN, NEW_TOKEN = "hf-first-value-0001", "hf-second-value-0002"
GREETING = "greeting-from-a-secret-0003"
WAIT_SECONDS = 60
KINDS = ("project", "token", "service", "service-ready", "key")


@dataclass
class Declared:
    """What the program declares; the story changes it between runs."""

    project: str = "life"
    token: str = TOKEN
    replicas_max: int = 1
    rotation: str = "first"


def program(wish: Declared) -> Program:
    def declare() -> None:
        project = Project("project", name=wish.project)
        secret = Secret("token", project_id=project.id, value=wish.token)
        service = Service(
            "service",
            name="assistant",
            project_id=project.id,
            definition=inference(
                MODEL,
                replicas_max=wish.replicas_max,
                # Not where a secret belongs; in the state it is none the less encrypted.
                env={"APP_GREETING": pulumi.Output.secret(GREETING)},
                secret_env={"APP_TOKEN": secret.name},
            ),
            triggers=[secret.version],
            wait_seconds=WAIT_SECONDS,
        )
        key = ApiKey("key", name="as-code", role="developer", project_id=project.id, rotation=wish.rotation)
        pulumi.export("project", project.id)
        pulumi.export("service", service.id)
        pulumi.export("key", key.secret)

    return declare


@dataclass
class Story:
    tenant: Tenant
    folder: Path
    planned: Mapping[str, int] = field(default_factory=dict)
    runs: dict[str, Outcome] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    states: dict[str, list[str]] = field(default_factory=dict)

    def look(self, name: str) -> None:
        """Remember what the tenant has now, as the API says."""
        outputs = self.runs["up"].outputs
        with self.tenant.client() as client:
            service = client.services.get(str(outputs["service"]))
            self.seen[name] = {
                "project": client.projects.get(str(outputs["project"])),
                "service": service,
                "definition": client.deployments.get(service["latest_deployment_id"])["definition"],
                "secrets": list(client.secrets.list(project_id=str(outputs["project"]))),
                "keys": [key for key in client.api_keys.list() if key["name"] == "as-code"],
            }


@pytest.fixture(scope="module")
def story(tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("life")
    wish = Declared()
    stack, told = tenant.open(program(wish), folder), Story(tenant, folder)
    with tenant.with_cells():
        told.planned = stack.preview()
        told.runs["up"] = stack.up()
        told.states["up"] = list(state_texts(folder))
        told.look("up")
        told.runs["up again"] = stack.up()
        wish.project, wish.token, wish.replicas_max, wish.rotation = "life-renamed", NEW_TOKEN, 2, "second"
        told.runs["change"] = stack.up()
        told.look("change")
        somebody_else_changes_things(told)
        told.runs["refresh"] = stack.refresh()
        told.runs["repair"] = stack.up()
        told.look("repair")
        told.states["repair"] = list(state_texts(folder))
        told.runs["destroy"] = stack.destroy()
    return told


def somebody_else_changes_things(story: Story) -> None:
    """By the API, past the stack: another name, other bounds, another value, a revoked key."""
    now = story.seen["change"]
    with story.tenant.client() as client:
        client.projects.update(now["project"]["id"], {"name": "life-drifted"})
        client.services.update(now["service"]["id"], {"definition": {"scalings": [{"min": 0, "max": 7}]}})
        client.secrets.update(now["secrets"][0]["id"], {"value": "somebody else's"})
        client.api_keys.revoke(next(key["id"] for key in now["keys"] if key["state"] == "ACTIVE"))


def test_up_makes_what_is_declared(story: Story) -> None:
    assert story.runs["up"].counts == {"create": len(KINDS) + 1}, "the stack itself counts too"
    now = story.seen["up"]
    assert now["project"]["name"] == "life"
    assert now["definition"]["env"] == [
        {"key": "APP_GREETING", "value": GREETING, "secret": None},
        {"key": "APP_TOKEN", "value": None, "secret": "token"},
    ]
    assert now["service"]["status"] == "HEALTHY", "wait_seconds waited until it was asleep and able to wake"
    assert [secret["name"] for secret in now["secrets"]] == ["token"]


def test_a_preview_plans_what_up_does(story: Story) -> None:
    assert dict(story.planned) == story.runs["up"].counts


def test_a_second_up_changes_nothing(story: Story) -> None:
    again = story.runs["up again"]
    assert (again.changes, again.counts) == (0, {"same": len(KINDS) + 1})


def test_the_key_that_was_made_opens_the_door(story: Story) -> None:
    first, second = (str(story.runs[run].outputs["key"]) for run in ("up", "change"))
    assert first != second, "another rotation is another key"
    assert first.startswith("rmp_svc_")


def test_a_changed_declaration_changes_things_in_place(story: Story) -> None:
    before, after = story.seen["up"], story.seen["change"]
    assert after["project"] == before["project"] | {
        "name": "life-renamed", "version": 2, "updated_at": after["project"]["updated_at"],
    }  # fmt: skip
    assert after["service"]["id"] == before["service"]["id"]
    assert after["definition"]["scalings"][0]["max"] == 2
    assert after["secrets"][0]["version"] == before["secrets"][0]["version"] + 1
    counts = story.runs["change"].counts
    assert counts["update"] == 4, "project, secret, service, and its waiting"
    assert counts["replace"] == 1, "a key is never changed"


def test_a_replaced_key_is_revoked_after_the_new_one_was_made(story: Story) -> None:
    old = story.seen["up"]["keys"][0]["id"]
    states = {key["id"]: key["state"] for key in story.seen["change"]["keys"]}
    assert states.pop(old) == "REVOKED"
    assert list(states.values()) == ["ACTIVE"]


def test_refresh_shows_what_somebody_else_changed(story: Story) -> None:
    counts = story.runs["refresh"].counts
    assert counts["update"] == 3, "project, secret and service"
    assert counts["delete"] == 1, "a revoked key is gone"


def test_up_after_a_refresh_puts_things_right(story: Story) -> None:
    now = story.seen["repair"]
    assert now["project"]["name"] == "life-renamed"
    assert now["definition"]["scalings"][0]["max"] == 2
    assert now["secrets"][0]["version"] == story.seen["change"]["secrets"][0]["version"] + 2
    assert [key["state"] for key in now["keys"]].count("ACTIVE") == 1


def test_destroy_leaves_nothing(story: Story) -> None:
    assert story.runs["destroy"].counts == {"delete": len(KINDS) + 1}
    outputs = story.runs["repair"].outputs
    with story.tenant.client() as client:
        with pytest.raises(NotFound):
            client.projects.get(str(outputs["project"]))
        assert client.services.get(str(outputs["service"]))["status"] == "DELETED"
    with story.tenant.client(str(outputs["key"])) as client, pytest.raises(Unauthenticated):
        client.caller()


def test_no_secret_is_in_the_state(story: Story) -> None:
    keys = {str(story.runs[run].outputs["key"]) for run in ("up", "change", "repair")}
    secrets = {TOKEN, NEW_TOKEN, GREETING, PASSPHRASE, story.tenant.key, *keys}
    texts = [*story.states["up"], *story.states["repair"], *state_texts(story.folder)]
    assert any("dynamic/rempart:Service" in text for text in texts), "the state was read"
    for secret in secrets:
        needles = (secret, base64.b64encode(secret.encode()).decode().rstrip("="))
        assert not [text[:60] for text in texts if any(needle in text for needle in needles)]
    printed = "".join(run.text for run in story.runs.values())
    assert not [secret for secret in secrets if secret in printed]


def test_the_serialised_provider_is_a_name_and_nothing_else(story: Story) -> None:
    states = [
        json.loads(text) for text in story.states["up"] if '"checkpoint"' in text and '"latest"' in text
    ]
    resources = [each for state in states for each in state["checkpoint"]["latest"].get("resources", [])]
    held = {each["inputs"]["__provider"] for each in resources if "__provider" in each.get("inputs", {})}
    assert len(held) == len(KINDS)
    for text in held:
        pickled = base64.b64decode(text)
        assert len(pickled) < 120, pickled
        assert b"infra.provider." in pickled
        assert b"rmp_" not in pickled
