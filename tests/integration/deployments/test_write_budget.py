"""What a tenant can write again and again: refused in time, forgotten in time, without cost for another tenant."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, text

from controlplane.deployments import repository_fleet
from controlplane.deployments.models import DeploymentRow, RegionalDeploymentRow, SecretVersionRow
from controlplane.deployments.tasks import prune
from controlplane.deployments.write_budget_rules import DEPLOYMENTS_KEPT, LIMITS, Write
from controlplane.kernel import bounds
from controlplane.kernel.ids import ServiceId
from tests.fixtures.tenants import sign_up
from tests.integration.deployments.fleet import Fleet, add_site, definition

DEPLOYS = LIMITS[Write.DEPLOY].for_one


def change(fleet: Fleet, service: dict[str, Any], version: int) -> Any:
    body = {"definition": {"env": [{"key": "APP_ROUND", "value": str(version)}]}}
    headers = {**fleet.caller.headers, "If-Match": f'"{version}"'}
    return fleet.api.patch(f"/v1/services/{service['id']}", json=body, headers=headers)


def refill(fleet: Fleet) -> None:
    """Let the time pass in which every budget fills up again."""
    with fleet.database.system() as uow:
        uow.session.execute(text("UPDATE write_allowance SET full_at = full_at - interval '1 day'"))


def post(fleet: Fleet, path: str, body: dict[str, Any] | None = None) -> Any:
    return fleet.api.post(path, json=body, headers=fleet.caller.headers)


@pytest.mark.case("X2")
class TestBudget:
    def test_redeploys_beyond_the_budget_are_told_when_to_come_back_and_change_nothing(
        self, fleet: Fleet
    ) -> None:
        service = fleet.create_service()
        for version in range(1, DEPLOYS.burst + 1):
            assert change(fleet, service, version).status_code == 202
        before = fleet.service(service)
        refused = change(fleet, service, DEPLOYS.burst + 1)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= DEPLOYS.seconds_each
        assert refused.json()["code"] == "too_many_requests"
        assert fleet.service(service) == before
        # Every door that makes a version counts alike.
        assert post(fleet, f"/v1/services/{service['id']}/redeploy").status_code == 429
        refill(fleet)
        assert change(fleet, service, DEPLOYS.burst + 1).status_code == 202

    def test_loop_of_pause_and_resume_or_of_scales_ends_and_pausing_does_not(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR", nodes=4)
        service = fleet.create_service()
        path = f"/v1/services/{service['id']}"
        most = LIMITS[Write.OPERATE].for_one.burst
        answers = [
            post(fleet, f"{path}/scale", {"min": 0, "max": 1 + n % 2}).status_code for n in range(most + 3)
        ]
        assert answers == [202] * most + [429] * 3
        fleet.answer_as_cells()
        assert post(fleet, f"{path}/pause").status_code == 202
        fleet.answer_as_cells()
        fleet.run()
        assert fleet.service(service)["status"] == "PAUSED"
        assert post(fleet, f"{path}/resume").status_code == 429
        assert post(fleet, f"{path}/pause").status_code == 202
        version = fleet.service(service)["version"]
        gone = fleet.api.delete(path, headers={**fleet.caller.headers, "If-Match": f'"{version}"'})
        assert gone.status_code == 202

    def test_one_tenants_empty_budget_is_not_anothers(self, fleet: Fleet) -> None:
        app_id = fleet.create_app()
        codes = []
        for number in range(LIMITS[Write.DEPLOY].for_tenant.burst + 1):
            body = {"app_id": app_id, "definition": definition(f"s{number}")}
            codes.append(post(fleet, "/v1/services", body).status_code)
        assert codes[-1] in (409, 429), codes
        assert set(codes[:10]) == {202}
        fleet.caller = sign_up(fleet.api)
        fleet.create_service("quiet")

    def test_values_of_secrets_are_counted_as_they_are_replaced(self, fleet: Fleet) -> None:
        secret = fleet.post("/v1/secrets", {"name": "t", "value": "v"})["secret"]
        codes = []
        for version in range(1, LIMITS[Write.SECRET].for_one.burst + 2):
            headers = {**fleet.caller.headers, "If-Match": f'"{version}"'}
            path = f"/v1/secrets/{secret['id']}"
            codes.append(fleet.api.patch(path, json={"value": "v"}, headers=headers).status_code)
        assert codes[-1] == 429
        assert set(codes[:-1]) == {200}


@pytest.mark.case("X2")
class TestSize:
    def test_environment_counts_the_values_of_its_secrets(self, fleet: Fleet) -> None:
        fleet.post("/v1/secrets", {"name": "large", "value": "v" * (bounds.ENV_BYTES - 6)})
        env = [{"key": "APP_A", "secret": "large"}]
        fleet.create_service("fits", env=env)
        body = {
            "app_id": fleet.create_app(),
            "definition": definition("not", env=[*env, {"key": "APP_B", "secret": "large"}]),
        }
        refused = post(fleet, "/v1/services", body)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "definition.env"

    def test_value_that_no_deployment_could_carry_is_refused_by_its_bytes(self, fleet: Fleet) -> None:
        value = "é" * (bounds.ENV_BYTES // 2 + 1)
        assert post(fleet, "/v1/secrets", {"name": "wide", "value": value}).status_code == 422


@pytest.mark.case("X2")
class TestForgetting:
    def test_old_deployments_go_and_what_serves_or_is_wanted_stays(self, fleet: Fleet) -> None:
        add_site(fleet, "essonne-1", "FR", nodes=4)
        fleet.post("/v1/secrets", {"name": "t", "value": "one"})
        service = fleet.create_service(env=[{"key": "APP_T", "secret": "t"}])
        fleet.answer_as_cells()
        fleet.run()
        fleet.answer_as_cells()
        fleet.run()
        first = fleet.service(service)["active_deployment_id"]
        for version in range(1, DEPLOYMENTS_KEPT + 8):
            refill(fleet)
            assert change(fleet, service, version).status_code == 202
        fleet.run()
        with fleet.database.system() as uow:
            prune(uow, None)  # type: ignore[arg-type]
        with fleet.database.system() as uow:
            of_service = DeploymentRow.service_id == ServiceId.parse(service["id"])
            kept = uow.session.scalars(select(DeploymentRow.id).where(of_service)).all()
            assert len(kept) <= DEPLOYMENTS_KEPT + 1
            assert first in {str(each) for each in kept}
            orphans = (
                select(func.count())
                .select_from(RegionalDeploymentRow)
                .where(RegionalDeploymentRow.deployment_id.not_in(select(DeploymentRow.id)))
            )
            assert uow.session.scalar(orphans) == 0
            assert repository_fleet.list_forgettable(uow, kept=DEPLOYMENTS_KEPT, limit=10) == []
            assert uow.session.scalar(select(func.count()).select_from(SecretVersionRow)) == 1
        assert fleet.deployment(fleet.service(service)["latest_deployment_id"])["status"] != "CANCELED"
