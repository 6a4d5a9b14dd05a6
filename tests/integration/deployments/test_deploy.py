"""The journey "Deploy" over the real door and real rows: asked, placed, applied, ready, paused, deleted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from sqlalchemy import text

from controlplane.deployments.tasks import publish_routes
from controlplane.gateway.snapshot_rules import parse_routing
from controlplane.plumbing.redis import ROUTING_KEY
from tests.fixtures.tenants import sign_up
from tests.integration.deployments.fleet import Fleet, add_pool, add_site, definition, set_ready


def routes(fleet: Fleet) -> list[dict[str, object]]:
    publish_routes(fleet.context)
    held = fleet.context.redis.get(ROUTING_KEY)
    assert isinstance(held, bytes)
    snapshot = orjson.loads(held)
    parse_routing(snapshot)
    found: list[dict[str, object]] = snapshot["routes"]
    return found


class TestPlacing:
    def test_service_is_answered_at_once_and_placed_by_its_event(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR")
        service = fleet.create_service()
        assert service["status"] == "STARTING"
        assert fleet.deployment(service["latest_deployment_id"])["status"] == "PENDING"
        assert fleet.parts(service) == []
        fleet.run()
        [part] = fleet.parts(service)
        assert (part["status"], part["datacenter"], part["country"]) == ("PROVISIONING", "essonne-1", "FR")
        assert part["operator"] == "Operator of essonne-1"
        assert fleet.deployment(service["latest_deployment_id"])["status"] == "PROVISIONING"
        assert fleet.events(service)[:3] == ["SERVICE_CREATED", "DEPLOYMENT_CREATED", "PLACED"]

    def test_service_without_a_candidate_waits_with_reasons_and_is_placed_when_one_appears(
        self, fleet: Fleet
    ) -> None:
        add_site(fleet, "dublin-1", "IE")
        service = fleet.create_service(sovereignty={"countries": ["FR", "SE"]})
        fleet.run()
        told = fleet.get(f"/v1/services/{service['id']}/explanation")
        assert told["is_placed"] is False
        [found] = told["explanation"]["assessments"]
        assert found["rejections"][0]["detail"] == "country_not_allowed"
        assert fleet.deployment(service["latest_deployment_id"])["status"] == "PENDING"
        assert "PLACEMENT_PENDING" in fleet.events(service)
        assert fleet.service(service)["messages"] == [told["explanation"]["summary"]["en"]]
        add_site(fleet, "essonne-1", "FR")
        fleet.run()
        [part] = fleet.parts(service)
        assert part["datacenter"] == "essonne-1"
        assert fleet.service(service)["messages"] == []
        assert fleet.get(f"/v1/services/{service['id']}/explanation")["is_placed"] is True

    def test_pending_service_is_placed_when_capacity_appears(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR", nodes=1)
        set_ready(fleet, "essonne-1-cpu", 0)
        service = fleet.create_service()
        fleet.run()
        assert fleet.parts(service) == []
        set_ready(fleet, "essonne-1-cpu", 1)
        fleet.run()
        assert [part["status"] for part in fleet.parts(service)] == ["PROVISIONING"]

    def test_repeated_findings_are_kept_once(self, fleet: Fleet) -> None:
        add_site(fleet, "dublin-1", "IE")
        service = fleet.create_service(sovereignty={"countries": ["FR"]})
        fleet.run()
        first = fleet.get(f"/v1/services/{service['id']}/explanation")
        for _ in range(3):
            fleet.converge()
        again = fleet.get(f"/v1/services/{service['id']}/explanation")
        assert again["decided_at"] == first["decided_at"]
        assert again["confirmed_at"] > first["confirmed_at"]
        assert fleet.events(service).count("PLACEMENT_PENDING") == 1

    def test_two_services_created_at_once_share_capacity_without_overbooking(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR", nodes=1, cpu_milli=1500)
        app = fleet.create_app()
        with ThreadPoolExecutor(2) as pool:
            made = list(pool.map(lambda name: fleet.create_service(name, app), ["one", "two"]))
        fleet.run()
        placed = [len(fleet.parts(service)) for service in made]
        assert sorted(placed) == [0, 1]
        assert not fleet.failures

    def test_of_two_creates_of_one_name_one_wins(self, fleet: Fleet) -> None:
        app = fleet.create_app()

        def attempt(_: int) -> int:
            body = {"app_id": app, "definition": definition()}
            return fleet.api.post("/v1/services", json=body, headers=fleet.caller.headers).status_code

        with ThreadPoolExecutor(3) as pool:
            assert sorted(pool.map(attempt, range(3))) == [202, 409, 409]

    def test_simulated_capacity_is_taken_only_when_asked_for(self, fleet: Fleet) -> None:
        from controlplane.capacity.domain import ProviderKind

        add_site(fleet, "essonne-1", "FR", nodes=0)
        add_pool(
            fleet, "b300", "essonne-1", nodes=2, gpus=8, cpu_milli=192_000, memory_mib=2_000_000,
            provider=ProviderKind.KWOK,
        )  # fmt: skip
        wish = {"scalings": [{"min": 2, "max": 2}], "instance_types": [{"type": "b300-4x"}]}
        real = fleet.create_service("real", **wish)
        trial = fleet.create_service(
            "trial",
            inference={"model": "mistral-small-3.2-24b-instruct", "is_simulated_allowed": True},
            **wish,
        )
        fleet.run()
        assert fleet.parts(real) == []
        [part] = fleet.parts(trial)
        assert part["is_simulated"] is True
        assert fleet.part(part).placement.gpus_per_replica == 4
        assert fleet.part(part).replicas_reserved == 2


class TestStatus:
    def test_reports_of_the_cell_become_statuses_instances_and_a_route(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR")
        service = fleet.create_service()
        fleet.run()
        [part] = fleet.parts(service)
        assert routes(fleet) == []
        fleet.apply(part)
        fleet.run()
        assert routes(fleet) == []
        fleet.report(part, "HEALTHY")
        fleet.run()
        [route] = routes(fleet)
        assert route["state"] == "active"
        assert route["regional_deployment_id"] == part["id"]
        assert route["operator"] == "Operator of essonne-1"
        fleet.report(part, "SLEEPING")
        fleet.run()
        assert fleet.service(service)["status"] == "HEALTHY"
        assert fleet.deployment(service["latest_deployment_id"])["status"] == "SLEEPING"
        pod = {
            "name": "assistant-0-abc",
            "uid": "u1",
            "phase": "HEALTHY",
            "node": "n1",
            "createdAt": "2026-11-21T10:00:00Z",
        }
        fleet.report(part, "HEALTHY", readyReplicas=1, instances=[pod])
        fleet.run()
        [instance] = fleet.get("/v1/instances", service_id=service["id"])["instances"]
        assert (instance["status"], instance["node"], instance["country"]) == ("HEALTHY", "n1", "FR")
        assert fleet.deployment(service["latest_deployment_id"])["status"] == "HEALTHY"
        fleet.report(part, "SLEEPING")
        fleet.run()
        [instance] = fleet.get("/v1/instances", service_id=service["id"])["instances"]
        assert instance["status"] == "STOPPED"
        assert instance["terminated_at"] is not None

    def test_cold_start_is_put_together_from_cell_and_gateway(self, fleet: Fleet) -> None:
        from controlplane.deployments.service_observe import record_wake

        add_site(fleet, "essonne-1", "FR")
        service = fleet.create_service()
        fleet.run()
        [part] = fleet.parts(service)
        fleet.apply(part)
        at = "2026-11-21T10:00:0{}.000000Z".format
        wake = {"request_id": "req_2", "regional_deployment_id": part["id"], "instance": "assistant-0-abc"}
        with fleet.database.system() as uow:
            record_wake(uow, {**wake, "first_byte_at": at(0), "first_token_at": at(7)})
            record_wake(
                uow, {**wake, "request_id": "req_late", "first_byte_at": at(3), "first_token_at": at(9)}
            )
        start = {
            "wantedAt": at(1),
            "podCreatedAt": at(2),
            "scheduledAt": at(3),
            "instance": "assistant-0-abc",
        }
        fleet.report(part, "STARTING", lastColdStart=start)
        fleet.report(part, "HEALTHY", lastColdStart={**start, "startedAt": at(4), "readyAt": at(6)})
        [told] = fleet.get(f"/v1/services/{service['id']}/cold_starts")["cold_starts"]
        assert told["request_id"] == "req_2"
        steps = ["queue_ms", "place_ms", "schedule_ms", "start_ms", "load_ms", "first_token_ms", "total_ms"]
        assert [told[name] for name in steps] == [1000, 1000, 1000, 1000, 2000, 1000, 7000]

    def test_a_replica_that_wakes_again_tells_of_its_newest_start_alone(self, fleet: Fleet) -> None:
        from controlplane.deployments.service_observe import record_wake

        add_site(fleet, "essonne-1", "FR")
        service = fleet.create_service()
        fleet.run()
        [part] = fleet.parts(service)
        fleet.apply(part)
        for hour in (10, 11):
            at = f"2026-11-21T{hour}:00:0{{}}.000000Z".format
            start = {"wantedAt": at(1), "podCreatedAt": at(2), "instance": "assistant-0-abc"}
            fleet.report(part, "STARTING", lastColdStart=start)
            [told] = fleet.get(f"/v1/services/{service['id']}/cold_starts")["cold_starts"]
            assert told["load_ms"] is None
            assert told["first_token_ms"] is None
            fleet.report(
                part,
                "HEALTHY",
                lastColdStart={**start, "scheduledAt": at(3), "startedAt": at(4), "readyAt": at(6)},
            )
            wake = {"request_id": f"req_{hour}", "regional_deployment_id": part["id"]}
            with fleet.database.system() as uow:
                record_wake(
                    uow,
                    {
                        **wake,
                        "instance": "assistant-0-abc",
                        "first_byte_at": at(0),
                        "first_token_at": at(7),
                    },
                )
        [told] = fleet.get(f"/v1/services/{service['id']}/cold_starts")["cold_starts"]
        assert told["request_id"] == "req_11"
        assert told["total_ms"] == 7000

    def test_object_deleted_by_hand_is_applied_again(self, fleet: Fleet) -> None:
        from controlplane.deployments.service_observe import observe_regional_deployment

        add_site(fleet, "essonne-1", "FR")
        service = fleet.create_service()
        fleet.run()
        [part] = fleet.parts(service)
        fleet.apply(part)
        fleet.run()
        assert fleet.part(part).applied_generation == 1
        with fleet.database.system() as uow:
            observe_regional_deployment(uow, fleet.part(part).id, None)
        assert fleet.part(part).applied_generation == 0
        with fleet.database.system() as uow:
            topics = uow.session.scalars(text("SELECT topic FROM outbox_event WHERE routed_at IS NULL")).all()
        assert "regional_deployment.changed" in topics


class TestLife:
    @pytest.fixture
    def running(self, fleet: Fleet) -> dict[str, object]:
        add_site(fleet, "essonne-1", "FR")
        service = fleet.create_service()
        fleet.run()
        [part] = fleet.parts(service)
        fleet.apply(part)
        fleet.report(part, "SLEEPING")
        fleet.run()
        return service

    def test_paused_service_gives_capacity_back_and_resumes_in_a_new_place(
        self, fleet: Fleet, running: dict[str, object]
    ) -> None:
        fleet.post(f"/v1/services/{running['id']}/pause")
        assert fleet.service(running)["status"] == "PAUSING"
        assert [route["state"] for route in routes(fleet)] == ["paused"]
        fleet.run()
        [part] = fleet.parts(running)
        assert part["status"] == "STOPPING"
        fleet.end(part)
        fleet.run()
        assert fleet.service(running)["status"] == "PAUSED"
        assert [route["state"] for route in routes(fleet)] == ["paused"]
        with fleet.database.system() as uow:
            assert uow.session.scalar(text("SELECT count(*) FROM reservation")) == 0
        fleet.post(f"/v1/services/{running['id']}/resume")
        fleet.run()
        assert [each["status"] for each in fleet.parts(running)] == ["STOPPED", "PROVISIONING"]
        fleet.apply(fleet.parts(running)[1])
        fleet.run()
        assert [(route["state"], route["regional_deployment_id"]) for route in routes(fleet)] == [
            ("active", fleet.parts(running)[1]["id"])
        ]

    def test_redeploy_serves_from_the_old_part_until_the_new_one_is_ready(
        self, fleet: Fleet, running: dict[str, object]
    ) -> None:
        made = fleet.post(f"/v1/services/{running['id']}/redeploy")["deployment"]
        assert made["version"] == 2
        assert made["parent_id"] == running["latest_deployment_id"]
        fleet.run()
        old, new = fleet.parts(running)
        fleet.apply(new)
        fleet.run()
        assert [route["regional_deployment_id"] for route in routes(fleet)] == [old["id"]]
        fleet.report(new, "SLEEPING")
        fleet.run()
        assert {(route["regional_deployment_id"], route["state"]) for route in routes(fleet)} == {
            (old["id"], "draining"),
            (new["id"], "active"),
        }
        assert fleet.service(running)["active_deployment_id"] == made["id"]
        assert fleet.parts(running)[0]["status"] == "SLEEPING"
        fleet.age(old, "draining_since", 60)
        fleet.converge()
        assert fleet.parts(running)[0]["status"] == "STOPPING"
        fleet.end(old)
        fleet.run()
        assert [route["regional_deployment_id"] for route in routes(fleet)] == [new["id"]]
        assert fleet.deployment(str(running["latest_deployment_id"]))["status"] == "STOPPED"
        assert fleet.service(running)["status"] == "HEALTHY"

    def test_patch_makes_a_new_deployment_and_leaves_the_old_definition_alone(
        self, fleet: Fleet, running: dict[str, object]
    ) -> None:
        path = f"/v1/services/{running['id']}"
        assert fleet.api.patch(path, json={"definition": {}}, headers=fleet.caller.headers).status_code == 428
        headers = {**fleet.caller.headers, "If-Match": f'"{fleet.service(running)["version"]}"'}
        body = {"definition": {"scalings": [{"min": 1, "max": 2}]}}
        changed = fleet.api.patch(path, json=body, headers=headers)
        assert changed.status_code == 202, changed.text
        assert fleet.api.patch(path, json=body, headers=headers).status_code == 412
        old = fleet.deployment(str(running["latest_deployment_id"]))
        new = fleet.deployment(changed.json()["service"]["latest_deployment_id"])
        assert (old["definition"]["scalings"][0]["min"], new["definition"]["scalings"][0]["min"]) == (0, 1)
        assert old["child_id"] == new["id"]

    def test_scale_changes_the_bounds_in_place_and_holds_more(
        self, fleet: Fleet, running: dict[str, object]
    ) -> None:
        fleet.post(f"/v1/services/{running['id']}/scale", {"min": 2, "max": 2})
        fleet.run()
        [part] = fleet.parts(running)
        assert part["scaling"] == {"min": 2, "max": 2}
        assert fleet.part(part).generation == 2
        with fleet.database.system() as uow:
            assert uow.session.scalar(text("SELECT cpu_milli FROM reservation")) == 2000
        fleet.post(f"/v1/services/{running['id']}/scale", {"min": 3, "max": 4})
        fleet.run()
        fleet.converge()
        assert fleet.parts(running)[0]["scaling"] == {"min": 2, "max": 2}
        assert fleet.events(running).count("SCALE_WAITING") == 1

    def test_deleted_service_ends_and_its_name_is_free_again(
        self, fleet: Fleet, running: dict[str, object]
    ) -> None:
        headers = {**fleet.caller.headers, "If-Match": f'"{fleet.service(running)["version"]}"'}
        assert fleet.api.delete(f"/v1/services/{running['id']}", headers=headers).status_code == 202
        fleet.run()
        fleet.end(fleet.parts(running)[0])
        fleet.run()
        assert fleet.service(running)["status"] == "DELETED"
        assert routes(fleet) == []
        assert fleet.get("/v1/services")["services"] == []
        fleet.create_service("assistant", str(running["app_id"]))

    def test_canceled_deployment_leaves_the_active_one_wanted(
        self, fleet: Fleet, running: dict[str, object]
    ) -> None:
        made = fleet.post(f"/v1/services/{running['id']}/redeploy")["deployment"]
        fleet.run()
        fleet.post(f"/v1/deployments/{made['id']}/cancel")
        fleet.run()
        old, new = fleet.parts(running)
        assert new["status"] == "CANCELING"
        fleet.end(new)
        fleet.run()
        assert fleet.deployment(made["id"])["status"] == "CANCELED"
        assert fleet.service(running)["latest_deployment_id"] == running["latest_deployment_id"]
        assert fleet.parts(running)[0]["status"] == "SLEEPING"
        assert old["route"] == "ACTIVE"

    def test_delivering_every_event_again_changes_nothing(
        self, fleet: Fleet, running: dict[str, object]
    ) -> None:
        def rows() -> list[object]:
            query = "SELECT id, status, generation, route_state FROM regional_deployment ORDER BY id"
            with fleet.database.system() as uow:
                parts = [tuple(row) for row in uow.session.execute(text(query))]
                statuses = [
                    tuple(row) for row in uow.session.execute(text("SELECT id, status FROM deployment"))
                ]
                held = [
                    tuple(row) for row in uow.session.execute(text("SELECT holder, gpus FROM reservation"))
                ]
                return [parts, statuses, held]

        before = rows()
        with fleet.database.system() as uow:
            uow.session.execute(text("DELETE FROM delivery"))
            uow.session.execute(text("UPDATE outbox_event SET routed_at = NULL"))
        fleet.run()
        assert rows() == before


class TestIsolation:
    def test_another_tenant_finds_nothing(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR")
        service = fleet.create_service()
        fleet.run()
        [part] = fleet.parts(service)
        other = sign_up(fleet.api).headers
        paths = [
            f"/v1/apps/{service['app_id']}",
            f"/v1/services/{service['id']}",
            f"/v1/services/{service['id']}/explanation",
            f"/v1/services/{service['id']}/cold_starts",
            f"/v1/service_events?service_id={service['id']}",
            f"/v1/deployments/{service['latest_deployment_id']}",
            f"/v1/regional_deployments/{part['id']}",
            f"/v1/streams/logs/query?service_id={service['id']}",
        ]
        assert {path: fleet.api.get(path, headers=other).status_code for path in paths} == dict.fromkeys(
            paths, 404
        )
        for verb in ("pause", "resume", "redeploy"):
            assert fleet.api.post(f"/v1/services/{service['id']}/{verb}", headers=other).status_code == 404
        for kind in ("apps", "services", "deployments", "regional_deployments", "instances"):
            assert fleet.api.get(f"/v1/{kind}", headers=other).json()[kind] == []
