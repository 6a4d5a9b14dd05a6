"""What the database itself refuses, and the order of routing snapshots."""

from __future__ import annotations

import pytest
import sqlalchemy.exc
from sqlalchemy import text

from controlplane.deployments.service_route import read_snapshot
from controlplane.plumbing.redis import ROUTING_KEY, publish_snapshot
from tests.integration.deployments.fleet import Fleet, add_site
from tests.integration.deployments.test_deploy import routes


class TestDatabase:
    def test_definition_of_a_deployment_cannot_be_changed(self, fleet: Fleet) -> None:
        fleet.create_service()
        for column in ("definition", "plan", "secret_versions"):
            with (
                pytest.raises(sqlalchemy.exc.DBAPIError, match="append-only"),
                fleet.database.system() as uow,
            ):
                uow.session.execute(text(f"""UPDATE deployment SET {column} = '{{"a": 1}}'"""))  # noqa: S608

    def test_only_one_route_of_a_service_can_be_active(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR")
        service = fleet.create_service()
        fleet.run()
        fleet.post(f"/v1/services/{service['id']}/redeploy")
        fleet.run()
        assert len(fleet.parts(service)) == 2
        with pytest.raises(sqlalchemy.exc.IntegrityError), fleet.database.system() as uow:
            uow.session.execute(text("UPDATE regional_deployment SET route_state = 'ACTIVE'"))

    def test_service_events_cannot_be_changed(self, fleet: Fleet) -> None:
        fleet.create_service()
        with pytest.raises(sqlalchemy.exc.DBAPIError), fleet.database.system() as uow:
            uow.session.execute(text("UPDATE service_event SET message = ''"))


class TestSnapshots:
    def test_an_older_snapshot_never_replaces_a_newer_one(self, fleet: Fleet) -> None:
        with fleet.database.system() as uow:
            older = read_snapshot(uow)
        with fleet.database.system() as uow:
            newer = read_snapshot(uow)
        assert newer["version"] > older["version"]
        assert publish_snapshot(fleet.context.redis, ROUTING_KEY, newer) is True
        assert publish_snapshot(fleet.context.redis, ROUTING_KEY, older) is False

    def test_wiped_redis_gets_the_routes_again(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR")
        service = fleet.create_service()
        fleet.run()
        [part] = fleet.parts(service)
        fleet.apply(part)
        fleet.report(part, "HEALTHY")
        fleet.run()
        [before] = routes(fleet)
        fleet.context.redis.flushall()
        assert routes(fleet) == [before]


class TestDoor:
    def test_repeated_create_answers_the_same_and_makes_one(self, fleet: Fleet) -> None:
        app = fleet.create_app()
        body = {"app_id": app, "definition": {"name": "a", "inference": {"model": "smollm2-135m-instruct"}}}
        headers = {**fleet.caller.headers, "Idempotency-Key": "k1"}
        first = fleet.api.post("/v1/services", json=body, headers=headers)
        second = fleet.api.post("/v1/services", json=body, headers=headers)
        assert first.json() == second.json()
        assert len(fleet.get("/v1/services")["services"]) == 1

    def test_model_and_size_are_checked_against_the_catalogue(self, fleet: Fleet) -> None:
        app = fleet.create_app()
        cases = {
            "definition.inference.model": {"inference": {"model": "nobody"}},
            "definition.instance_types.0.type": {"instance_types": [{"type": "huge"}]},
        }
        for field, change in cases.items():
            wish = {"name": "a", "inference": {"model": "smollm2-135m-instruct"}, **change}
            refused = fleet.api.post(
                "/v1/services", json={"app_id": app, "definition": wish}, headers=fleet.caller.headers
            )
            assert refused.status_code == 422
            assert [problem["field"] for problem in refused.json()["errors"]] == [field]

    def test_app_with_services_cannot_be_deleted(self, fleet: Fleet) -> None:
        service = fleet.create_service()
        headers = {**fleet.caller.headers, "If-Match": '"1"'}
        refused = fleet.api.delete(f"/v1/apps/{service['app_id']}", headers=headers)
        assert refused.status_code == 409
        assert "'assistant'" in refused.json()["detail"]
