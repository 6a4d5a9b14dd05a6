"""For each attack on the API some record says who did it and since when; where acts were asked for can be forgotten."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from controlplane.audit import service as audit
from controlplane.audit.verify_export import verify
from controlplane.entrypoints.api import _collections, create_app
from controlplane.entrypoints.refusal_keeper import keep
from controlplane.entrypoints.retention import RULES
from controlplane.identity import key_rules
from controlplane.identity.domain import KeyKind
from controlplane.kernel.ids import AppId, EventId, TenantId
from controlplane.plumbing.database import Database
from controlplane.plumbing.refusal_rules import ROWS_MAX
from controlplane.plumbing.request_log import NO_OPERATION, collection_of
from controlplane.plumbing.retention import purge
from controlplane.plumbing.settings import Settings
from tests.fixtures.tenants import Caller, bearer, make_key, operator_headers, sign_up, signup_body

# Set aside for documentation (RFC 5737, RFC 3849).
ATTACKER, NEIGHBOUR, PROXY = "203.0.113.66", "198.51.100.2", "10.0.0.1"
SMALL = {
    "rate_writes_per_minute": 8,
    "rate_signups_per_hour": 2,
    "rate_failed_signins_per_minute": 5,
    "rate_anonymous_per_minute": 5,
}


@dataclass(slots=True)
class Scene:
    """A door behind a trusted proxy, a tenant whose key is misused, and its neighbour."""

    client: TestClient
    settings: Settings
    database: Database
    victim: Caller
    neighbour: Caller
    operator: dict[str, str]

    def ask(self, method: str, path: str, headers: dict[str, str], **request: Any) -> Response:
        return self.client.request(
            method, path, headers={**headers, "X-Forwarded-For": ATTACKER, "User-Agent": "probe/1"}, **request
        )

    def events(self, headers: dict[str, str], path: str, **params: Any) -> list[dict[str, Any]]:
        keep(self.client.app.state.refusals, self.database)  # type: ignore[attr-defined]
        answer = self.client.get(path, headers={**headers, "X-Forwarded-For": NEIGHBOUR}, params=params)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["security_events"]
        return found


@contextmanager
def opened(settings: Settings, database: Database, **changes: Any) -> Iterator[Scene]:
    operator = operator_headers(database, settings)
    with TestClient(create_app(settings, database), base_url="http://api.test") as quiet:
        victim, neighbour = sign_up(quiet), sign_up(quiet)
    chosen = settings.model_copy(update={"trusted_proxies": "10.0.0.0/8", **changes})
    app = create_app(chosen, database)
    with TestClient(app, base_url="http://api.test", client=(PROXY, 40_000)) as client:
        yield Scene(client, settings, database, victim, neighbour, operator)


def unknown_key(number: int) -> str:
    return key_rules.build_key(KeyKind.SVC, "local", number.to_bytes(key_rules.RANDOM_BYTES, "big"))


def garbage_keys(scene: Scene) -> None:
    for number in range(3):
        scene.ask("GET", "/v1/services", bearer(f"garbage{number}"))


def guessed_keys(scene: Scene) -> None:
    for number in range(3):
        scene.ask("GET", "/v1/services", bearer(unknown_key(number)))


def no_key(scene: Scene) -> None:
    scene.ask("GET", "/v1/services", {})


def guessing_past_the_limit(scene: Scene) -> None:
    for number in range(9):
        scene.ask("GET", "/v1/services", bearer(f"garbage{number}"))


def revoked_key(scene: Scene) -> None:
    key = make_key(scene.client, scene.victim)
    scene.client.delete(f"/v1/api_keys/{key['id']}", headers=scene.victim.headers)
    scene.ask("GET", "/v1/services", bearer(key["secret"]))


def foreign_ids(scene: Scene) -> None:
    made = scene.client.post("/v1/apps", json={"name": "theirs"}, headers=scene.neighbour.headers).json()
    for identifier in (made["app"]["id"], str(AppId.new())):
        assert scene.ask("GET", f"/v1/apps/{identifier}", scene.victim.headers).status_code == 404


def operators_door(scene: Scene) -> None:
    scene.ask("GET", "/v1/admin/organizations", scene.victim.headers)


def weak_role(scene: Scene) -> None:
    key = make_key(scene.client, scene.victim, role="viewer")
    scene.ask("POST", "/v1/projects", bearer(key["secret"]), json={"name": "more"})


def too_many_writes(scene: Scene) -> None:
    for number in range(12):
        scene.ask("POST", "/v1/projects", scene.victim.headers, json={"name": f"p-{number}"})


def quota_breach(scene: Scene) -> None:
    limit = {"limit": 1}
    path = f"/v1/admin/organizations/{scene.victim.organization_id}/quotas/projects"
    assert scene.client.put(path, json=limit, headers=scene.operator).status_code == 200
    answer = scene.ask("POST", "/v1/projects", scene.victim.headers, json={"name": "more"})
    assert answer.json()["code"] == "quota_exceeded"


def signup_flood(scene: Scene) -> None:
    for number in range(6):
        scene.ask("POST", "/v1/signup", {}, json=signup_body(f"flood-{number}"))


def suspended_tenant(scene: Scene) -> None:
    path = f"/v1/admin/organizations/{scene.victim.organization_id}/suspend"
    assert scene.client.post(path, json={"reason": "unpaid"}, headers=scene.operator).status_code == 200
    scene.ask("POST", "/v1/projects", scene.victim.headers, json={"name": "more"})


Attack = Callable[[Scene], None]
# What is done; the kind, reason and route that it is seen under; whether the key's owner is known.
ATTACKS: dict[str, tuple[Attack, tuple[str, str, str], bool]] = {
    "garbage keys": (garbage_keys, ("failed_authentication", "malformed_key", "/v1/services"), False),
    "guessed keys": (guessed_keys, ("failed_authentication", "unknown_key", "list_services"), False),
    "no key": (no_key, ("failed_authentication", "missing_key", "list_services"), False),
    "guessing on": (guessing_past_the_limit, ("rate_limited", "too_many_failed", "/v1/services"), False),
    "a revoked key": (revoked_key, ("failed_authentication", "revoked_key", "list_services"), True),
    "foreign ids": (foreign_ids, ("not_found", "not_found", "get_app"), True),
    "the operator's door": (operators_door, ("forbidden", "forbidden", "admin_list_organizations"), True),
    "a weak role": (weak_role, ("forbidden", "forbidden", "create_project"), True),
    "too many writes": (too_many_writes, ("rate_limited", "too_many_writes", "/v1/projects"), True),
    "a quota": (quota_breach, ("quota_exceeded", "quota_exceeded", "create_project"), True),
    "a flood of sign-ups": (signup_flood, ("rate_limited", "too_many_signup", "/v1/signup"), False),
    "a suspended tenant": (suspended_tenant, ("forbidden", "organization_suspended", "create_project"), True),
}


@pytest.mark.case("X14")
@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_is_seen_with_who_and_since_when(
    settings: Settings, database: Database, name: str
) -> None:
    attack, (kind, reason, route), is_known = ATTACKS[name]
    begun = datetime.now(UTC)
    with opened(settings, database, **SMALL) as scene:
        attack(scene)
        seen = scene.events(scene.operator, "/v1/admin/security_events", address=ATTACKER, kind=kind)
        (event,) = [each for each in seen if (each["reason"], each["route"]) == (reason, route)]
        assert (event["source"], event["address"]) == ("api", ATTACKER)
        assert begun <= datetime.fromisoformat(event["first_at"]) <= datetime.fromisoformat(event["last_at"])
        owner = scene.victim.organization_id if is_known else None
        assert event["organization_id"] == owner
        assert (event["key_id"] is not None) == is_known
        # Suspended or not, a tenant reads what was refused to its keys; nobody else does.
        own = scene.events(scene.victim.headers, "/v1/security_events", kind=kind)
        assert [each["id"] for each in own if each["id"] == event["id"]] == [event["id"]] * is_known
        assert scene.events(scene.neighbour.headers, "/v1/security_events") == []


@pytest.mark.case("X14")
def test_failed_authentications_are_counted_by_route_and_reason(api: TestClient) -> None:
    labels = {"program": "api", "route": "/v1/services", "reason": "malformed_key"}
    before = REGISTRY.get_sample_value("rempart_failed_authentications_total", labels) or 0
    for number in range(3):
        api.get(f"/v1/services/{number}", headers=bearer("garbage"))
    assert REGISTRY.get_sample_value("rempart_failed_authentications_total", labels) == before + 3


@pytest.mark.case("X14")
def test_each_operation_has_a_name_where_it_is_refused_before_it_is_looked_for(api: TestClient) -> None:
    paths = list(api.get("/openapi.json").json()["paths"])
    assert len(paths) > 100
    assert {path for path in paths if collection_of(path, _collections()) == NO_OPERATION} == set()


@pytest.mark.case("X14")
def test_a_flood_from_everywhere_leaves_bounded_rows_and_loses_no_count(
    settings: Settings, database: Database
) -> None:
    with opened(settings, database) as scene:
        for number in range(400):
            address = f"2001:db8:{number:x}::1"
            headers = {**bearer("garbage"), "X-Forwarded-For": address}
            assert scene.client.get("/v1/apps", headers=headers).status_code == 401
        seen: list[dict[str, Any]] = []
        keep(scene.client.app.state.refusals, database)  # type: ignore[attr-defined]
        cursor = None
        while True:
            page = scene.client.get(
                "/v1/admin/security_events", headers=scene.operator,
                params={"limit": 100, **({"cursor": cursor} if cursor else {})},
            ).json()  # fmt: skip
            seen += page["security_events"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    assert sum(each["count"] for each in seen) == 400
    assert len(seen) <= ROWS_MAX
    assert {"2001:db8:7::", "others"} <= {each["address"] for each in seen}


@pytest.mark.case("X14")
def test_filters_narrow_the_list(settings: Settings, database: Database) -> None:
    with opened(settings, database) as scene:
        garbage_keys(scene)
        operators_door(scene)
        path = "/v1/admin/security_events"
        assert len(scene.events(scene.operator, path)) == 2
        assert [e["kind"] for e in scene.events(scene.operator, path, kind="forbidden")] == ["forbidden"]
        assert scene.events(scene.operator, path, address=NEIGHBOUR) == []
        now = datetime.now(UTC)
        assert len(scene.events(scene.operator, path, since=(now - timedelta(hours=1)).isoformat())) == 2
        assert scene.events(scene.operator, path, since=(now + timedelta(hours=1)).isoformat()) == []
        wrong = scene.client.get(path, headers=scene.operator, params={"kind": "nonsense"})
        assert wrong.status_code == 422


@pytest.mark.case("X14")
def test_counts_wait_for_a_database_that_is_away(settings: Settings, database: Database) -> None:
    away = Database(settings.model_copy(update={"system_database_url": _nowhere(settings)}))
    with opened(settings, database) as scene:
        garbage_keys(scene)
        counts = scene.client.app.state.refusals  # type: ignore[attr-defined]
        keep(counts, away)
        garbage_keys(scene)
        (event,) = scene.events(scene.operator, "/v1/admin/security_events")
        assert event["count"] == 6
    away.dispose()


def _nowhere(settings: Settings) -> Any:
    url = settings.system_database_url
    return type(url)("postgresql://nobody@127.0.0.1:1/nothing")


class TestReports:
    """What a gateway refused, as it reports it."""

    @pytest.fixture
    def producer(self, settings: Settings, database: Database, api: TestClient) -> dict[str, str]:
        operator = operator_headers(database, settings)
        wish = {"name": "paris", "role": "producer", "source": "/gateways/paris-1"}
        made = api.post("/v1/admin/api_keys", json=wish, headers=operator)
        assert made.status_code == 201, made.text
        return bearer(made.json()["api_key"]["secret"])

    def event(self, **changes: Any) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat()
        return {
            "id": str(EventId.new()), "kind": "failed_authentication", "reason": "invalid_api_key",
            "route": "/v1/chat/completions", "address": ATTACKER, "count": 7, "first_at": now, "last_at": now,
            **changes,
        }  # fmt: skip

    @pytest.mark.case("X14")
    def test_a_report_sent_twice_counts_once_under_its_own_gateway(
        self, api: TestClient, settings: Settings, database: Database, producer: dict[str, str]
    ) -> None:
        body = {"security_events": [self.event()]}
        for accepted in (1, 0):
            answer = api.post("/v1/security_events", json=body, headers=producer)
            assert (answer.status_code, answer.json()) == (200, {"accepted": accepted})
        operator = operator_headers(database, settings)
        (event,) = api.get("/v1/admin/security_events", headers=operator).json()["security_events"]
        assert (event["source"], event["count"], event["address"]) == ("/gateways/paris-1", 7, ATTACKER)

    @pytest.mark.parametrize(
        "changes",
        [
            {"count": 0}, {"count": -1}, {"count": 10**13}, {"kind": "x"}, {"address": ""}, {"reason": "a b"},
            {"organization_id": "org_x"}, {"key_id": "x"}, {"id": "x"}, {"route": "\x00"},
            {"last_at": "2026-01-01T00:00:00Z"}, {"last_at": "2999-01-01T00:00:00Z"}, {"more": 1},
        ],
    )  # fmt: skip
    def test_what_is_no_count_is_refused(
        self, api: TestClient, producer: dict[str, str], changes: dict[str, Any]
    ) -> None:
        body = {"security_events": [self.event(), self.event(**changes)]}
        assert api.post("/v1/security_events", json=body, headers=producer).status_code == 422

    def test_a_tenant_reports_nothing(self, api: TestClient) -> None:
        body = {"security_events": [self.event()]}
        answer = api.post("/v1/security_events", json=body, headers=sign_up(api).headers)
        assert answer.status_code == 403


class TestOrigins:
    """Where an act was asked for stands beside the chain."""

    @pytest.mark.case("X14")
    def test_a_record_shows_its_people_where_it_was_asked_for(
        self, settings: Settings, database: Database
    ) -> None:
        with opened(settings, database) as scene:
            made = scene.ask("POST", "/v1/projects", scene.victim.headers, json={"name": "side"})
            (record,) = self._listed(scene, scene.victim.headers, "project.created")[:1]
        assert record["origin"] == {
            "address": ATTACKER,
            "user_agent": "probe/1",
            "request_id": made.headers["x-request-id"],
            "key_id": scene.victim.key_id,
        }

    @pytest.mark.case("X14")
    def test_a_tenant_is_not_shown_where_the_operators_people_sat(
        self, settings: Settings, database: Database
    ) -> None:
        with opened(settings, database) as scene:
            path = f"/v1/admin/organizations/{scene.victim.organization_id}"
            assert scene.client.post(
                f"{path}/recovery_keys", json={"reason": "lost"}, headers=scene.operator
            ).is_success
            action = "organization.access_recovered"
            (own,) = self._listed(scene, scene.victim.headers, action)
            (operators,) = self._listed(scene, scene.operator, action, "/v1/admin/audit_events")
        assert own["origin"] is None
        assert operators["origin"]["address"] == PROXY

    @pytest.mark.case("X14")
    def test_an_export_holds_them_apart_and_verifies_with_and_without(
        self, settings: Settings, database: Database
    ) -> None:
        with opened(settings, database) as scene:
            scene.ask("POST", "/v1/projects", scene.victim.headers, json={"name": "side"})
            whole = self._export(scene)
            assert ATTACKER in {json.loads(line).get("origin", {}).get("address") for line in whole}
            without = [json.loads(line) for line in whole]
            for document in without:
                document.pop("origin", None)
            # Keys live for a year at most: the one that reads it then is made later.
            self._age(database, timedelta(days=300))
            key = make_key(scene.client, scene.victim, role="owner", expires_in_days=365)
            with database.system() as uow:
                head = audit.get_head(uow, TenantId.parse(scene.victim.organization_id))[0]
            self._age(database, timedelta(days=366))
            purge(database, RULES)
            later = scene.client.get("/v1/audit_events/export", headers=bearer(key["secret"])).text
            assert [json.loads(line) for line in later.splitlines()[: head - 1]] == without[:-1]
            (last, *others) = self._listed(scene, bearer(key["secret"]), None)
            assert last["origin"] is not None
            assert others
            assert all(each["origin"] is None for each in others)
        assert verify(io.StringIO("".join(whole)))[0] == 0
        assert verify(io.StringIO(later))[0] == 0

    def test_an_act_of_no_request_has_none(self, database: Database) -> None:
        tenant = TenantId.new()
        with database.tenant(tenant) as uow:
            audit.record(uow, tenant_id=tenant, actor="platform", action="access.ending", target="key_1")
        with database.tenant(tenant) as uow:
            records = audit.list_newest(uow, tenant, before=None, limit=10)
            assert audit.list_origins(uow, tenant, records) == {}

    @pytest.mark.case("X14")
    def test_no_program_changes_where_an_act_came_from(self, database: Database) -> None:
        with pytest.raises(ProgrammingError, match="permission denied"), database.system() as uow:
            uow.session.execute(text("UPDATE audit_origin SET address = 'elsewhere'"))

    def _listed(
        self, scene: Scene, headers: dict[str, str], action: str | None, path: str = "/v1/audit_events"
    ) -> list[dict[str, Any]]:
        params = {} if action is None else {"action": action}
        found: list[dict[str, Any]] = scene.client.get(path, headers=headers, params=params).json()[
            "audit_events"
        ]
        return found

    def _export(self, scene: Scene) -> list[str]:
        answer = scene.client.get("/v1/audit_events/export", headers=scene.victim.headers)
        return answer.text.splitlines(keepends=True)

    def _age(self, database: Database, by: timedelta) -> None:
        """Let time pass: the installation's clock runs ahead by this."""
        with database.system() as uow:
            uow.session.execute(
                text("UPDATE simulated_clock SET offset_seconds = :s"), {"s": int(by.total_seconds())}
            )
