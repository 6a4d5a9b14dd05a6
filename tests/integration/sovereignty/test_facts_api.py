"""Legal facts over REST, on real PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy.exc
from fastapi.testclient import TestClient
from sqlalchemy import text

from controlplane.audit import service as audit
from controlplane.plumbing.database import Database
from tests.fixtures.tenants import sign_up

COMPANY = {
    "name": "Essonne Calcul SAS",
    "seat": "FR",
    "central_administration": "FR",
    "principal_establishment": "FR",
    "siren": "732829320",
    "evidence": "Kbis extract of 2026-10-02",
}
PEOPLE = {"name": "Founders", "kind": "natural_persons", "seat": "FR", "evidence": "share register"}


def create(admin: TestClient, path: str, noun: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = admin.post(f"/v1/admin/{path}", json=body)
    assert reply.status_code == 201, reply.text
    return dict(reply.json()[noun])


def company(admin: TestClient, **changes: Any) -> str:
    return str(create(admin, "legal_entities", "legal_entity", {**COMPANY, **changes})["id"])


def hold(admin: TestClient, holder: str, held: str, bp: int) -> dict[str, Any]:
    body = {
        "holder_id": holder,
        "held_id": held,
        "capital_bp": bp,
        "votes_bp": bp,
        "evidence": "share register",
    }
    return create(admin, "holdings", "holding", body)


class TestCreate:
    def test_an_entity_is_recorded_with_audit_and_event(self, admin: TestClient, database: Database) -> None:
        entity = create(admin, "legal_entities", "legal_entity", COMPANY)
        assert admin.get(f"/v1/admin/legal_entities/{entity['id']}").json()["legal_entity"] == entity
        with database.system() as uow:
            acts = [(r.action, r.target) for r in audit.walk(uow, None)]
            events = uow.session.execute(
                text("SELECT payload FROM outbox_event WHERE topic = 'fact.changed'")
            ).scalars()
            assert ("legal_entity.created", entity["id"]) in acts
            assert [event["keys"] for event in events] == [[entity["id"]]]

    def test_a_repeated_post_records_one_fact(self, admin: TestClient) -> None:
        headers = {"Idempotency-Key": "one-entity"}
        first = admin.post("/v1/admin/legal_entities", json=COMPANY, headers=headers)
        second = admin.post("/v1/admin/legal_entities", json=COMPANY, headers=headers)
        assert first.json() == second.json()
        assert len(admin.get("/v1/admin/legal_entities").json()["legal_entities"]) == 1

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"siren": "732829321"}, "siren"),
            ({"lei": "5493001KJTIIGC8Y1R13"}, "lei"),
            ({"seat": "XX"}, "body.seat"),
            ({"surprise": 1}, "body.surprise"),
            ({"name": ""}, "body.name"),
            ({"evidence": "x" * 2_001}, "body.evidence"),
            ({"valid_from": "2026-01-01T00:00:00"}, "body.valid_from"),
        ],
    )
    def test_bad_input_names_the_field(self, admin: TestClient, change: dict[str, Any], field: str) -> None:
        reply = admin.post("/v1/admin/legal_entities", json={**COMPANY, **change})
        assert reply.status_code == 422
        assert field in [problem["field"] for problem in reply.json()["errors"]]

    def test_shares_beyond_the_whole_are_refused(self, admin: TestClient) -> None:
        target, people = company(admin), company(admin, **PEOPLE)
        hold(admin, people, target, 6_000)
        body = {"holder_id": people, "held_id": target, "capital_bp": 4_001, "votes_bp": 0, "evidence": "x"}
        reply = admin.post("/v1/admin/holdings", json=body)
        assert reply.status_code == 409
        assert "100.01 % of the capital of Essonne Calcul SAS" in reply.json()["detail"]

    def test_a_holding_of_an_unknown_entity_is_refused(self, admin: TestClient) -> None:
        target = company(admin)
        stranger = "ent_01h00000000000000000000000"
        body = {"holder_id": stranger, "held_id": target, "capital_bp": 1, "votes_bp": 1, "evidence": "x"}
        reply = admin.post("/v1/admin/holdings", json=body)
        assert reply.status_code == 422
        assert reply.json()["errors"][0]["field"] == "holder_id"

    @pytest.mark.parametrize(
        "change",
        [
            {"site_code": None},
            {"expires_on": "2024-01-01"},
            {"framework": "hds"},
            {"issued_on": "2025-02-30"},
        ],
    )
    def test_a_certificate_needs_a_scope_and_an_order_of_dates(
        self, admin: TestClient, change: dict[str, Any]
    ) -> None:
        body = {
            "framework": "HDS",
            "framework_version": "2.0",
            "site_code": "essonne-1",
            "issued_on": "2025-01-01",
            "expires_on": "2027-12-31",
            "evidence": "certificate 42",
        }
        assert admin.post("/v1/admin/certifications", json={**body, **change}).status_code == 422
        assert create(admin, "certifications", "certification", body)["is_simulated"] is False


class TestEnd:
    def test_an_ended_fact_stays_readable_and_ends_once(self, admin: TestClient) -> None:
        target, people = company(admin), company(admin, **PEOPLE)
        holding = hold(admin, people, target, 10_000)
        reply = admin.post(f"/v1/admin/holdings/{holding['id']}/end", json={})
        assert reply.status_code == 200, reply.text
        ended = reply.json()["holding"]
        assert (ended["version"], ended["ended_at"], ended["valid_to"]) == (
            2,
            ended["valid_to"],
            ended["ended_at"],
        )
        assert admin.get(f"/v1/admin/holdings/{holding['id']}").json()["holding"] == ended
        assert admin.post(f"/v1/admin/holdings/{holding['id']}/end", json={}).status_code == 409
        hold(admin, people, target, 10_000)

    def test_a_fact_does_not_end_before_it_began(self, admin: TestClient) -> None:
        entity = company(admin)
        reply = admin.post(
            f"/v1/admin/legal_entities/{entity}/end", json={"valid_to": "2020-01-01T00:00:00Z"}
        )
        assert reply.status_code == 422

    def test_an_unknown_fact_is_not_found(self, admin: TestClient) -> None:
        unknown = "crt_01h00000000000000000000000"
        assert admin.post(f"/v1/admin/certifications/{unknown}/end", json={}).status_code == 404
        assert admin.get(f"/v1/admin/certifications/{unknown}").status_code == 404

    @pytest.mark.parametrize("table", ["legal_entity", "holding", "certification"])
    def test_facts_are_ended_and_never_deleted(self, database: Database, table: str) -> None:
        with (
            pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"),
            database.system() as uow,
        ):
            uow.session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - a table's name from this test
        with (
            pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"),
            database.system() as uow,
        ):
            uow.session.execute(text(f"UPDATE {table} SET evidence = 'other'"))  # noqa: S608 - as above


class TestList:
    def test_pages_join_to_the_whole_list(self, admin: TestClient) -> None:
        made = [company(admin, name=f"company {number}") for number in range(5)]
        seen: list[str] = []
        cursor: str | None = None
        for _ in range(4):
            query = "limit=2" if cursor is None else f"limit=2&cursor={cursor}"
            page = admin.get(f"/v1/admin/legal_entities?{query}").json()
            seen += [entity["id"] for entity in page["legal_entities"]]
            cursor = page["next_cursor"]
            assert page["has_next"] == (cursor is not None)
            if cursor is None:
                break
        assert seen == made[::-1]


class TestAccess:
    @pytest.mark.parametrize("path", ["legal_entities", "holdings", "certifications"])
    def test_only_the_platform_states_facts(self, api: TestClient, path: str) -> None:
        owner = sign_up(api)
        assert api.get(f"/v1/admin/{path}").status_code == 401
        assert api.get(f"/v1/admin/{path}", headers=owner.headers).status_code == 403
        fact = "ent_01h00000000000000000000000"
        assert api.post(f"/v1/admin/{path}/{fact}/end", json={}, headers=owner.headers).status_code == 403
