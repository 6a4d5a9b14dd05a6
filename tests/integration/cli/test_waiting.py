"""`--wait` says by its exit code how a deployment ended, on a real server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import meanwhile
from tests.integration.cli.shell import Shell, in_process_environment
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


@pytest.mark.case("W23")
@pytest.mark.parametrize(
    ("words", "statuses"),
    [
        (("pause", "chat"), {"PAUSED"}),
        (("scale", "chat", "--min", "0", "--max", "3"), {"HEALTHY", "SLEEPING"}),
        (("delete", "chat", "--yes"), {"DELETED"}),
    ],
)
def test_what_is_steered_is_waited_for(
    fleet: Fleet, owner: Shell, words: tuple[str, ...], statuses: set[str]
) -> None:
    with meanwhile(fleet, Fleet.answer_as_cells):
        assert owner.run(*DEPLOY, "--timeout", "60").code == 0
        done = owner.run("services", *words, "--wait", "--timeout", "60", "-o", "json")
    assert done.code == 0, done
    assert json.loads(done.out)["status"] in statuses
    if "DELETED" in statuses:
        assert owner.ask("services", "list") == []


@pytest.mark.case("W23")
@pytest.mark.parametrize("words", [("pause", "chat"), ("delete", "chat", "--yes")])
def test_what_no_cell_answers_is_not_waited_for_for_ever(
    fleet: Fleet, owner: Shell, words: tuple[str, ...]
) -> None:
    with meanwhile(fleet, Fleet.answer_as_cells):
        assert owner.run(*DEPLOY, "--timeout", "60").code == 0
    done = owner.run("services", *words, "--wait", "--timeout", "1", "-o", "json")
    assert (done.code, done.out, done.error["code"]) == (5, "", "wait_timed_out")


@pytest.mark.case("W23")
def test_events_are_followed_until_somebody_interrupts(fleet: Fleet, owner: Shell) -> None:
    with meanwhile(fleet, Fleet.answer_as_cells):
        assert owner.run(*DEPLOY, "--timeout", "60").code == 0
    known = owner.ask("events", "chat")
    environment = {
        **in_process_environment(), "REMPART_API_URL": owner.url, "REMPART_API_KEY": owner.key,
        "XDG_CONFIG_HOME": str(owner.home), "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    program = "from controlplane.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "events", "chat", "--follow", "-o", "json"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell's background job ignores Ctrl-C, and hands that on to all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    ) as followed:  # fmt: skip
        try:
            assert followed.stdout is not None
            told = [json.loads(followed.stdout.readline()) for _ in known]
            assert [each["id"] for each in told] == [each["id"] for each in known]
            assert owner.run("services", "pause", "chat").code == 0
            fleet.run()
            new = json.loads(followed.stdout.readline())
            assert new["id"] not in {each["id"] for each in known}
            assert new["id"] in {each["id"] for each in owner.ask("events", "chat")}
            followed.send_signal(signal.SIGINT)
            assert followed.wait(timeout=30) == 130
        finally:
            followed.kill()
