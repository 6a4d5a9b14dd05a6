"""The journey "A certificate expires": moved make-before-break inside the allowed set, or refused and evicted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controlplane.kernel.ids import LegalEntityId
from controlplane.plumbing.simulated_clock import move_clock
from tests.integration.deployments.fleet import Fleet, add_pool, add_site, certify
from tests.integration.deployments.test_deploy import routes

NEEDS_HDS: dict[str, Any] = {
    "sovereignty": {"countries": ["FR", "SE"], "certifications": [{"framework": "HDS"}]}
}
DAY = 86_400


def run_days(fleet: Fleet, days: int) -> None:
    """Let the installation's clock run ahead, and the minute's sweep notice it."""
    with fleet.database.system() as uow:
        move_clock(uow, fleet.context.settings, days * DAY)
    fleet.converge()


def ready(fleet: Fleet, part: dict[str, Any]) -> None:
    fleet.apply(part)
    fleet.report(part, "SLEEPING")
    fleet.run()


@pytest.fixture
def borlange(fleet: Fleet) -> LegalEntityId:
    """A Swedish site whose certificate ends in ten days."""
    entity = add_site(fleet, "borlange-1", "SE")
    certify(fleet, entity, days=10)
    return entity


@pytest.fixture
def service(fleet: Fleet, borlange: LegalEntityId) -> dict[str, Any]:
    made = fleet.create_service(**NEEDS_HDS)
    fleet.run()
    ready(fleet, fleet.parts(made)[0])
    return made


class TestMove:
    def test_expired_certificate_moves_the_service_make_before_break(
        self, fleet: Fleet, service: dict[str, Any]
    ) -> None:
        certify(fleet, add_site(fleet, "essonne-1", "FR"), days=400)
        fleet.run()
        [old] = fleet.parts(service)
        assert old["datacenter"] == "borlange-1"
        run_days(fleet, 12)
        old, new = fleet.parts(service)
        assert (new["datacenter"], new["status"], new["replaces_id"]) == (
            "essonne-1",
            "PROVISIONING",
            old["id"],
        )
        assert old["is_admissible"] is False
        assert "HDS" in old["verdict_reason"]
        # The old place serves until the new one can: a bounded time, told in the route.
        assert [(r["regional_deployment_id"], r["verdict"]["admissible"]) for r in routes(fleet)] == [
            (old["id"], True)
        ]
        ready(fleet, new)
        states = {route["regional_deployment_id"]: route["state"] for route in routes(fleet)}
        assert states == {old["id"]: "draining", new["id"]: "active"}
        story = fleet.events(service)
        assert story.index("VERDICT_LOST") < story.index("MOVE_STARTED")
        told = fleet.get("/v1/service_events", service_id=service["id"], types="MOVE_STARTED")
        [moved] = told["events"]
        assert "HDS" in moved["message"]
        fleet.age(old, "draining_since", 60)
        fleet.converge()
        fleet.end(old)
        fleet.run()
        assert [part["status"] for part in fleet.parts(service)] == ["STOPPED", "SLEEPING"]
        assert fleet.service(service)["status"] == "HEALTHY"
        assert not fleet.failures

    def test_move_that_takes_too_long_is_refused_in_the_old_place(
        self, fleet: Fleet, service: dict[str, Any]
    ) -> None:
        certify(fleet, add_site(fleet, "essonne-1", "FR"), days=400)
        run_days(fleet, 12)
        old = fleet.parts(service)[0]
        fleet.age(old, "violated_at", 3600)
        fleet.converge()
        [route] = routes(fleet)
        assert route["verdict"]["admissible"] is False
        fleet.apply(fleet.parts(service)[1])
        fleet.run()
        assert [r["state"] for r in routes(fleet) if r["verdict"]["admissible"]] == ["active"]

    def test_without_another_place_the_route_is_refused_at_once_and_the_service_evicted(
        self, fleet: Fleet, service: dict[str, Any]
    ) -> None:
        run_days(fleet, 12)
        [part] = fleet.parts(service)
        assert part["status"] == "STOPPING"
        [route] = routes(fleet)
        assert route["verdict"]["admissible"] is False
        assert "HDS" in route["verdict"]["reason"]
        assert fleet.deployment(service["latest_deployment_id"])["status"] == "PENDING"
        assert fleet.service(service)["status"] == "UNHEALTHY"
        fleet.end(part)
        fleet.run()
        assert [(r["verdict"]["admissible"], r["state"]) for r in routes(fleet)] == [(False, "active")]
        certify(fleet, add_site(fleet, "essonne-1", "FR"), days=400)
        fleet.converge()
        new = fleet.parts(service)[1]
        ready(fleet, new)
        assert [(r["regional_deployment_id"], r["verdict"]["admissible"]) for r in routes(fleet)] == [
            (new["id"], True)
        ]
        assert fleet.service(service)["status"] == "HEALTHY"

    def test_grace_keeps_serving_where_there_is_no_other_place(
        self, fleet: Fleet, borlange: LegalEntityId
    ) -> None:
        patient = fleet.create_service("patient", on_violation_grace_seconds=2 * DAY, **NEEDS_HDS)
        fleet.run()
        ready(fleet, fleet.parts(patient)[0])
        run_days(fleet, 12)
        [part] = fleet.parts(patient)
        assert part["status"] == "SLEEPING"
        assert [r["verdict"]["admissible"] for r in routes(fleet)] == [True]
        run_days(fleet, 15)
        assert fleet.parts(patient)[0]["status"] == "STOPPING"
        assert [r["verdict"]["admissible"] for r in routes(fleet)] == [False]

    def test_renewed_certificate_makes_the_place_admissible_again(
        self, fleet: Fleet, borlange: LegalEntityId
    ) -> None:
        patient = fleet.create_service("patient", on_violation_grace_seconds=2 * DAY, **NEEDS_HDS)
        fleet.run()
        ready(fleet, fleet.parts(patient)[0])
        run_days(fleet, 12)
        certify(fleet, borlange, days=400)
        fleet.converge()
        [part] = fleet.parts(patient)
        assert part["is_admissible"] is True
        assert part["refused_at"] is None
        assert "VERDICT_RECOVERED" in fleet.events(patient)

    def test_new_placements_stop_at_once_where_the_certificate_ended(
        self, fleet: Fleet, borlange: LegalEntityId
    ) -> None:
        run_days(fleet, 12)
        late = fleet.create_service("late", **NEEDS_HDS)
        fleet.run()
        assert fleet.parts(late) == []
        told = fleet.get(f"/v1/services/{late['id']}/explanation")["explanation"]
        [reason] = told["assessments"][0]["rejections"]
        assert reason["detail"] == "certification_expired"

    def test_another_pool_of_the_same_site_is_no_other_place(
        self, fleet: Fleet, service: dict[str, Any]
    ) -> None:
        add_pool(fleet, "borlange-2", "borlange-1", nodes=1)
        run_days(fleet, 12)
        assert [part["datacenter"] for part in fleet.parts(service)] == ["borlange-1"]
        assert datetime.fromisoformat(fleet.parts(service)[0]["refused_at"]) > datetime.now(UTC) + timedelta(
            days=11
        )
