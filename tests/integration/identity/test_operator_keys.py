"""Keys of the operator's people: each operation has a role, each role no more than its work, and one always remains."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from controlplane.entrypoints.admin_rules import right_of
from controlplane.identity import service as identity
from controlplane.identity.domain import Role
from controlplane.identity.matrix import MATRIX
from controlplane.kernel.errors import Unauthenticated
from controlplane.kernel.principal import OPERATOR_ROLES
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.tenants import bearer, sign_up

METHODS = ("get", "post", "put", "patch", "delete")
KEYS = "/v1/admin/api_keys"


def make(admin: TestClient, role: str, **wish: Any) -> dict[str, Any]:
    answer = admin.post(KEYS, json={"name": f"test {role}", "role": role, **wish})
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()["api_key"]
    return key


def operations(client: TestClient) -> list[tuple[str, str]]:
    app = client.app
    assert isinstance(app, FastAPI)
    found = [
        (method.upper(), path)
        for path, item in app.openapi()["paths"].items()
        for method in METHODS
        if path.startswith("/v1/admin/") and method in item
    ]
    assert len(found) > 60
    return found


@pytest.mark.case("W6")
def test_every_operation_of_the_operators_door_has_a_right(admin: TestClient) -> None:
    without = [where for where in operations(admin) if right_of(*where) is None]
    assert without == []
    # Nobody may be left with an operation that the administrator cannot reach either.
    for where in operations(admin):
        right = right_of(*where)
        assert right is not None
        assert right[1] in MATRIX[(Role.PLATFORM, right[0])], where


@pytest.mark.case("W6")
@pytest.mark.parametrize("role", sorted(OPERATOR_ROLES))
def test_each_role_is_let_through_exactly_where_the_matrix_says(admin: TestClient, role: Role) -> None:
    headers = bearer(make(admin, role)["secret"])
    for method, path in operations(admin):
        if path == "/v1/admin/clock" and method == "PUT":
            continue
        right = right_of(method, path)
        assert right is not None
        resource, action = right
        answer = admin.request(method, re.sub(r"\{[^}]*\}", "anything", path), headers=headers, json={})
        is_refused = answer.status_code == 403
        assert is_refused == (action not in MATRIX[(role, resource)]), (method, path, answer.text)


@pytest.mark.case("W6")
@pytest.mark.parametrize("role", ["platform_sre", "platform_billing", "platform_auditor", "producer"])
def test_nobody_but_the_administrator_makes_or_ends_keys(admin: TestClient, role: str) -> None:
    wish = {"source": "/cells/a"} if role == "producer" else {}
    headers = bearer(make(admin, role, **wish)["secret"])
    target = make(admin, "platform_auditor")["id"]
    body = {"name": "more", "role": "platform"}
    assert admin.post(KEYS, json=body, headers=headers).status_code == 403
    assert admin.delete(f"{KEYS}/{target}", headers=headers).status_code == 403
    assert admin.post(f"{KEYS}/{target}/roll", json={}, headers=headers).status_code == 403


def test_no_role_of_the_operator_opens_a_tenants_door(admin: TestClient) -> None:
    caller = sign_up(admin)
    for role in sorted(OPERATOR_ROLES):
        headers = bearer(make(admin, role)["secret"])
        assert admin.get("/v1/services", headers=headers).status_code == 403
        assert admin.get("/v1/organization", headers=headers).status_code == 403
    assert admin.get(KEYS, headers=caller.headers).status_code == 403


class TestLife:
    @pytest.mark.case("W6")
    def test_keys_are_listed_rolled_and_revoked(
        self, admin: TestClient, database: Database, settings: Settings
    ) -> None:
        old = make(admin, "platform_billing", expires_in_days=30)
        rolled = admin.post(f"{KEYS}/{old['id']}/roll", json={"overlap_hours": 1}).json()
        new = rolled["api_key"]
        assert (new["role"], new["name"]) == (old["role"], old["name"])
        assert rolled["previous"]["revoked_at"] is not None
        listed = {key["id"]: key for key in admin.get(KEYS).json()["api_keys"]}
        assert {old["id"], new["id"]} <= set(listed)
        assert "secret" not in listed[new["id"]]
        with database.system() as uow:
            uow.now += timedelta(hours=1)
            with pytest.raises(Unauthenticated, match="revoked"):
                identity.authenticate(uow, old["secret"], settings.hash_ring)
            uow.now += timedelta(days=30)
            with pytest.raises(Unauthenticated, match="expired"):
                identity.authenticate(uow, new["secret"], settings.hash_ring)
        assert admin.delete(f"{KEYS}/{new['id']}").json()["api_key"]["state"] == "REVOKED"
        assert admin.get("/v1/admin/invoices", headers=bearer(new["secret"])).status_code == 401

    @pytest.mark.case("W6")
    def test_the_first_key_is_rolled_like_any_other(self, admin: TestClient) -> None:
        [first] = [key for key in admin.get(KEYS).json()["api_keys"] if key["created_by"] == "seed"]
        assert first["expires_at"] is None
        new = admin.post(f"{KEYS}/{first['id']}/roll", json={"overlap_hours": 0}).json()["api_key"]
        assert new["expires_at"] is not None
        assert admin.get(KEYS, headers=bearer(new["secret"])).status_code == 200
        assert admin.get(KEYS).status_code == 401

    @pytest.mark.case("W6")
    def test_the_last_administrator_cannot_be_revoked_however_many_try_at_once(
        self, admin: TestClient
    ) -> None:
        for _ in range(3):
            make(admin, "platform")
        make(admin, "platform_sre")
        ids = [key["id"] for key in admin.get(KEYS).json()["api_keys"] if key["role"] == "platform"]
        mine = admin.get("/v1/caller").json()["caller"]["key_id"]
        others = [key_id for key_id in ids if key_id != mine]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda key_id: admin.delete(f"{KEYS}/{key_id}"), others))
        assert {answer.status_code for answer in answers} == {200}
        refused = admin.delete(f"{KEYS}/{mine}")
        assert refused.status_code == 409
        assert "last administrator key" in refused.json()["detail"]

    @pytest.mark.case("W6")
    def test_two_who_revoke_each_other_leave_one(self, admin: TestClient) -> None:
        other = make(admin, "platform")
        mine = admin.get("/v1/caller").json()["caller"]["key_id"]
        with ThreadPoolExecutor(2) as pool:
            tries = [
                pool.submit(admin.delete, f"{KEYS}/{other['id']}"),
                pool.submit(admin.delete, f"{KEYS}/{mine}", headers=bearer(other["secret"])),
            ]
            statuses = sorted(each.result().status_code for each in tries)
        assert statuses in ([200, 401], [200, 409])

    @pytest.mark.case("W6")
    def test_audit_says_which_key_did_what(self, admin: TestClient) -> None:
        sre = make(admin, "platform_sre", expires_in_days=1)
        mine = admin.get("/v1/caller").json()["caller"]["key_id"]
        records = admin.get("/v1/admin/audit_events?action=api_key.created").json()["audit_events"]
        [made] = [record for record in records if record["target"] == sre["id"]]
        assert made["actor"] == mine
        assert made["detail"] == {"kind": "adm", "name": "test platform_sre", "role": "platform_sre"}


class TestWhatCannotBe:
    @pytest.mark.parametrize(
        "wish",
        [
            {"role": "owner"},
            {"role": "platform_sre", "source": "/cells/a"},
            {"role": "producer"},
            {"role": "producer", "source": "cells/a"},
            {"role": "producer", "source": "/cells/"},
            {"role": "producer", "source": "/others/a"},
            {"role": "platform", "expires_in_days": 366},
            {"role": "platform", "expires_in_days": 0},
        ],
    )
    def test_is_refused(self, admin: TestClient, wish: dict[str, Any]) -> None:
        assert admin.post(KEYS, json={"name": "x", **wish}).status_code == 422

    def test_a_tenants_key_is_none_of_the_operators(self, admin: TestClient) -> None:
        caller = sign_up(admin)
        assert admin.get(f"{KEYS}/{caller.key_id}").status_code == 404
        assert admin.delete(f"{KEYS}/{caller.key_id}").status_code == 404
