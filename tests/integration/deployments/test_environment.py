"""Which variables the API takes from a tenant, on every kind of node."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.deployments.fleet import MODEL, Fleet, definition

GPU_MODEL = "mistral-small-3.2-24b-instruct"


@pytest.mark.case("X12")
class TestVariables:
    @pytest.mark.parametrize(
        "inference",
        [{"model": MODEL}, {"model": GPU_MODEL, "is_simulated_allowed": True}],
        ids=["cpu", "gpu"],
    )
    @pytest.mark.parametrize("source", [{"value": "all"}, {"secret": "hub-token"}], ids=["value", "secret"])
    def test_variable_that_steers_the_engine_is_refused_by_its_field(
        self, fleet: Fleet, inference: dict[str, Any], source: dict[str, str]
    ) -> None:
        fleet.post("/v1/secrets", {"name": "hub-token", "value": "zebra"})
        env = [{"key": "APP_MODE", "value": "x"}, {"key": "NVIDIA_VISIBLE_DEVICES", **source}]
        body = {"app_id": fleet.create_app(), "definition": definition(inference=inference, env=env)}
        refused = fleet.api.post("/v1/services", json=body, headers=fleet.caller.headers)
        assert refused.status_code == 422
        [problem] = refused.json()["errors"]
        assert problem["field"] == "definition.env.1.key"
        assert "NVIDIA_VISIBLE_DEVICES" in problem["message"]

    def test_change_of_a_running_service_is_held_to_the_same_list(self, fleet: Fleet) -> None:
        service = fleet.create_service(env=[{"key": "APP_MODE", "value": "x"}])
        env = [{"key": "LD_PRELOAD", "value": "/x.so"}]
        headers = {**fleet.caller.headers, "If-Match": '"1"'}
        whole = {"definition": definition(env=env)}
        for answer in (
            fleet.api.patch(
                f"/v1/services/{service['id']}", json={"definition": {"env": env}}, headers=headers
            ),
            fleet.api.put(f"/v1/services/{service['id']}", json=whole, headers=headers),
        ):
            assert answer.status_code == 422, answer.text
            assert answer.json()["errors"][0]["field"] == "definition.env.0.key"
        assert fleet.service(service)["latest_deployment_id"] == service["latest_deployment_id"]
