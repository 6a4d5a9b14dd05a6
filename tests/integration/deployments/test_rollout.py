"""A new version takes the traffic once it was ready; one that cannot run says why, and is moved or given up."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.deployments.convergence_rules import STUCK_SECONDS, UNHEALTHY_SECONDS_MAX
from controlplane.deployments.domain import RunStatus
from tests.integration.deployments.fleet import Fleet, add_site, set_ready
from tests.integration.deployments.test_deploy import routes

# Every reason for which a cell says that a version does not come up: phase, word and sentence of its Ready condition.
FAILURES = {
    "image": ("UNHEALTHY", "ErrImagePull", "the engine's image cannot be pulled"),
    "environment": ("UNHEALTHY", "CreateContainerConfigError", "the engine's container cannot be configured"),
    "crash loop": ("UNHEALTHY", "CrashLoopBackOff", "the engine keeps ending after its start"),
    "never ready": ("STARTING", "Starting", "0 of 1 replicas serve"),
    "no machine": ("PENDING", "Unschedulable", "no node fits"),
    "asleep without proof": ("SLEEPING", "", ""),
}


def says(phase: str, reason: str, message: str) -> dict[str, Any]:
    if not reason:
        return {"firstReadyAt": None}
    condition = {
        "type": "Ready", "status": "False", "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-21T10:00:00Z",
    }  # fmt: skip
    return {"conditions": [condition]}


def ready(fleet: Fleet, part: dict[str, Any], phase: str = "HEALTHY") -> None:
    fleet.apply(part)
    fleet.report(part, phase)
    fleet.run()


def deploy(fleet: Fleet, service: dict[str, Any], value: str) -> dict[str, Any]:
    """A new version; returns its part."""
    version = fleet.service(service)["version"]
    body = {"definition": {"env": [{"key": "APP_ROUND", "value": value}]}}
    headers = {**fleet.caller.headers, "If-Match": f'"{version}"'}
    answer = fleet.api.patch(f"/v1/services/{service['id']}", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    fleet.run()
    return fleet.parts(service)[-1]


@pytest.fixture
def service(fleet: Fleet) -> dict[str, Any]:
    """A service with min 0 that answers in Essonne, and room for more."""
    add_site(fleet, "essonne-1", "FR", nodes=4)
    made = fleet.create_service()
    fleet.run()
    ready(fleet, fleet.parts(made)[0])
    return made


@pytest.mark.case("S5")
class TestBrokenVersion:
    @pytest.mark.parametrize("why", list(FAILURES))
    def test_version_that_does_not_come_up_takes_no_traffic_and_says_why(
        self, fleet: Fleet, service: dict[str, Any], why: str
    ) -> None:
        phase, reason, message = FAILURES[why]
        [old] = fleet.parts(service)
        new = deploy(fleet, service, "broken")
        fleet.apply(new)
        fleet.report(new, phase, **says(phase, reason, message))
        fleet.run()
        fleet.converge()
        [route] = routes(fleet)
        assert (route["regional_deployment_id"], route["state"]) == (old["id"], "active")
        told = fleet.service(service)
        assert told["status"] == "HEALTHY"
        assert fleet.parts(service)[0]["status"] == "HEALTHY"
        if reason:
            assert reason in " ".join(told["messages"])
            assert "deployment 1 goes on" in " ".join(told["messages"])
        # Ready after all: the traffic moves, and nothing is said any more.
        fleet.report(new, "HEALTHY")
        fleet.run()
        active = [each for each in routes(fleet) if each["state"] == "active"]
        assert [each["regional_deployment_id"] for each in active] == [new["id"]]
        assert fleet.service(service)["messages"] == []

    def test_version_without_a_lawful_place_or_room_leaves_the_old_one_serving(
        self, fleet: Fleet, service: dict[str, Any]
    ) -> None:
        version = fleet.service(service)["version"]
        body = {"definition": {"sovereignty": {"countries": ["DE"]}}}
        headers = {**fleet.caller.headers, "If-Match": f'"{version}"'}
        assert fleet.api.patch(f"/v1/services/{service['id']}", json=body, headers=headers).status_code == 202
        fleet.run()
        told = fleet.service(service)
        assert told["status"] == "HEALTHY"
        assert told["messages"][0].startswith("Deployment 2 does not serve yet, deployment 1 goes on")
        assert [each["state"] for each in routes(fleet)] == ["active"]

    def test_version_that_never_was_ready_is_given_up_and_the_old_one_goes_on(
        self, fleet: Fleet, service: dict[str, Any]
    ) -> None:
        new = deploy(fleet, service, "broken")
        fleet.apply(new)
        fleet.report(new, "UNHEALTHY", **says(*FAILURES["crash loop"]))
        fleet.run()
        fleet.age(new, "blocked_since", UNHEALTHY_SECONDS_MAX + 1)
        fleet.converge()
        told = fleet.service(service)
        assert fleet.deployment(told["latest_deployment_id"])["status"] in ("ERRORING", "ERROR")
        assert "CrashLoopBackOff" in told["messages"][0]
        assert told["messages"][0].startswith("Deployment 2 failed, deployment 1 goes on")
        fleet.end(new)
        fleet.converge()
        assert fleet.deployment(told["latest_deployment_id"])["status"] == "ERROR"
        assert [part["status"] for part in fleet.parts(service)] == ["HEALTHY", "ERROR"]
        assert [each["state"] for each in routes(fleet)] == ["active"]
        # The next version starts a new story.
        ready(fleet, deploy(fleet, service, "mended"))
        assert fleet.service(service)["messages"] == []

    def test_first_version_has_no_traffic_before_it_is_ready_and_says_why_it_is_not(
        self, fleet: Fleet
    ) -> None:
        add_site(fleet, "essonne-1", "FR")
        made = fleet.create_service()
        fleet.run()
        [part] = fleet.parts(made)
        fleet.apply(part)
        fleet.report(part, "UNHEALTHY", **says(*FAILURES["image"]))
        fleet.run()
        assert routes(fleet) == []
        told = fleet.service(made)
        assert told["status"] == "UNHEALTHY"
        assert "ErrImagePull" in told["messages"][0]


@pytest.mark.case("S5")
class TestRollback:
    def test_version_that_does_not_serve_is_given_up_by_one_call(
        self, fleet: Fleet, service: dict[str, Any]
    ) -> None:
        new = deploy(fleet, service, "broken")
        back = fleet.post(f"/v1/services/{service['id']}/rollback", {})["service"]
        assert back["latest_deployment_id"] == back["active_deployment_id"]
        fleet.run()
        assert fleet.parts(service)[-1]["id"] == new["id"]
        assert fleet.parts(service)[-1]["status"] in ("CANCELING", "CANCELED")
        assert fleet.service(service)["messages"] == []
        assert [each["state"] for each in routes(fleet)] == ["active"]

    def test_earlier_definition_is_deployed_again_with_its_values_of_secrets(
        self, fleet: Fleet, service: dict[str, Any]
    ) -> None:
        first = fleet.service(service)["active_deployment_id"]
        ready(fleet, deploy(fleet, service, "second"))
        third = fleet.post(f"/v1/services/{service['id']}/rollback", {})["service"]["latest_deployment_id"]
        assert third != first
        assert fleet.deployment(third)["definition"] == fleet.deployment(first)["definition"]
        fleet.run()
        ready(fleet, fleet.parts(service)[-1])
        assert fleet.service(service)["active_deployment_id"] == third
        named = {"deployment_id": first}
        fourth = fleet.post(f"/v1/services/{service['id']}/rollback", named)["service"]
        assert fleet.deployment(fourth["latest_deployment_id"])["definition"]["env"] == []

    def test_nothing_to_go_back_to_is_said(self, fleet: Fleet, service: dict[str, Any]) -> None:
        path = f"/v1/services/{service['id']}/rollback"
        refused = fleet.api.post(path, json={}, headers=fleet.caller.headers)
        assert refused.status_code == 409
        assert "nothing to go back to" in refused.json()["detail"]
        other = fleet.create_service("other")
        foreign = {"deployment_id": other["latest_deployment_id"]}
        assert fleet.api.post(path, json=foreign, headers=fleet.caller.headers).status_code == 404
        new = deploy(fleet, service, "unready")
        never = {"deployment_id": new["deployment_id"]}
        assert fleet.api.post(path, json=never, headers=fleet.caller.headers).status_code == 409


@pytest.mark.case("S8")
class TestStory:
    def test_canceled_deployment_leaves_no_message_and_the_explanation_of_what_serves(
        self, fleet: Fleet
    ) -> None:
        add_site(fleet, "essonne-1", "FR", cpu_milli=1000)
        service = fleet.create_service()
        fleet.run()
        ready(fleet, fleet.parts(service)[0])
        second = fleet.post(f"/v1/services/{service['id']}/redeploy")["deployment"]["id"]
        fleet.run()
        path = f"/v1/services/{service['id']}/explanation"
        first = fleet.service(service)["active_deployment_id"]
        assert fleet.service(service)["messages"] != []
        assert fleet.get(path)["deployment_id"] == first
        assert fleet.get(path)["is_placed"] is True
        assert fleet.get(f"/v1/deployments/{second}/explanation")["is_placed"] is False
        assert fleet.get(f"/v1/deployments/{first}/explanation")["is_placed"] is True
        fleet.post(f"/v1/deployments/{second}/cancel")
        fleet.run()
        assert fleet.service(service)["messages"] == []
        assert fleet.get(path)["deployment_id"] == first

    def test_message_of_a_scale_that_waits_ends_with_the_wait(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR", cpu_milli=1000)
        service = fleet.create_service()
        fleet.run()
        ready(fleet, fleet.parts(service)[0])
        fleet.post(f"/v1/services/{service['id']}/scale", {"min": 2, "max": 2})
        fleet.run()
        assert "no room to hold 2 replicas" in fleet.service(service)["messages"][0]
        fleet.post(f"/v1/services/{service['id']}/scale", {"min": 0, "max": 2})
        fleet.run()
        assert fleet.service(service)["messages"] == []


@pytest.mark.case("F5")
class TestBlockedPart:
    @pytest.mark.parametrize("phase", ["PENDING", "UNHEALTHY"])
    @pytest.mark.parametrize("is_first", [True, False])
    def test_part_that_cannot_run_is_placed_elsewhere_and_says_why(
        self, fleet: Fleet, phase: str, is_first: bool
    ) -> None:
        add_site(fleet, "essonne-1", "FR")
        service = fleet.create_service()
        fleet.run()
        [part] = fleet.parts(service)
        fleet.apply(part)
        if not is_first or phase == "UNHEALTHY":
            fleet.report(part, "HEALTHY")
            fleet.run()
        fleet.report(part, phase, **says(phase, "Unschedulable", "no node fits"))
        fleet.run()
        assert "no node fits" in " ".join(fleet.service(service)["messages"])
        fleet.age(part, "blocked_since", STUCK_SECONDS[RunStatus.UNHEALTHY] + 1)
        fleet.converge()
        assert len(fleet.parts(service)) == 1
        assert "No other place" in " ".join(fleet.service(service)["messages"])
        add_site(fleet, "lyon-1", "FR")
        fleet.run()
        new = fleet.parts(service)[-1]
        assert new["datacenter"] == "lyon-1"
        assert "MOVE_STARTED" in fleet.events(service)
        ready(fleet, new)
        assert fleet.service(service)["status"] == "HEALTHY"
        assert fleet.service(service)["messages"] == []
        active = [each for each in routes(fleet) if each["state"] == "active"]
        assert [each["datacenter"] for each in active] == ["lyon-1"]

    def test_room_is_counted_on_each_node(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR", nodes=2, cpu_milli=1500)
        add_site(fleet, "lyon-1", "FR", nodes=1, pue=1500)
        for number, name in enumerate(("one", "two")):
            made = fleet.create_service(name, regions=["essonne-1"])
            fleet.run()
            [part] = fleet.parts(made)
            fleet.apply(part)
            pod = {"name": f"p{number}", "uid": f"u{number}", "phase": "HEALTHY", "node": f"n{number}"}
            fleet.report(part, "HEALTHY", readyReplicas=1, instances=[pod])
            fleet.run()
        # 500 millicores are free on each of two nodes, so that 1000 are free in all and on none.
        third = fleet.create_service("three", regions=["essonne-1", "lyon-1"])
        fleet.run()
        assert [part["datacenter"] for part in fleet.parts(third)] == ["lyon-1"]


@pytest.mark.case("W14")
class TestEvents:
    def test_wait_that_goes_on_is_one_record_with_a_count(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR", nodes=1)
        service = fleet.create_service(regions=["nowhere-1"])
        fleet.run()
        for number in range(5):
            add_site(fleet, f"lyon-{number}", "FR")
            set_ready(fleet, "essonne-1-cpu", number % 2)
            fleet.run()
        events = fleet.get("/v1/service_events", service_id=service["id"], limit=200)["events"]
        [waits] = [event for event in events if event["type"] == "PLACEMENT_PENDING"]
        assert waits["count"] >= 5
        assert waits["last_at"] > waits["when"]
