"""Whatever a tenant can make more of has a limit, which holds among many makers at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient

from controlplane.deployments import service_secrets
from controlplane.identity import service as identity
from controlplane.identity.domain import Principal, Role
from controlplane.identity.service import KeyMaker
from controlplane.kernel.errors import QuotaExceeded
from controlplane.kernel.ids import ApiKeyId, TenantId
from controlplane.kernel.keyring import Keyring
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.tenancy.domain import QUOTA_WORDS, QuotaName
from tests.fixtures.tenants import Caller, bearer, operator_headers, sign_up

LIMIT = 3


@dataclass(frozen=True, slots=True)
class Maker:
    """How a tenant makes one more, and how many it has to begin with."""

    path: str
    body: Callable[[int], dict[str, Any]]
    at_first: int = 0


MAKERS: dict[QuotaName, Maker] = {
    QuotaName.PROJECTS: Maker("/v1/projects", lambda n: {"name": f"p-{n}"}, at_first=1),
    QuotaName.API_KEYS: Maker("/v1/api_keys", lambda n: {"name": f"k-{n}", "role": "viewer"}, at_first=1),
    QuotaName.APPS: Maker("/v1/apps", lambda n: {"name": f"a-{n}"}),
    QuotaName.SECRETS: Maker("/v1/secrets", lambda n: {"name": f"s-{n}", "value": "v"}),
}
# Held by the deployments room, with a fleet: tests/integration/deployments.
ELSEWHERE = {QuotaName.SERVICES, QuotaName.GPUS, QuotaName.REPLICAS}


def set_limit(api: TestClient, operator: dict[str, str], caller: Caller, name: QuotaName, limit: int) -> None:
    path = f"/v1/admin/organizations/{caller.organization_id}/quotas/{name}"
    assert api.put(path, json={"limit": limit}, headers=operator).status_code == 200


@pytest.mark.case("X5")
def test_every_quota_has_a_row_here_words_and_a_default(api: TestClient) -> None:
    assert set(MAKERS) | ELSEWHERE == set(QuotaName) == set(QUOTA_WORDS)
    quotas = api.get("/v1/quotas", headers=sign_up(api).headers).json()["quotas"]
    assert {quota["name"] for quota in quotas} == set(QuotaName)


@pytest.mark.case("X5")
@pytest.mark.parametrize("name", MAKERS)
def test_a_limit_holds_among_many_makers_at_once(
    api: TestClient, database: Database, settings: Settings, name: QuotaName
) -> None:
    caller, neighbour = sign_up(api), sign_up(api)
    maker = MAKERS[name]
    set_limit(api, operator_headers(database, settings), caller, name, LIMIT)

    def make(number: int) -> Any:
        return api.post(maker.path, json=maker.body(number), headers=caller.headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(make, range(16)))
    assert sum(answer.status_code == 201 for answer in answers) == LIMIT - maker.at_first
    for refused in (answer for answer in answers if answer.status_code != 201):
        assert (refused.status_code, refused.json()["code"]) == (409, "quota_exceeded")
        what, remedy = QUOTA_WORDS[name]
        detail = refused.json()["detail"]
        assert f"{LIMIT} {what}" in detail
        assert remedy in detail
        assert "operator" in detail
    free = api.post(maker.path, json=maker.body(99), headers=neighbour.headers)
    assert free.status_code == 201, "one tenant's limit is its own"


class TestKeys:
    @pytest.mark.case("X5")
    def test_a_revoked_key_makes_room(self, api: TestClient, database: Database, settings: Settings) -> None:
        caller = sign_up(api)
        set_limit(api, operator_headers(database, settings), caller, QuotaName.API_KEYS, 2)
        body = {"name": "k", "role": "viewer"}
        key = api.post("/v1/api_keys", json=body, headers=caller.headers).json()["api_key"]
        assert api.post("/v1/api_keys", json=body, headers=caller.headers).status_code == 409
        api.delete(f"/v1/api_keys/{key['id']}", headers=caller.headers)
        assert api.post("/v1/api_keys", json=body, headers=caller.headers).status_code == 201

    @pytest.mark.case("X5")
    def test_rolling_works_at_the_limit_and_is_no_way_around_it(
        self, api: TestClient, database: Database, settings: Settings
    ) -> None:
        caller = sign_up(api)
        set_limit(api, operator_headers(database, settings), caller, QuotaName.API_KEYS, 2)
        key = api.post("/v1/api_keys", json={"name": "k", "role": "viewer"}, headers=caller.headers).json()[
            "api_key"
        ]
        statuses = []
        for _ in range(6):
            rolled = api.post(
                f"/v1/api_keys/{key['id']}/roll", json={"overlap_hours": 168}, headers=caller.headers
            )
            statuses.append(rolled.status_code)
            key = rolled.json().get("api_key", key)
        assert statuses == [201, 201, 409, 409, 409, 409]
        assert api.get("/v1/quotas", headers=bearer(key["secret"])).status_code == 200

    @pytest.mark.case("X5")
    def test_the_default_is_far_below_what_gateways_can_hold(
        self, api: TestClient, database: Database
    ) -> None:
        caller = sign_up(api)
        tenant_id = TenantId.parse(caller.organization_id)
        owner = Principal(ApiKeyId.new(), Role.OWNER, tenant_id)
        maker = KeyMaker(Keyring.single(bytes(32)), "local")
        with database.tenant(tenant_id) as uow:
            wish = identity.KeyWish("k", Role.VIEWER)
            for _ in range(99):
                identity.create_key(uow, owner, wish, maker)
            with pytest.raises(QuotaExceeded, match="100 live API keys"):
                identity.create_key(uow, owner, wish, maker)


@pytest.mark.case("X5")
def test_versions_of_a_secret_have_an_end(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_secrets, "VERSIONS_MAX", 3)
    caller = sign_up(api)
    made = api.post("/v1/secrets", json={"name": "a", "value": "v"}, headers=caller.headers)
    path, etag = f"/v1/secrets/{made.json()['secret']['id']}", made.headers["ETag"]
    statuses = []
    for number in range(4):
        answer = api.patch(path, json={"value": f"v{number}"}, headers={**caller.headers, "If-Match": etag})
        statuses.append(answer.status_code)
        etag = answer.headers.get("ETag", etag)
    assert statuses == [200, 200, 409, 409]
