"""`--wait` says by its exit code how a deployment ended, on a real server."""

from __future__ import annotations

import json

from tests.integration.cli.conftest import meanwhile
from tests.integration.cli.shell import Shell
from tests.integration.deployments.fleet import MODEL, Fleet

DEPLOY = ("services", "deploy", "chat", "--model", MODEL, "--wait", "-o", "json")


def cancel_what_waits(fleet: Fleet) -> None:
    """Nothing runs before something waits: what runs places it, and a placed one ends only with its cell's word."""
    waiting = fleet.get("/v1/deployments", statuses="PENDING")["deployments"]
    for deployment in waiting:
        fleet.post(f"/v1/deployments/{deployment['id']}/cancel")
    if waiting:
        fleet.run()


def test_a_deployment_that_comes_up_is_0_and_prints_the_service_as_it_stands(
    fleet: Fleet, owner: Shell
) -> None:
    with meanwhile(fleet, Fleet.answer_as_cells):
        done = owner.run(*DEPLOY, "--timeout", "60")
    assert done.code == 0, done
    service = json.loads(done.out)
    assert service["active_deployment_id"] == service["latest_deployment_id"]
    told = [line.split(" is ") for line in done.err.splitlines()]
    assert {deployment for deployment, _ in told} == {service["latest_deployment_id"]}
    assert told[-1][1] == "SLEEPING"


def test_a_deployment_that_does_not_come_up_in_time_is_5(owner: Shell) -> None:
    done = owner.run(*DEPLOY, "--timeout", "1")
    assert (done.code, done.out, done.error["code"]) == (5, "", "wait_timed_out")
    assert "PENDING" in done.error["message"]


def test_a_deployment_that_fails_is_6(fleet: Fleet, owner: Shell) -> None:
    with meanwhile(fleet, cancel_what_waits):
        done = owner.run(*DEPLOY, "--timeout", "60")
    assert (done.code, done.out, done.error["code"]) == (6, "", "deployment_failed"), done
    assert "CANCELED" in done.error["message"]


def test_redeploy_waits_for_the_new_deployment(fleet: Fleet, owner: Shell) -> None:
    with meanwhile(fleet, Fleet.answer_as_cells):
        assert owner.run(*DEPLOY, "--timeout", "60").code == 0
        done = owner.run("services", "redeploy", "chat", "--wait", "--timeout", "60", "-o", "json")
    assert done.code == 0, done


def test_resume_waits_for_the_place_it_looks_for(fleet: Fleet, owner: Shell) -> None:
    with meanwhile(fleet, Fleet.answer_as_cells):
        assert owner.run(*DEPLOY, "--timeout", "60").code == 0
    assert owner.run("services", "pause", "chat").code == 0
    fleet.run()
    for part in fleet.get("/v1/regional_deployments")["regional_deployments"]:
        fleet.end(part)
    fleet.run()
    with meanwhile(fleet, Fleet.answer_as_cells):
        done = owner.run("services", "resume", "chat", "--wait", "--timeout", "60", "-o", "json")
    assert done.code == 0, done
