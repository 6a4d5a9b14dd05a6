"""Signing up, projects, limits and suspension over the real door."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from controlplane.kernel.errors import QuotaExceeded
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import Address, BillingParty, QuotaName
from tests.fixtures.tenants import bearer, make_key, operator_headers, sign_up, signup_body

PARTY = BillingParty(
    "Acme SAS", "FR", "732829320", None, Address("1 rue du Test", "", "91120", "Palaiseau", "FR")
)


class TestSignup:
    def test_sign_up_gives_an_organization_a_project_and_a_working_key(self, api: TestClient) -> None:
        answer = api.post("/v1/signup", json=signup_body("acme", "chat"))
        assert answer.status_code == 201
        body = answer.json()
        mine = api.get("/v1/organization", headers=bearer(body["api_key"]["secret"]))
        assert mine.json() == {"organization": body["organization"]}
        assert body["project"]["is_default"]
        assert body["api_key"]["role"] == "owner"

    def test_wrong_siren_is_refused_by_its_field(self, api: TestClient) -> None:
        body = signup_body("acme")
        body["organization"]["siren"] = "732829321"
        refused = api.post("/v1/signup", json=body)
        assert refused.status_code == 422
        assert [problem["field"] for problem in refused.json()["errors"]] == ["siren", "vat_id"]

    def test_numbers_may_be_written_with_spaces(self, api: TestClient) -> None:
        body = signup_body("acme")
        body["organization"]["siren"] = "732 829 320"
        body["organization"]["vat_id"] = "fr 44 732829320"
        assert api.post("/v1/signup", json=body).json()["organization"]["vat_id"] == "FR44732829320"

    def test_repeated_sign_up_answers_the_same_without_the_secret(
        self, api: TestClient, database: Database
    ) -> None:
        headers = {"Idempotency-Key": "one"}
        first = api.post("/v1/signup", json=signup_body("acme"), headers=headers).json()
        second = api.post("/v1/signup", json=signup_body("acme"), headers=headers)
        assert second.status_code == 201
        assert second.headers["Idempotent-Replayed"] == "true"
        secret = first["api_key"].pop("secret")
        assert second.json()["api_key"].pop("secret") is None
        assert second.json()["organization"] == first["organization"]
        assert_nowhere_stored(database, secret)

    @pytest.mark.case("X17")
    @pytest.mark.case("W7")
    def test_sign_up_is_closed_unless_somebody_opened_it_and_the_operator_still_can(
        self, settings: Settings, database: Database
    ) -> None:
        from controlplane.entrypoints.api import create_app

        default = Settings.model_fields["is_signup_open"].default
        closed = settings.model_copy(update={"is_signup_open": default})
        with TestClient(create_app(closed, database)) as api:
            refused = api.post("/v1/signup", json=signup_body("acme"))
            assert refused.status_code == 403
            assert "closed" in refused.json()["detail"]
            operator = operator_headers(database, settings)
            body = {key: part for key, part in signup_body("acme").items() if key != "accepted_terms"}
            made = api.post("/v1/admin/organizations", json=body, headers=operator)
            assert made.status_code == 201


def assert_nowhere_stored(database: Database, secret: str) -> None:
    """Search every text of every table for a secret."""
    from sqlalchemy import text

    with database.system() as uow:
        tables = uow.session.scalars(
            text(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
            )
        ).all()
        assert "idempotency" in tables
        for table in tables:
            query = text(f"SELECT count(*) FROM {table} t WHERE position(:s in to_jsonb(t)::text) > 0")  # noqa: S608
            assert uow.session.scalar(query, {"s": secret}) == 0, table
        stored = uow.session.scalars(text("SELECT body FROM idempotency")).all()
        assert stored
        assert all(secret.encode() not in bytes(body) for body in stored)


class TestOrganization:
    def test_billing_party_changes_under_its_version_only(self, api: TestClient) -> None:
        caller = sign_up(api)
        path = f"/v1/organizations/{caller.organization_id}"
        etag = api.get(path, headers=caller.headers).headers["ETag"]
        change = {"legal_name": "Acme SA"}
        assert api.patch(path, json=change, headers=caller.headers).status_code == 428
        headers = {**caller.headers, "If-Match": etag}
        changed = api.patch(path, json=change, headers=headers)
        assert changed.json()["organization"]["legal_name"] == "Acme SA"
        assert changed.json()["organization"]["siren"] == "732829320"
        assert api.patch(path, json=change, headers=headers).status_code == 412

    def test_a_change_that_could_not_be_invoiced_is_refused(self, api: TestClient) -> None:
        caller = sign_up(api)
        headers = {**caller.headers, "If-Match": '"1"'}
        refused = api.patch(
            f"/v1/organizations/{caller.organization_id}", json={"country": "DE"}, headers=headers
        )
        assert refused.status_code == 422

    def test_another_organization_does_not_exist(self, api: TestClient) -> None:
        mine, other = sign_up(api), sign_up(api)
        assert api.get(f"/v1/organizations/{other.organization_id}", headers=mine.headers).status_code == 404


class TestSuspension:
    @staticmethod
    def _changes(api: TestClient) -> list[tuple[str, str]]:
        """Every operation of a tenant that is no read, with ids of nothing."""
        paths = api.get("/openapi.json").json()["paths"]
        return [
            (method.upper(), re.sub(r"\{[^}]*\}", "anything", path))
            for path, methods in paths.items()
            for method in methods
            if method in {"post", "put", "patch", "delete"}
            and not path.startswith("/v1/admin/")
            and path not in {"/v1/signup", "/v1/usage_events"}
        ]

    @pytest.mark.case("M23")
    def test_a_suspended_tenant_reads_what_it_owes_and_changes_nothing_until_it_is_resumed(
        self, api: TestClient, database: Database, settings: Settings
    ) -> None:
        caller, operator = sign_up(api), operator_headers(database, settings)
        path = f"/v1/admin/organizations/{caller.organization_id}"
        answer = api.post(f"{path}/suspend", json={"reason": "Unpaid."}, headers=operator)
        assert answer.json()["organization"]["status"] == "SUSPENDED"
        for read in (
            "organization",
            "invoices",
            "payments",
            "balances",
            "costs",
            "usages",
            "prices",
            "services",
        ):
            assert api.get(f"/v1/{read}", headers=caller.headers).status_code == 200, read
        changes = self._changes(api)
        assert len(changes) > 20
        for method, change in changes:
            refused = api.request(method, change, json={}, headers={**caller.headers, "If-Match": '"1"'})
            assert refused.status_code == 403, f"{method} {change}"
            assert refused.json()["code"] == "organization_suspended", f"{method} {change}"
        assert api.post(f"{path}/suspend", json={"reason": "."}, headers=operator).status_code == 409
        assert api.post(f"{path}/resume", headers=operator).status_code == 200
        assert api.get("/v1/organization", headers=caller.headers).status_code == 200

    def test_the_act_stands_in_both_chains(
        self, api: TestClient, database: Database, settings: Settings
    ) -> None:
        caller, operator = sign_up(api), operator_headers(database, settings)
        path = f"/v1/admin/organizations/{caller.organization_id}"
        api.post(f"{path}/suspend", json={"reason": "Unpaid."}, headers=operator)
        api.post(f"{path}/resume", headers=operator)
        own = api.get("/v1/audit_events?action=organization.suspended", headers=caller.headers).json()
        platform = api.get("/v1/admin/audit_events?action=organization.suspended", headers=operator).json()
        assert [event["target"] for event in own["audit_events"]] == [caller.organization_id]
        assert [event["target"] for event in platform["audit_events"]] == [caller.organization_id]


class TestProjects:
    def test_projects_are_created_changed_and_deleted(self, api: TestClient) -> None:
        caller = sign_up(api)
        made = api.post("/v1/projects", json={"name": "chat"}, headers=caller.headers)
        assert made.status_code == 201
        path = f"/v1/projects/{made.json()['project']['id']}"
        headers = {**caller.headers, "If-Match": made.headers["ETag"]}
        changed = api.patch(path, json={"name": "talk"}, headers=headers)
        assert changed.json()["project"]["name"] == "talk"
        assert api.delete(path, headers=headers).status_code == 412
        headers["If-Match"] = changed.headers["ETag"]
        assert api.delete(path, headers=headers).status_code == 204
        assert api.get(path, headers=caller.headers).status_code == 404

    def test_default_project_stays(self, api: TestClient) -> None:
        caller = sign_up(api)
        headers = {**caller.headers, "If-Match": '"1"'}
        assert api.delete(f"/v1/projects/{caller.project_id}", headers=headers).status_code == 409

    def test_two_projects_have_two_names(self, api: TestClient) -> None:
        caller = sign_up(api)
        assert api.post("/v1/projects", json={"name": "default"}, headers=caller.headers).status_code == 409
        made = api.post("/v1/projects", json={"name": "chat"}, headers=caller.headers).json()["project"]
        headers = {**caller.headers, "If-Match": '"1"'}
        renamed = api.patch(f"/v1/projects/{made['id']}", json={"name": "default"}, headers=headers)
        assert renamed.status_code == 409

    def test_bound_key_dies_with_its_project(self, api: TestClient) -> None:
        caller = sign_up(api)
        project = api.post("/v1/projects", json={"name": "chat"}, headers=caller.headers).json()["project"]
        key = make_key(api, caller, role="developer", project_id=project["id"])
        assert api.get("/v1/projects", headers=bearer(key["secret"])).status_code == 200
        headers = {**caller.headers, "If-Match": '"1"'}
        assert api.delete(f"/v1/projects/{project['id']}", headers=headers).status_code == 204
        assert api.get("/v1/projects", headers=bearer(key["secret"])).status_code == 401

    def test_bound_key_sees_its_project_only(self, api: TestClient) -> None:
        caller = sign_up(api)
        project = api.post("/v1/projects", json={"name": "chat"}, headers=caller.headers).json()["project"]
        bound = bearer(make_key(api, caller, role="owner", project_id=project["id"])["secret"])
        listed = api.get("/v1/projects", headers=bound).json()["projects"]
        assert [item["id"] for item in listed] == [project["id"]]
        assert api.get(f"/v1/projects/{caller.project_id}", headers=bound).status_code == 404
        assert api.post("/v1/projects", json={"name": "more"}, headers=bound).status_code == 403

    def test_pages_tile_the_list(self, api: TestClient) -> None:
        caller = sign_up(api)
        names = {"default"}
        for number in range(6):
            names.add(f"p{number}")
            api.post("/v1/projects", json={"name": f"p{number}"}, headers=caller.headers)
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            query = f"&cursor={cursor}" if cursor else ""
            page = api.get(f"/v1/projects?limit=3{query}", headers=caller.headers).json()
            seen += [item["name"] for item in page["projects"]]
            cursor = page["next_cursor"]
        assert len(seen) == 7
        assert set(seen) == names


class TestQuotas:
    def test_limit_is_visible_and_the_operator_moves_it(
        self, api: TestClient, database: Database, settings: Settings
    ) -> None:
        caller, operator = sign_up(api), operator_headers(database, settings)
        path = f"/v1/admin/organizations/{caller.organization_id}/quotas"
        assert api.put(f"{path}/projects", json={"limit": 1}, headers=operator).status_code == 200
        assert api.put(f"{path}/cats", json={"limit": 1}, headers=operator).status_code == 404
        quotas = {q["name"]: q for q in api.get("/v1/quotas", headers=caller.headers).json()["quotas"]}
        assert quotas["projects"] == {"name": "projects", "limit": 1, "is_default": False}
        assert quotas["gpus"]["is_default"]
        refused = api.post("/v1/projects", json={"name": "chat"}, headers=caller.headers)
        assert refused.status_code == 409
        assert refused.json()["code"] == "quota_exceeded"

    def test_tenants_transaction_cannot_move_its_own_limit(self, api: TestClient, database: Database) -> None:
        from sqlalchemy import text
        from sqlalchemy.exc import ProgrammingError

        tenant_id = TenantId.parse(sign_up(api).organization_id)
        with pytest.raises(ProgrammingError, match="permission denied"), database.tenant(tenant_id) as uow:
            uow.session.execute(text("INSERT INTO quota SELECT tenant_id, 'gpus', 9999, now() FROM tenant"))

    def test_limit_holds_among_transactions_at_once(self, api: TestClient, database: Database) -> None:
        tenant_id = TenantId.parse(sign_up(api).organization_id)

        def attempt(number: int) -> bool:
            try:
                with database.tenant(tenant_id) as uow:
                    tenancy.create_counted_project(uow, tenant_id, f"p{number}", "", actor="test")
            except QuotaExceeded:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            made = sum(pool.map(attempt, range(14)))
        with database.tenant(tenant_id) as uow:
            limit = next(q.limit for q in tenancy.list_quotas(uow, tenant_id) if q.name is QuotaName.PROJECTS)
            assert tenancy.count_projects(uow, tenant_id) == limit == made + 1


class TestTenantWall:
    def test_child_row_cannot_point_into_another_tenant(self, api: TestClient, database: Database) -> None:
        from sqlalchemy import text
        from sqlalchemy.exc import IntegrityError

        mine, other = sign_up(api), sign_up(api)
        with pytest.raises(IntegrityError), database.system() as uow:
            uow.session.execute(
                text("UPDATE api_key SET project_id = :project WHERE tenant_id = :tenant"),
                {
                    "project": ProjectId.parse(other.project_id).value,
                    "tenant": TenantId.parse(mine.organization_id).value,
                },
            )
