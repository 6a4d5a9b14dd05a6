"""Signing up in stages: what a stranger learns, accepts and gets before an operator has confirmed who it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from controlplane.entrypoints.api import create_app
from controlplane.identity.service import build_snapshot
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.tenancy.domain import QuotaName
from tests.fixtures.tenants import TERMS, bearer, operator_headers, signup_body

GERMAN = {"country": "DE", "siren": None, "vat_id": "DE136695976"}


@contextmanager
def door(settings: Settings, database: Database, **changes: Any) -> Iterator[TestClient]:
    """An installation as the code's defaults leave it, but for what is named; sign-up is open."""
    defaults = {
        name: Settings.model_fields[name].default for name in ("is_approval_needed", "pending_signups_max")
    }
    chosen = settings.model_copy(update={**defaults, "trusted_proxies": "10.0.0.0/8", **changes})
    with TestClient(
        create_app(chosen, database), base_url="http://api.test", client=("10.0.0.1", 4)
    ) as client:
        yield client


@pytest.fixture
def strict(settings: Settings, database: Database) -> Iterator[TestClient]:
    with door(settings, database) as client:
        yield client


@pytest.fixture
def operator(settings: Settings, database: Database) -> dict[str, str]:
    return operator_headers(database, settings)


def shape(value: Any) -> Any:
    """A body without its values: names and kinds, to any depth."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def seen_of(answer: Response) -> tuple[int, Any, dict[str, str]]:
    """All that a stranger can compare: status, shape of the body, headers without what is random by itself."""
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, shape(answer.json()), headers


def sign(client: TestClient, name: str = "acme", peer: str = "198.51.100.1", **party: Any) -> Response:
    body = signup_body(name)
    body["organization"] |= party
    return client.post("/v1/signup", json=body, headers={"X-Forwarded-For": peer})


def pending(client: TestClient, name: str = "acme") -> dict[str, Any]:
    answer = sign(client, name)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


# What a stranger tries, and one that differs from it in nothing but that it is new here.
TRIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "name": ({"name": "known"}, {"name": "other"}),
    "SIREN": (
        {"name": "fresh", "vat_id": None},
        {"name": "fresh", "siren": "552100554", "vat_id": None},
    ),
    "SIREN and VAT number": (
        {"name": "fresh"},
        {"name": "fresh", "siren": "552100554", "vat_id": "FR96552100554"},
    ),
    "VAT number of another country": (
        {"name": "fresh", **GERMAN},
        {"name": "fresh", **GERMAN, "vat_id": "DE129273398"},
    ),
    "registered name": (
        {"name": "fresh", "legal_name": "known SAS"},
        {"name": "fresh", "legal_name": "other SAS"},
    ),
}


@pytest.mark.case("X17")
@pytest.mark.case("W7")
@pytest.mark.parametrize("is_pending", [True, False])
@pytest.mark.parametrize("tried", TRIES)
def test_the_answer_does_not_tell_who_is_known(
    settings: Settings, database: Database, tried: str, is_pending: bool
) -> None:
    """Of each fact that could name a customer: known or not, the answer is the same in all that can be compared."""
    known, new = TRIES[tried]
    with door(settings, database, is_approval_needed=is_pending) as client:
        assert sign(client, "known").status_code == 201
        assert sign(client, "neighbour", **GERMAN).status_code == 201
        answers = [sign(client, **facts) for facts in (known, new)]
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    assert seen_of(answers[0]) == seen_of(answers[1])


@pytest.mark.case("X17")
def test_a_guessed_idempotency_key_shows_nothing_of_anothers_sign_up(strict: TestClient) -> None:
    def send(address: str) -> Response:
        headers = {"Idempotency-Key": "1", "X-Forwarded-For": address}
        return strict.post("/v1/signup", json=signup_body("acme"), headers=headers)

    first, again, stranger = send("198.51.100.1"), send("198.51.100.1"), send("203.0.113.9")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["organization"]["id"] == first.json()["organization"]["id"]
    assert "Idempotent-Replayed" not in stranger.headers
    assert stranger.json()["organization"]["id"] != first.json()["organization"]["id"]


@pytest.mark.case("W7")
def test_approval_is_needed_unless_somebody_says_otherwise(strict: TestClient) -> None:
    assert Settings.model_fields["is_approval_needed"].default is True
    made = pending(strict)
    assert made["organization"]["status"] == "PENDING"
    headers = bearer(made["api_key"]["secret"])
    assert strict.get("/v1/organization", headers=headers).json()["organization"]["status"] == "PENDING"


class TestTerms:
    @pytest.mark.case("W7")
    @pytest.mark.parametrize("url", ["", "https://cloud.example/terms"])
    @pytest.mark.parametrize("sent", [None, "", "2025-01", f"{TERMS}-1", "yes", "true"])
    def test_what_is_in_force_is_accepted_or_nothing_is_made(
        self, settings: Settings, database: Database, sent: str | None, url: str
    ) -> None:
        body = {**signup_body("acme"), "accepted_terms": sent}
        with door(settings, database, terms_url=url) as client:
            assert client.get("/v1/terms").json() == {"terms": {"version": TERMS, "url": url or None}}
            refused = client.post("/v1/signup", json=body)
        assert refused.status_code == 422
        [problem] = refused.json()["errors"]
        assert (problem["field"], problem["code"]) == ("accepted_terms", "terms_not_accepted")
        assert TERMS in problem["message"]
        assert url in problem["message"]
        with database.system() as uow:
            assert uow.session.scalar(text("SELECT count(*) FROM tenant")) == 0

    @pytest.mark.case("W7")
    def test_leaving_the_field_out_accepts_nothing(self, strict: TestClient) -> None:
        body = signup_body("acme")
        del body["accepted_terms"]
        assert strict.post("/v1/signup", json=body).status_code == 422

    @pytest.mark.case("W7")
    @hypothesis_settings(
        max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.from_regex(r"[!-~]{1,40}", fullmatch=True))
    def test_the_version_and_the_instant_are_kept(
        self, settings: Settings, database: Database, version: str
    ) -> None:
        with door(settings, database, terms_version=version, pending_signups_max=1000) as client:
            made = client.post("/v1/signup", json={**signup_body("acme"), "accepted_terms": version})
        assert made.status_code == 201
        organization = made.json()["organization"]
        assert organization["accepted_terms"] == version
        assert organization["terms_accepted_at"] == organization["created_at"]


class TestApproval:
    @pytest.mark.case("W7")
    def test_an_approved_organization_has_its_ordinary_limits(
        self, strict: TestClient, operator: dict[str, str]
    ) -> None:
        made = pending(strict)
        headers, path = bearer(made["api_key"]["secret"]), _path(made)
        before = {q["name"]: q["limit"] for q in strict.get("/v1/quotas", headers=headers).json()["quotas"]}
        assert before["gpus"] == 0
        strict.put(f"{path}/quotas/projects", json={"limit": 7}, headers=operator)
        told = {q["name"]: q["limit"] for q in strict.get("/v1/quotas", headers=headers).json()["quotas"]}
        assert told == before, "what waits has no more, whatever else it may have later"
        approved = strict.post(f"{path}/approve", json={"version": 1}, headers=operator)
        assert approved.status_code == 200
        assert approved.json()["organization"]["status"] == "ACTIVE"
        after = {q["name"]: q["limit"] for q in strict.get("/v1/quotas", headers=headers).json()["quotas"]}
        assert (after["gpus"], after["projects"]) == (64, 7)
        assert all(after[name] > before[name] for name in set(after) - {"projects"})

    @pytest.mark.case("W7")
    def test_what_changed_after_the_look_is_not_approved(
        self, strict: TestClient, operator: dict[str, str]
    ) -> None:
        made = pending(strict)
        mine = {**bearer(made["api_key"]["secret"]), "If-Match": '"1"'}
        moved = strict.patch(
            f"/v1/organizations/{made['organization']['id']}", json={"legal_name": "Exemple SA"}, headers=mine
        )
        assert moved.status_code == 200
        refused = strict.post(f"{_path(made)}/approve", json={"version": 1}, headers=operator)
        assert refused.status_code == 409
        assert "version 2" in refused.json()["detail"]
        assert strict.get(_path(made), headers=operator).json()["organization"]["status"] == "PENDING"

    @pytest.mark.case("W7")
    @pytest.mark.parametrize(
        ("steps", "expected"),
        [
            (["refuse"], "REFUSED"),
            (["refuse", "approve"], "ACTIVE"),
            (["approve", "suspend", "resume"], "ACTIVE"),
            (["approve", "refuse"], None),
            (["refuse", "refuse"], None),
            (["approve", "approve"], None),
            # Suspending and resuming is no way around the approval.
            (["suspend"], None),
            (["resume"], None),
            (["refuse", "suspend"], None),
            (["refuse", "resume"], None),
        ],
    )
    def test_only_an_approval_leads_to_an_active_organization(
        self, strict: TestClient, operator: dict[str, str], steps: list[str], expected: str | None
    ) -> None:
        made = pending(strict)
        for number, step in enumerate(steps, 1):
            version = strict.get(_path(made), headers=operator).json()["organization"]["version"]
            body = {"approve": {"version": version}, "resume": None}.get(step, {"reason": "Not found."})
            answer = strict.post(f"{_path(made)}/{step}", json=body, headers=operator)
            if number < len(steps) or expected is not None:
                assert answer.status_code == 200, answer.text
        if expected is None:
            assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
        else:
            assert answer.json()["organization"]["status"] == expected

    @pytest.mark.case("W7")
    def test_the_refused_reads_why_and_changes_and_calls_nothing(
        self, strict: TestClient, operator: dict[str, str], database: Database
    ) -> None:
        made = pending(strict)
        headers = bearer(made["api_key"]["secret"])
        assert _callers(database) == {made["organization"]["id"]}
        strict.post(f"{_path(made)}/refuse", json={"reason": "No such company."}, headers=operator)
        mine = strict.get("/v1/organization", headers=headers)
        assert mine.status_code == 200
        assert mine.json()["organization"]["suspension_reason"] == "No such company."
        refused = strict.post("/v1/apps", json={"name": "one"}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "organization_suspended")
        assert _callers(database) == set()

    @pytest.mark.case("W7")
    @pytest.mark.parametrize("step", ["approve", "refuse"])
    def test_the_decision_stands_in_both_chains(
        self, strict: TestClient, operator: dict[str, str], step: str
    ) -> None:
        made = pending(strict)
        body = {"version": 1} if step == "approve" else {"reason": "No such company."}
        strict.post(f"{_path(made)}/{step}", json=body, headers=operator)
        action = {"approve": "organization.approved", "refuse": "organization.refused"}[step]
        mine = strict.get("/v1/audit_events", headers=bearer(made["api_key"]["secret"])).json()
        theirs = strict.get("/v1/admin/audit_events", headers=operator).json()
        for chain in (mine, theirs):
            assert action in [event["action"] for event in chain["audit_events"]]

    @pytest.mark.case("W7")
    def test_who_waits_is_listed(self, strict: TestClient, operator: dict[str, str]) -> None:
        first, second = pending(strict, "one"), pending(strict, "two")
        strict.post(f"{_path(first)}/approve", json={"version": 1}, headers=operator)
        listed = strict.get(
            "/v1/admin/organizations", params={"statuses": "PENDING"}, headers=operator
        ).json()
        assert [found["id"] for found in listed["organizations"]] == [second["organization"]["id"]]

    @pytest.mark.case("W7")
    @pytest.mark.parametrize(
        ("party", "is_alike"),
        [
            ({"name": "known"}, True),
            ({"legal_name": "KNOWN sas", "siren": "552100554", "vat_id": None}, True),
            ({"siren": "732829320", "vat_id": None}, True),
            ({"siren": "732829320", "vat_id": "FR44732829320"}, True),
            # A company of Monaco shows no SIREN, and its VAT number is a French one.
            ({"country": "MC", "siren": None, "vat_id": "FR44732829320"}, True),
            ({"siren": "552100554", "vat_id": None}, False),
            (GERMAN, False),
        ],
    )
    def test_the_operator_sees_others_of_the_same_company(
        self, strict: TestClient, operator: dict[str, str], party: dict[str, Any], is_alike: bool
    ) -> None:
        known = pending(strict, "known")
        party = {"legal_name": "Another SAS", **party}
        if party.get("country") == "MC":
            party["address"] = {"line1": "1 av", "postal_code": "98000", "city": "Monaco", "country": "MC"}
        made = sign(strict, **{"name": "fresh", **party})
        assert made.status_code == 201, made.text
        for one, other in ((made.json(), known), (known, made.json())):
            alike = strict.get(f"{_path(one)}/alike", headers=operator).json()["organizations"]
            assert [found["id"] for found in alike] == ([other["organization"]["id"]] if is_alike else [])


class TestBounds:
    @pytest.mark.case("X17")
    def test_strangers_together_cannot_wait_in_any_number(
        self, settings: Settings, database: Database, operator: dict[str, str]
    ) -> None:
        """Each from an address of its own: what all who wait hold together has an end."""
        with door(settings, database, pending_signups_max=3) as client:
            answers = [sign(client, f"n-{number}", f"203.0.113.{number}") for number in range(5)]
            assert [answer.status_code for answer in answers] == [201, 201, 201, 429, 429]
            assert int(answers[-1].headers["Retry-After"]) > 0
            client.post(f"{_path(answers[0].json())}/approve", json={"version": 1}, headers=operator)
            assert sign(client, "n-9", "203.0.113.99").status_code == 201

    @pytest.mark.case("X17")
    def test_one_address_has_a_limit(self, settings: Settings, database: Database) -> None:
        with door(settings, database, rate_signups_per_hour=3) as client:
            statuses = [sign(client, f"n-{number}").status_code for number in range(6)]
        assert statuses == [201, 201, 201, 429, 429, 429]

    @pytest.mark.case("X17")
    def test_a_tenants_transaction_cannot_approve_itself(
        self, strict: TestClient, database: Database
    ) -> None:
        tenant_id = TenantId.parse(pending(strict)["organization"]["id"])
        for column, value in (("status", "'ACTIVE'"), ("terms", "'x'"), ("suspension_reason", "''")):
            with pytest.raises(ProgrammingError, match="permission denied"):
                _update_own(database, tenant_id, column, value)

    @pytest.mark.case("X17")
    def test_every_limit_is_smaller_for_who_waits(self, strict: TestClient) -> None:
        made = pending(strict)
        quotas = strict.get("/v1/quotas", headers=bearer(made["api_key"]["secret"])).json()["quotas"]
        assert {quota["name"]: quota["limit"] for quota in quotas} == {
            QuotaName.PROJECTS: 1,
            QuotaName.SERVICES: 1,
            QuotaName.GPUS: 0,
            QuotaName.REPLICAS: 2,
            QuotaName.API_KEYS: 2,
            QuotaName.APPS: 1,
            QuotaName.SECRETS: 5,
        }


def _path(made: dict[str, Any]) -> str:
    return f"/v1/admin/organizations/{made['organization']['id']}"


def _callers(database: Database) -> set[str]:
    """Whose keys the gateways are told."""
    with database.system() as uow:
        keys = build_snapshot(uow, uow.now)["keys"]
    assert isinstance(keys, list)
    return {str(key["tenant_id"]) for key in keys if isinstance(key, dict)}


def _update_own(database: Database, tenant_id: TenantId, column: str, value: str) -> None:
    with database.tenant(tenant_id) as uow:
        uow.session.execute(text(f"UPDATE tenant SET {column} = {value}"))  # noqa: S608
