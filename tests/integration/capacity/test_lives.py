"""Each object of the fleet through its whole life by REST alone: made, read, changed field by field, ended, listed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.testclient import TestClient

from controlplane.capacity import service
from controlplane.capacity.schemas import NodePoolIn, NodePoolPatch
from controlplane.capacity.schemas_sites import DatacenterIn, DatacenterPatch
from controlplane.plumbing.database import Database
from tests.integration.capacity.test_admin_api import POOL, SITE
from tests.integration.capacity.test_admin_api import site as site
from tests.integration.capacity.test_pool_doors import POOLS, SITES, change, entity, make_pool

LATER = "2099-01-01T00:00:00Z"


@dataclass(frozen=True)
class Fact:
    """A dated fact: stated once, ended once, never changed."""

    path: str
    singular: str
    body: dict[str, Any]
    plural: str = ""
    filters: tuple[str, ...] = field(default=())


def facts(admin: TestClient) -> list[Fact]:
    holder, held = entity(admin, "Holder", kind="natural_persons"), entity(admin, "Held SAS")
    return [
        Fact(
            "/v1/admin/legal_entities", "legal_entity",
            {"name": "Lives SAS", "seat": "FR", "central_administration": "FR", "principal_establishment": "FR",
             "siren": "552100554", "evidence": "register extract"},
            "legal_entities",
        ),
        Fact(
            "/v1/admin/holdings", "holding",
            {"holder_id": holder, "held_id": held, "capital_bp": 6000, "votes_bp": 7000, "has_veto": True,
             "evidence": "share register"},
        ),
        Fact(
            "/v1/admin/certifications", "certification",
            {"framework": "HDS", "framework_version": "2.0", "entity_id": held, "issued_on": "2026-01-01",
             "expires_on": "2028-12-31", "evidence": "certificate"},
        ),
    ]  # fmt: skip


@pytest.mark.case("F9")
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_legal_fact_is_stated_read_ended_once_and_stays_on_record(admin: TestClient, number: int) -> None:
    fact = facts(admin)[number]
    made = admin.post(fact.path, json=fact.body)
    assert made.status_code == 201, made.text
    shown = made.json()[fact.singular]
    for name, value in fact.body.items():
        assert shown[name] == value, name
    own = f"{fact.path}/{shown['id']}"
    assert admin.get(own).json()[fact.singular] == shown
    listed = admin.get(fact.path, params={"limit": 200}).json()[fact.plural or f"{fact.singular}s"]
    assert shown["id"] in {each["id"] for each in listed}
    # A fact is never changed and never deleted: what was true stays on record.
    assert admin.patch(own, json=fact.body, headers={"If-Match": '"1"'}).status_code == 405
    assert admin.delete(own, headers={"If-Match": '"1"'}).status_code == 405
    ended = admin.post(f"{own}/end", json={"valid_to": LATER})
    assert ended.status_code == 200, ended.text
    assert ended.json()[fact.singular]["valid_to"].startswith("2099-01-01")
    assert ended.json()[fact.singular]["version"] == 2
    again = admin.post(f"{own}/end", json={"valid_to": "2098-01-01T00:00:00Z"})
    assert again.status_code in (200, 409), again.text
    assert admin.get(own).json()[fact.singular]["ended_at"] is not None


# Each figure of a site: a new value, or None with the words that refuse its change.
SITE_FIELDS: dict[str, Any] = {
    "power_kw": 900,
    "rack_kw_max": 140,
    "rack_count": 12,
    "pue_milli": 1150,
    "operator_entity_id": "HEIR",
    "owner_entity_id": "HEIR",
    "cells": [{"name": "essonne-1-z"}],
    "code": None,
    "name": None,
    "country": None,
}
POOL_FIELDS: dict[str, Any] = {
    "replicas": 3,
    "paused": True,
    "node_labels": {"example.org/hall": "h1"},
    "node_taints": [{"key": "example.org/own", "value": "yes", "effect": "NoSchedule"}],
    "name": None,
    "datacenter": None,
    "cell": None,
    "provider": None,
    "instance_type": None,
    "accelerator": None,
    "cpu_milli": None,
    "memory_mib": None,
    "watts_per_node": None,
}


@pytest.mark.case("F9")
@pytest.mark.parametrize("name", SITE_FIELDS)
def test_each_field_of_a_site_changes_or_is_refused_by_name(admin: TestClient, site: Any, name: str) -> None:
    assert set(SITE_FIELDS) == set(DatacenterIn.model_fields)
    assert {key for key, value in SITE_FIELDS.items() if value is not None} == (
        set(DatacenterPatch.model_fields) - {"effective_from", "evidence"}
    )
    path, value = f"{SITES}/{SITE['code']}", SITE_FIELDS[name]
    if value is None:
        _is_refused(admin, path, name, site[name])
        return
    value = entity(admin, "Heir SAS") if value == "HEIR" else value
    proof = {"evidence": "deed"} if name.endswith("_entity_id") else {}
    reply = change(admin, path, {name: value, **proof})
    assert reply.status_code == 200, reply.text
    shown = admin.get(path).json()["datacenter"]
    if name == "cells":
        assert shown[name] == ["essonne-1-a", "essonne-1-z"]
    else:
        assert shown[name] == value
    assert shown["version"] == site["version"] + 1


@pytest.mark.case("F9")
@pytest.mark.parametrize("name", POOL_FIELDS)
def test_each_field_of_a_pool_changes_or_is_refused_by_name(admin: TestClient, site: Any, name: str) -> None:
    assert set(POOL_FIELDS) == set(NodePoolIn.model_fields)
    assert {key for key, value in POOL_FIELDS.items() if value is not None} == set(NodePoolPatch.model_fields)
    path, value = make_pool(admin), POOL_FIELDS[name]
    if value is None:
        _is_refused(admin, path, name, admin.get(path).json()["node_pool"][name])
        return
    reply = change(admin, path, {name: value})
    assert reply.status_code == 200, reply.text
    assert admin.get(path).json()["node_pool"][name] == value


def _is_refused(admin: TestClient, path: str, name: str, value: Any) -> None:
    """What a thing is made with stays: even the same value is no change that anybody may ask for."""
    refused = change(admin, path, {name: value})
    assert refused.status_code == 422, refused.text
    assert f"body.{name}" in {problem["field"] for problem in refused.json()["errors"]}


@pytest.mark.case("F9")
def test_pools_and_machines_end_with_their_site(admin: TestClient, database: Database, site: Any) -> None:
    path = make_pool(admin, replicas=1)
    spec = {
        "poolRef": POOL["name"], "ordinal": 0, "datacenter": SITE["code"], "cell": "essonne-1-a",
        "provider": {"kind": "kwok"}, "instanceType": "b300-8x", "cpuMilli": 1000, "memoryMiB": 1024,
    }  # fmt: skip
    claim = {"apiVersion": "rempart.eu/v1alpha1", "kind": "NodeClaim", "spec": spec}
    name = f"{POOL['name']}-0"
    with database.system() as uow:
        service.observe_node_claim(uow, {**claim, "metadata": {"name": name, "uid": "one"}})
    assert [each["name"] for each in admin.get("/v1/admin/nodes").json()["nodes"]] == [name]
    assert admin.get("/v1/admin/nodes", params={"pool": "other"}).json()["nodes"] == []
    for verb in ("cordon", "drain", "uncordon"):
        assert admin.post(f"/v1/admin/nodes/{name}/{verb}").json()["node"]["order"] == verb
    # A site with pools, and a pool that is going, are no place for something new.
    tag = admin.get(f"{SITES}/{SITE['code']}").headers["ETag"]
    assert admin.delete(f"{SITES}/{SITE['code']}", headers={"If-Match": tag}).status_code == 409
    assert admin.delete(path, headers={"If-Match": admin.get(path).headers["ETag"]}).status_code == 204
    assert admin.post(f"/v1/admin/nodes/{name}/cordon").status_code == 409
    assert admin.patch(path, json={"replicas": 2}, headers={"If-Match": '"2"'}).status_code == 404
    with database.system() as uow:
        service.observe_node_claim_gone(uow, name)
        service.observe_node_pool_gone(uow, POOL["name"])
    assert admin.get(path).status_code == 404
    assert admin.get(f"/v1/admin/nodes/{name}").status_code == 404
    tag = admin.get(f"{SITES}/{SITE['code']}").headers["ETag"]
    assert admin.delete(f"{SITES}/{SITE['code']}", headers={"If-Match": tag}).status_code == 200
    assert [each["code"] for each in admin.get(SITES).json()["datacenters"]] == [SITE["code"]]
    assert admin.post(POOLS, json=POOL).status_code == 409
