"""Who guesses keys at the portal is seen, and held back, as one who guesses them at the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from controlplane.entrypoints.api import create_app as create_api
from controlplane.entrypoints.refusal_keeper import keep
from controlplane.identity import key_rules
from controlplane.identity.domain import KeyKind
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.portal.app import create_app as create_portal
from tests.fixtures.door import served
from tests.fixtures.portal import HOME, Visitor
from tests.fixtures.tenants import operator_headers, sign_up

# Set aside for documentation (RFC 5737).
ATTACKER = "203.0.113.66"


@dataclass(slots=True)
class House:
    api: FastAPI
    visitor: Visitor
    operator: dict[str, str]


@pytest.fixture
def house(settings: Settings, database: Database) -> Iterator[House]:
    """An API and a portal in front of it, both behind a proxy on this machine."""
    operator = operator_headers(database, settings)
    trusting = settings.model_copy(
        update={"trusted_proxies": "127.0.0.0/8", "rate_failed_signins_per_minute": 6}
    )
    api = create_api(trusting, database)
    headers = {"Origin": HOME, "Sec-Fetch-Site": "same-origin", "X-Forwarded-For": ATTACKER}
    with served(api) as url:
        portal = create_portal(trusting.model_copy(update={"api_url": url}))
        with TestClient(
            portal, base_url=HOME, headers=headers, follow_redirects=False, client=("127.0.0.1", 40_000)
        ) as http:
            yield House(api, Visitor(http), operator)


def unknown_key(number: int) -> str:
    return key_rules.build_key(KeyKind.SVC, "local", number.to_bytes(key_rules.RANDOM_BYTES, "big"))


@pytest.mark.case("X14")
def test_keys_tried_at_the_portal_are_counted_with_the_visitors_address(
    house: House, database: Database
) -> None:
    tried = [f"garbage-{number}" for number in range(4)] + [unknown_key(number) for number in range(4)]
    statuses = [
        house.visitor.send("/sign-in", "/sign-in", api_key=key, next="/").status_code for key in tried
    ]
    # Garbage and well-formed guesses take the same tries of one address.
    assert statuses == [422] * 6 + [429] * 2
    keep(house.api.state.refusals, database)
    with TestClient(house.api, base_url="http://api.test", client=("127.0.0.2", 1)) as api:
        listed = api.get("/v1/admin/security_events", headers=house.operator).json()["security_events"]
    seen = {(each["kind"], each["reason"], each["address"]): each["count"] for each in listed}
    assert seen[("failed_authentication", "malformed_key", ATTACKER)] == 4
    assert seen[("failed_authentication", "unknown_key", ATTACKER)] == 2
    assert ("rate_limited", "too_many_failed", ATTACKER) in seen


@pytest.mark.case("X14")
def test_an_act_at_the_portal_shows_the_visitor_and_the_browser(house: House, database: Database) -> None:
    with TestClient(house.api, base_url="http://api.test", client=("127.0.0.2", 1)) as api:
        caller = sign_up(api)
        house.visitor.http.headers["User-Agent"] = "Mozilla/5.0 (X11)"
        house.visitor.sign_in(caller.secret)
        made = house.visitor.send(
            "/keys/new", "/keys/new", name="from-a-page", kind="pat", role="viewer", expires_in_days="30"
        )
        assert made.status_code in {200, 303}, made.text
        page = house.visitor.get("/audit?action=api_key.created")
        events = api.get(
            "/v1/audit_events", params={"action": "api_key.created", "limit": 1}, headers=caller.headers
        ).json()["audit_events"]
    assert events[0]["origin"]["address"] == ATTACKER
    assert events[0]["origin"]["user_agent"].startswith("rempart-portal Mozilla/5.0")
    assert ATTACKER in page
