"""Every door of a pool and a site over REST: what tenants hold stays, what draws power counts, facts are recorded."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from fastapi.testclient import TestClient

from controlplane.capacity import repository, service
from controlplane.kernel.ids import RegionalDeploymentId, TenantId
from controlplane.plumbing.database import Database
from tests.integration.capacity.test_admin_api import POOL, SITE
from tests.integration.capacity.test_admin_api import site as site

SITES, POOLS = "/v1/admin/datacenters", "/v1/admin/node_pools"


def entity(admin: TestClient, name: str, seat: str = "FR", **facts: Any) -> str:
    body = {"name": name, "seat": seat, "evidence": "register extract", **facts}
    if facts.get("kind", "company") == "company":
        body |= {"central_administration": seat, "principal_establishment": seat}
    reply = admin.post("/v1/admin/legal_entities", json=body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["legal_entity"]["id"])


def change(admin: TestClient, path: str, body: dict[str, Any]) -> Any:
    tag = admin.get(path).headers["ETag"]
    return admin.patch(path, json=body, headers={"If-Match": tag})


def make_pool(admin: TestClient, **changes: Any) -> str:
    reply = admin.post(POOLS, json={**POOL, **changes})
    assert reply.status_code == 201, reply.text
    return f"{POOLS}/{reply.json()['node_pool']['name']}"


def hold(database: Database, name: str, gpus: int, replicas: int = 1) -> None:
    with database.system() as uow:
        row = repository.find_pool_row(uow, name)
        assert row is not None
        row.ready_nodes = row.nodes_seen = row.replicas
        pool_id = row.id
    with database.system(TenantId.new()) as uow:
        assert service.reserve(
            uow, pool_id, RegionalDeploymentId.new(), replicas=replicas, gpus_per_replica=gpus, cpu_milli=10,
            memory_mib=10,
        )  # fmt: skip


@pytest.mark.case("F6")
class TestShrink:
    @pytest.mark.parametrize(
        ("held", "least"),
        [([(8, 2)], 2), ([(8, 1)], 1), ([(4, 1), (4, 1)], 1), ([(5, 1), (5, 1), (5, 1)], 3), ([(1, 1)], 1)],
    )
    def test_no_door_takes_machines_from_under_what_is_held(
        self, admin: TestClient, database: Database, site: Any, held: list[tuple[int, int]], least: int
    ) -> None:
        path = make_pool(admin)
        for gpus, replicas in held:
            hold(database, POOL["name"], gpus, replicas)
        for replicas in range(least):
            refused = change(admin, path, {"replicas": replicas})
            assert refused.status_code == 409, refused.text
            assert f"needs {least} machines" in refused.json()["detail"]
        tag = admin.get(path).headers["ETag"]
        assert admin.delete(path, headers={"If-Match": tag}).status_code == 409
        assert change(admin, path, {"replicas": least}).status_code == 200
        assert admin.get(path).json()["node_pool"]["gpus_reserved"] == sum(g * r for g, r in held)

    def test_a_pool_that_shrinks_is_filled_no_further(
        self, admin: TestClient, database: Database, site: Any
    ) -> None:
        path = make_pool(admin)
        hold(database, POOL["name"], 8)
        assert change(admin, path, {"replicas": 1}).status_code == 200
        with pytest.raises(AssertionError):
            hold(database, POOL["name"], 1)


@pytest.mark.case("F11")
class TestPower:
    def test_machines_that_drain_count_until_they_are_gone(
        self, admin: TestClient, database: Database, site: Any
    ) -> None:
        path = make_pool(admin, replicas=5)
        assert change(admin, path, {"replicas": 0}).status_code == 200
        other = {**POOL, "name": "other"}
        refused = admin.post(POOLS, json={**other, "replicas": 5})
        assert refused.status_code == 409
        assert "until they are gone" in refused.json()["detail"]
        report(database, POOL["name"], spec=0, machines=1)
        assert admin.post(POOLS, json={**other, "replicas": 5}).status_code == 409
        assert admin.post(POOLS, json={**other, "replicas": 4}).status_code == 201
        report(database, POOL["name"], spec=0, machines=0)
        assert change(admin, f"{POOLS}/other", {"replicas": 5}).status_code == 200

    @pytest.mark.parametrize(
        ("cut", "kind"),
        [({"power_kw": 10}, "excess_watts"), ({"pue_milli": 2500}, "excess_watts"), ({"rack_count": 1,
          "rack_kw_max": 28}, "excess_racks"), ({"rack_kw_max": 13}, "hot_node_pools")],
    )  # fmt: skip
    def test_a_cut_is_recorded_and_answered_with_a_plan(
        self, admin: TestClient, database: Database, site: Any, cut: dict[str, int], kind: str
    ) -> None:
        path = make_pool(admin, replicas=4)
        hold(database, POOL["name"], 8)
        reply = change(admin, f"{SITES}/essonne-1", cut)
        assert reply.status_code == 200, reply.text
        assert {name: reply.json()["datacenter"][name] for name in cut} == cut
        load = reply.json()["datacenter"]["load"]
        assert load["is_overcommitted"]
        assert load[kind]
        assert load["message"]
        assert [step["node_pool"] for step in load["plan"]] == [POOL["name"]]
        assert change(admin, path, {"replicas": 5}).status_code == 409
        assert change(admin, path, {"replicas": 3}).status_code == 200
        again = change(admin, f"{SITES}/essonne-1", {"power_kw": 100_000, "pue_milli": 1200, "rack_kw_max": 130,
                                                      "rack_count": 100})  # fmt: skip
        assert not again.json()["datacenter"]["load"]["is_overcommitted"]
        assert again.json()["datacenter"]["load"]["plan"] == []

    def test_a_machine_too_hot_for_a_rack_is_refused(self, admin: TestClient, site: Any) -> None:
        assert change(admin, f"{SITES}/essonne-1", {"power_kw": 1000}).status_code == 200
        refused = admin.post(POOLS, json={**POOL, "watts_per_node": 130_001, "replicas": 1})
        assert refused.status_code == 409
        assert "more than one rack" in refused.json()["detail"]


def report(database: Database, name: str, *, spec: int, machines: int, ready: int = 0) -> None:
    """Let the pool's cell report that it follows a wish and how many machines are left."""
    with database.system() as uow:
        from controlplane.capacity.manifest import build_node_pool

        resource = build_node_pool(service.get_node_pool(uow, name), spec)
        resource["metadata"] |= {"generation": 3}
        status = {"observedGeneration": 3, "replicas": machines, "readyReplicas": ready}
        service.observe_node_pool(uow, {**resource, "status": status})


@pytest.mark.case("F3")
class TestFieldsOfAPool:
    MARKS: ClassVar = {
        "node_labels": {"example.org/hall": "h1"},
        "node_taints": [{"key": "example.org/confidential", "value": "yes", "effect": "NoSchedule"}],
    }

    def test_each_field_of_the_custom_resource_is_settable_and_told(
        self, admin: TestClient, database: Database, site: Any
    ) -> None:
        path = make_pool(admin, paused=True, **self.MARKS)
        assert told(database)["paused"] is True
        reply = change(admin, path, {"paused": False, "node_labels": {"example.org/hall": "h2"}})
        assert reply.status_code == 200, reply.text
        assert reply.json()["node_pool"]["paused"] is False
        assert reply.json()["node_pool"]["node_taints"] == self.MARKS["node_taints"]
        spec = told(database)
        assert not spec.get("paused")
        assert spec["nodeLabels"] == {"example.org/hall": "h2"}
        assert spec["nodeTaints"] == self.MARKS["node_taints"]
        assert change(admin, path, {"node_labels": {}, "node_taints": []}).status_code == 200
        assert not told(database).get("nodeLabels")

    @pytest.mark.parametrize(
        ("field", "marks"),
        [
            ("node_labels.bad key!", {"node_labels": {"bad key!": "also bad!"}}),
            ("node_labels.a", {"node_labels": {"a": "b!"}}),
            ("node_labels.rempart.eu/cell", {"node_labels": {"rempart.eu/cell": "x"}}),
            ("node_labels.topology.kubernetes.io/zone", {"node_labels": {"topology.kubernetes.io/zone": "x"}}),
            ("node_taints.0", {"node_taints": [{"key": "k8s.io/x", "value": "", "effect": "NoExecute"}]}),
            ("node_taints.1", {"node_taints": [{"key": "a", "value": v, "effect": "NoExecute"} for v in "xy"]}),
        ],
    )  # fmt: skip
    def test_what_no_machine_can_carry_is_refused_by_its_field(
        self, admin: TestClient, site: Any, field: str, marks: dict[str, Any]
    ) -> None:
        path = make_pool(admin)
        for reply in (admin.post(POOLS, json={**POOL, "name": "other", **marks}), change(admin, path, marks)):
            assert reply.status_code == 422, reply.text
            assert [problem["field"] for problem in reply.json()["errors"]] == [field]

    def test_nothing_new_is_placed_on_a_paused_pool(
        self, admin: TestClient, database: Database, site: Any
    ) -> None:
        path = make_pool(admin)
        assert change(admin, path, {"paused": True}).status_code == 200
        with pytest.raises(AssertionError):
            hold(database, POOL["name"], 1)
        with database.system() as uow:
            (offer,) = service.list_offers(uow)
            assert offer.is_paused
        assert change(admin, path, {"paused": False}).status_code == 200
        hold(database, POOL["name"], 1)


def told(database: Database) -> dict[str, Any]:
    from controlplane.capacity.manifest import build_node_pool

    with database.system() as uow:
        spec: dict[str, Any] = build_node_pool(service.get_node_pool(uow, POOL["name"]))["spec"]
        return spec


@pytest.mark.case("F9")
class TestLifeOfASite:
    PATH = f"{SITES}/essonne-1"

    def test_operator_and_owner_change_by_dated_facts(self, admin: TestClient, site: Any) -> None:
        heir = entity(admin, "Essonne Reprise SAS")
        now = change(admin, self.PATH, {"operator_entity_id": heir, "evidence": "deed of 2026"})
        assert now.status_code == 200, now.text
        assert now.json()["datacenter"]["operator_entity_id"] == heir
        assert now.json()["datacenter"]["owner_entity_id"] == site["owner_entity_id"]
        later = change(
            admin,
            self.PATH,
            {"owner_entity_id": heir, "effective_from": "2099-01-01T00:00:00Z", "evidence": "deed of sale"},
        ).json()["datacenter"]
        assert later["owner_entity_id"] == site["owner_entity_id"]
        assert [(r["role"], r["entity_id"]) for r in later["roles"]][-1] == ("owner", heir)
        assert len(later["roles"]) == 4

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            ({"operator_entity_id": "ent_00000000000000000000000000"}, "evidence"),
            ({"effective_from": "2099-01-01T00:00:00Z"}, "name one of them"),
            ({"operator_entity_id": "SELF", "effective_from": "2020-01-01T00:00:00Z", "evidence": "x"}, "past"),
            ({"operator_entity_id": "SELF", "effective_from": "2099-01-01T00:00:00", "evidence": "x"}, "timezone"),
        ],
    )  # fmt: skip
    def test_a_change_without_proof_or_in_the_past_is_refused(
        self, admin: TestClient, site: Any, body: dict[str, str], says: str
    ) -> None:
        wish = {key: site["operator_entity_id"] if value == "SELF" else value for key, value in body.items()}
        refused = change(admin, self.PATH, wish)
        assert refused.status_code == 422, refused.text
        assert says in refused.text

    def test_cells_are_added_and_used(self, admin: TestClient, site: Any) -> None:
        reply = change(admin, self.PATH, {"cells": [{"name": "essonne-1-b"}]})
        assert reply.json()["datacenter"]["cells"] == ["essonne-1-a", "essonne-1-b"]
        assert change(admin, self.PATH, {"cells": [{"name": "essonne-1-b"}]}).status_code == 409
        make_pool(admin, cell="essonne-1-b")

    def test_a_site_is_closed_when_it_is_empty_and_stays_on_record(
        self, admin: TestClient, database: Database, site: Any
    ) -> None:
        path = make_pool(admin)
        tag = admin.get(self.PATH).headers["ETag"]
        assert admin.delete(self.PATH, headers={"If-Match": tag}).status_code == 409
        assert admin.delete(path, headers={"If-Match": admin.get(path).headers["ETag"]}).status_code == 204
        with database.system() as uow:
            service.observe_node_pool_gone(uow, POOL["name"])
        closed = admin.delete(self.PATH, headers={"If-Match": tag})
        assert closed.status_code == 200, closed.text
        assert closed.json()["datacenter"]["closed_at"]
        assert admin.get(self.PATH).status_code == 200
        assert admin.get("/v1/catalog/datacenters").json()["datacenters"] == []
        assert change(admin, self.PATH, {"power_kw": 5}).status_code == 409
        assert admin.post(POOLS, json=POOL).status_code == 409

    @pytest.mark.case("F25")
    @pytest.mark.parametrize("country", ["RE", "GP", "NC", "GL", "AX", "BM"])
    def test_a_site_may_stand_in_any_country(self, admin: TestClient, country: str) -> None:
        company = entity(admin, "Calcul outre-mer", country)
        wish = {**SITE, "country": country, "operator_entity_id": company, "owner_entity_id": company}
        assert admin.post(SITES, json=wish).status_code == 201
