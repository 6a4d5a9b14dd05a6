"""No state of a tenant's credentials is without a way back in, and none comes unannounced."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from controlplane.identity import service as identity
from controlplane.identity.access_end_rules import WARNING_DAYS, warned_days
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.tenants import Caller, bearer, make_key, sign_up

State = Callable[[TestClient, Database, Caller], None]


def sql(database: Database, statement: str, caller: Caller) -> None:
    tenant = TenantId.parse(caller.organization_id).value
    with database.system() as uow:
        uow.session.execute(text(statement), {"tenant": tenant})


def all_expired(_: TestClient, database: Database, caller: Caller) -> None:
    sql(
        database, "UPDATE api_key SET expires_at = now() - interval '1 day' WHERE tenant_id = :tenant", caller
    )


def all_revoked(_: TestClient, database: Database, caller: Caller) -> None:
    sql(database, "UPDATE api_key SET revoked_at = now() WHERE tenant_id = :tenant", caller)


def all_lost(_: TestClient, __: Database, ___: Caller) -> None:
    """Live, but nobody has their text any more."""


def only_bound_to_a_project(api: TestClient, database: Database, caller: Caller) -> None:
    make_key(api, caller, role="owner", project_id=caller.project_id)
    sql(
        database,
        "UPDATE api_key SET revoked_at = now() WHERE tenant_id = :tenant AND project_id IS NULL",
        caller,
    )


def only_weak_ones(api: TestClient, database: Database, caller: Caller) -> None:
    make_key(api, caller, role="viewer")
    sql(
        database, "UPDATE api_key SET revoked_at = now() WHERE tenant_id = :tenant AND role = 'owner'", caller
    )


def only_for_the_gateway(api: TestClient, database: Database, caller: Caller) -> None:
    sql(database, "UPDATE api_key SET scopes = '{inference}' WHERE tenant_id = :tenant", caller)


def at_the_limit_of_keys(api: TestClient, database: Database, caller: Caller) -> None:
    sql(
        database,
        "INSERT INTO quota (tenant_id, name, limit_count, updated_at) VALUES (:tenant, 'api_keys', 1, now())",
        caller,
    )


STATES: list[State] = [
    all_expired, all_revoked, all_lost, only_bound_to_a_project, only_weak_ones, only_for_the_gateway,
    at_the_limit_of_keys,
]  # fmt: skip
SUSPENDED = [False, True]


def recover(admin: TestClient, caller: Caller) -> dict[str, Any]:
    path = f"/v1/admin/organizations/{caller.organization_id}/recovery_keys"
    answer = admin.post(path, json={"reason": "Asked for in writing."})
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()["api_key"]
    return key


@pytest.mark.case("W5")
@pytest.mark.parametrize("is_suspended", SUSPENDED)
@pytest.mark.parametrize("state", STATES)
def test_from_every_state_the_operator_gives_a_way_back(
    api: TestClient, admin: TestClient, database: Database, state: State, is_suspended: bool
) -> None:
    caller = sign_up(api)
    state(api, database, caller)
    path = f"/v1/admin/organizations/{caller.organization_id}"
    if is_suspended:
        admin.post(f"{path}/suspend", json={"reason": "Unpaid."})
    key = recover(admin, caller)
    if is_suspended:
        assert api.post("/v1/apps", json={"name": "x"}, headers=bearer(key["secret"])).status_code == 403
        admin.post(f"{path}/resume")
    headers = bearer(key["secret"])
    if state is at_the_limit_of_keys:
        assert api.delete(f"/v1/api_keys/{caller.key_id}", headers=headers).status_code == 200
    else:
        made = api.post("/v1/api_keys", json={"name": "again", "role": "owner"}, headers=headers)
        assert made.status_code == 201, made.text
    assert (key["role"], key["project_id"]) == ("owner", None)
    life = datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
    assert life == timedelta(days=7)
    own = api.get("/v1/audit_events?action=organization.access_recovered", headers=headers).json()
    platform = admin.get("/v1/admin/audit_events?action=organization.access_recovered").json()
    for chain in (own, platform):
        [record] = chain["audit_events"]
        assert record["detail"] == {"reason": "Asked for in writing.", "key_id": key["id"]}


@pytest.mark.case("W5")
def test_a_recovery_key_is_shown_once_and_only_for_a_tenant_that_there_is(
    api: TestClient, admin: TestClient
) -> None:
    caller = sign_up(api)
    path = f"/v1/admin/organizations/{caller.organization_id}/recovery_keys"
    headers = {"Idempotency-Key": "once"}
    first = admin.post(path, json={"reason": "r"}, headers=headers).json()["api_key"]
    again = admin.post(path, json={"reason": "r"}, headers=headers).json()["api_key"]
    assert (first["id"], again["secret"]) == (again["id"], None)
    unknown = f"/v1/admin/organizations/{TenantId.new()}/recovery_keys"
    assert admin.post(unknown, json={"reason": "r"}).status_code == 404
    assert api.post(path, json={"reason": "r"}, headers=caller.headers).status_code == 403


class TestWarnings:
    @pytest.mark.case("W5")
    @given(st.integers(0, 400 * 86_400))
    def test_what_is_warned_of_is_the_nearest_day_that_is_left(self, seconds: int) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        days = warned_days(now + timedelta(seconds=seconds), now)
        fitting = [each for each in WARNING_DAYS if seconds <= each * 86_400]
        assert days == (min(fitting) if fitting else None)

    @pytest.mark.case("W5")
    def test_the_end_of_the_last_owner_key_is_said_at_30_7_and_1_days(
        self, api: TestClient, database: Database
    ) -> None:
        caller = sign_up(api)
        other = sign_up(api)
        for left, said in ((31, 0), (29.9, 1), (29, 1), (8, 1), (6.9, 2), (2, 2), (0.9, 3), (0.1, 3)):
            with database.system() as uow:
                uow.now += timedelta(days=365 - left)
                identity.warn_of_ends(uow)
            records = [
                api.get("/v1/audit_events?action=access.ending", headers=each.headers).json()["audit_events"]
                for each in (caller, other)
            ]
            assert [len(each) for each in records] == [said, said], left
        assert [record["detail"]["days_left"] for record in records[0]] == [1, 7, 30]
        assert {record["target"] for record in records[0]} == {caller.key_id}

    @pytest.mark.case("W5")
    def test_nobody_is_warned_while_another_owner_key_outlasts(
        self, api: TestClient, database: Database
    ) -> None:
        caller = sign_up(api)
        with database.system() as uow:
            uow.session.execute(text("UPDATE api_key SET expires_at = now() + interval '20 days'"))
        make_key(api, caller, role="owner", expires_in_days=300)
        with database.system() as uow:
            identity.warn_of_ends(uow)
        assert (
            api.get("/v1/audit_events?action=access.ending", headers=caller.headers).json()["audit_events"]
            == []
        )
        assert api.get("/v1/caller", headers=caller.headers).json()["caller"]["access_ends_at"] is None

    @pytest.mark.case("W5")
    def test_every_key_of_the_tenant_sees_the_end(self, api: TestClient, database: Database) -> None:
        caller = sign_up(api)
        viewer = make_key(api, caller)
        assert api.get("/v1/caller", headers=caller.headers).json()["caller"]["access_ends_at"] is None
        with database.system() as uow:
            uow.session.execute(
                text("UPDATE api_key SET expires_at = now() + interval '6 days' WHERE role = 'owner'")
            )
        for headers in (caller.headers, bearer(viewer["secret"])):
            ends = api.get("/v1/caller", headers=headers).json()["caller"]["access_ends_at"]
            assert timedelta(days=5) < datetime.fromisoformat(ends) - datetime.now(UTC) <= timedelta(days=6)

    @pytest.mark.case("W6")
    def test_the_operators_last_administrator_key_is_warned_of_too(
        self, admin: TestClient, database: Database, settings: Settings
    ) -> None:
        with database.system() as uow:
            identity.warn_of_ends(uow)
            uow.session.execute(text("UPDATE api_key SET expires_at = now() + interval '6 days'"))
        with database.system() as uow:
            identity.warn_of_ends(uow)
        [record] = admin.get("/v1/admin/audit_events?action=access.ending").json()["audit_events"]
        assert record["detail"]["days_left"] == 7
        assert admin.get("/v1/caller").json()["caller"]["access_ends_at"] is not None
