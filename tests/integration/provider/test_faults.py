"""What goes wrong with a real engine: each time the person reads why, and the next run goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pulumi
import pytest

from infra.provider import Project, Service, ServiceReady, inference
from infra.provider.workspace import Outcome, Program, RunFailed
from tests.fixtures.tenants import sign_up
from tests.integration.deployments.fleet import MODEL
from tests.integration.provider.tenant import Tenant

WRONG_KEY = "rmp_svc_live_" + "0" * 30 + "_000000"


@dataclass
class Declared:
    model: str = "no-such-model"
    service: str = "faulty"
    wait_seconds: int | None = None


def program(wish: Declared) -> Program:
    def declare() -> None:
        project = Project("project", name="faults")
        service = Service(
            "service", name=wish.service, project_id=project.id, definition=inference(wish.model)
        )
        pulumi.export("project", project.id)
        if wish.wait_seconds is not None:
            ServiceReady(
                "ready",
                service_id=service.id,
                deployment_id=service.deployment_id,
                wait_seconds=wish.wait_seconds,
            )

    return declare


@dataclass
class Story:
    faults: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Outcome] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder, wish, told = tmp_path_factory.mktemp("faults"), Declared(), Story()
    stack = tenant.open(program(wish), folder)
    stranger = sign_up(tenant.fleet.api)

    def fails(name: str, **other: str) -> None:
        opened = tenant.open(program(wish), folder, **other) if other else stack
        with pytest.raises(RunFailed) as failed:
            opened.refresh() if name == "stranger" else opened.up()
        told.faults[name] = str(failed.value)

    fails("refused")
    with tenant.client() as client:
        told.left["refused"] = [each["name"] for each in client.projects.list()]
        told.left["apps"] = [each["name"] for each in client.apps.list()]
    wish.service = "Not A Name"
    fails("invalid")
    wish.service, wish.model, wish.wait_seconds = "faulty", MODEL, 1
    fails("never ready")
    with tenant.with_cells():
        told.runs["finished"] = stack.up()
        fails("stranger", key=stranger.secret)
        wish.service = "renamed"
        fails("wrong key", key=WRONG_KEY)
        with pytest.raises(RunFailed) as failed:
            tenant.open(program(wish), folder, passphrase="another").up()
        told.faults["passphrase"] = str(failed.value)
        told.runs["destroy"] = stack.destroy()
    return told


def test_a_refused_service_is_told_in_the_servers_words(story: Story) -> None:
    assert "no-such-model" in story.faults["refused"]
    assert "Traceback" not in story.faults["refused"]
    assert "Exception calling application" not in story.faults["refused"]


def test_what_was_made_before_a_failure_is_kept_and_nothing_half_made_is(story: Story) -> None:
    assert "faults" in story.left["refused"]
    assert story.left["apps"] == []


def test_a_wrong_input_is_told_before_anything_is_asked(story: Story) -> None:
    assert "'Not A Name' is no name" in story.faults["invalid"]


def test_a_second_up_finishes_what_a_failure_cut_off(story: Story) -> None:
    """The service that was not ready in time stayed known, so only the waiting was left to do."""
    assert "after 1 s the deployment is still PENDING" in story.faults["never ready"]
    assert story.runs["finished"].counts == {"same": 3, "create": 1}


def test_a_wrong_key_is_told_with_the_name_of_its_variable(story: Story) -> None:
    assert "The API key in REMPART_API_KEY was refused" in story.faults["wrong key"]
    assert WRONG_KEY not in story.faults["wrong key"]


def test_another_organizations_key_makes_nothing_look_gone(story: Story, tenant: Tenant) -> None:
    said = story.faults["stranger"]
    assert tenant.fleet.caller.organization_id in said
    assert "is a key of org_" in said


def test_a_wrong_passphrase_opens_nothing(story: Story) -> None:
    assert "passphrase" in story.faults["passphrase"]


def test_nothing_is_left_after_all_that(story: Story, tenant: Tenant) -> None:
    assert story.runs["destroy"].counts == {"delete": 4}
    with tenant.client() as client:
        assert "faults" not in [each["name"] for each in client.projects.list()]
