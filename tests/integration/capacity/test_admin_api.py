"""The platform operator's machines over REST, on real PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from controlplane.kernel.ids import LegalEntityId

SITE = {
    "code": "essonne-1",
    "name": "Essonne, hall 1",
    "country": "FR",
    "power_kw": 100,
    "rack_kw_max": 130,
    "pue_milli": 1200,
    "cells": [{"name": "essonne-1-a"}],
}
POOL = {
    "name": "essonne-b300",
    "datacenter": "essonne-1",
    "cell": "essonne-1-a",
    "provider": "kwok",
    "instance_type": "b300-8x",
    "accelerator": {"sku": "nvidia-b300", "count": 8},
    "cpu_milli": 192_000,
    "memory_mib": 2_000_000,
    "watts_per_node": 14_000,
    "replicas": 4,
}


@pytest.fixture
def site(admin: TestClient) -> dict[str, Any]:
    entity = admin.post(
        "/v1/admin/legal_entities",
        json={
            "name": "Centre Essonne SAS",
            "seat": "FR",
            "central_administration": "FR",
            "principal_establishment": "FR",
            "evidence": "register extract",
        },
    )
    assert entity.status_code == 201, entity.text
    entity_id = entity.json()["legal_entity"]["id"]
    reply = admin.post(
        "/v1/admin/datacenters", json={**SITE, "operator_entity_id": entity_id, "owner_entity_id": entity_id}
    )
    assert reply.status_code == 201, reply.text
    return dict(reply.json()["datacenter"])


class TestCreateDatacenter:
    @pytest.mark.parametrize("field", ["operator_entity_id", "owner_entity_id"])
    def test_a_company_that_is_not_on_record_is_refused_with_its_field(
        self, admin: TestClient, site: dict[str, Any], field: str
    ) -> None:
        unknown = str(LegalEntityId.new())
        companies = {name: site[name] for name in ("operator_entity_id", "owner_entity_id")}
        wish = {**SITE, "code": "essonne-2", "cells": [{"name": "essonne-2-a"}], **companies, field: unknown}
        reply = admin.post("/v1/admin/datacenters", json=wish)
        assert (reply.status_code, reply.json()["detail"]) == (422, f"There is no legal entity {unknown}.")
        assert [problem["field"] for problem in reply.json()["errors"]] == [field]
        assert [each["code"] for each in admin.get("/v1/admin/datacenters").json()["datacenters"]] == [
            SITE["code"]
        ]


class TestCreateNodePool:
    def test_a_pool_is_wanted_with_its_version_as_etag(self, admin: TestClient, site: dict[str, Any]) -> None:
        reply = admin.post("/v1/admin/node_pools", json=POOL)
        assert reply.status_code == 201, reply.text
        assert reply.headers["ETag"] == '"1"'
        assert reply.json()["node_pool"]["is_simulated"] is True

    def test_the_same_idempotency_key_answers_the_same_and_creates_one(
        self, admin: TestClient, site: dict[str, Any]
    ) -> None:
        first = admin.post("/v1/admin/node_pools", json=POOL, headers={"Idempotency-Key": "k1"})
        again = admin.post("/v1/admin/node_pools", json=POOL, headers={"Idempotency-Key": "k1"})
        assert first.json() == again.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        other = admin.post(
            "/v1/admin/node_pools", json={**POOL, "replicas": 1}, headers={"Idempotency-Key": "k1"}
        )
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
        assert len(admin.get("/v1/admin/node_pools").json()["node_pools"]) == 1

    def test_a_site_never_promises_more_power_than_it_has(
        self, admin: TestClient, site: dict[str, Any]
    ) -> None:
        reply = admin.post("/v1/admin/node_pools", json={**POOL, "replicas": 6})
        assert (reply.status_code, reply.json()["code"]) == (409, "quota_exceeded")
        assert "cannot feed this: 0.8 kW beyond its 100 kW at PUE 1.20" in reply.json()["detail"]

    def test_a_gpu_on_a_process_host_is_refused_in_words(
        self, admin: TestClient, site: dict[str, Any]
    ) -> None:
        reply = admin.post("/v1/admin/node_pools", json={**POOL, "provider": "process"})
        assert reply.status_code == 422
        assert "a process host has no GPU" in reply.text

    def test_an_unknown_field_is_refused_by_name(self, admin: TestClient, site: dict[str, Any]) -> None:
        reply = admin.post("/v1/admin/node_pools", json={**POOL, "colour": "red"})
        assert reply.status_code == 422
        assert reply.headers["content-type"] == "application/problem+json"
        assert [e["field"] for e in reply.json()["errors"]] == ["body.colour"]


class TestScaleNodePool:
    def test_a_change_must_name_the_version_it_saw(self, admin: TestClient, site: dict[str, Any]) -> None:
        admin.post("/v1/admin/node_pools", json=POOL)
        path = "/v1/admin/node_pools/essonne-b300"
        assert admin.patch(path, json={"replicas": 2}).status_code == 428
        assert admin.patch(path, json={"replicas": 2}, headers={"If-Match": '"9"'}).status_code == 412
        changed = admin.patch(path, json={"replicas": 2}, headers={"If-Match": '"1"'})
        assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')


class TestBodies:
    def test_a_body_over_the_bound_is_refused(self, admin: TestClient) -> None:
        reply = admin.post("/v1/admin/node_pools", content=b'{"name": "' + b"a" * (1 << 20) + b'"}')
        assert (reply.status_code, reply.json()["code"]) == (413, "payload_too_large")

    def test_broken_json_is_refused(self, admin: TestClient) -> None:
        reply = admin.post(
            "/v1/admin/node_pools", content=b'{"name":', headers={"content-type": "application/json"}
        )
        assert reply.status_code == 422
        assert reply.json()["code"] == "invalid_input"

    def test_a_path_that_does_not_exist_is_a_problem_document(self, admin: TestClient) -> None:
        reply = admin.get("/v1/nothing")
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
        assert reply.headers["X-Request-Id"] == reply.json()["request_id"]
