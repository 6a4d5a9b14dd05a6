"""Each visitor of the portal counts as itself: who guesses keys keeps nobody else out."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from controlplane.entrypoints.api import create_app as create_api
from controlplane.identity import key_rules
from controlplane.identity.domain import KeyKind
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.portal.app import create_app as create_portal
from tests.fixtures.door import served
from tests.fixtures.tenants import sign_up

HOME = "https://portal.test"
# Set aside for documentation (RFC 5737).
GUESSER, GUEST = "203.0.113.9", "198.51.100.4"
WRONG_KEYS_MAX = 5
_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


@pytest.fixture
def at_the_door(settings: Settings, database: Database) -> Iterator[tuple[Settings, str]]:
    """A served API that believes the portal about addresses, and the key of a tenant."""
    strict = settings.model_copy(
        update={"trusted_proxies": "127.0.0.1", "rate_failed_signins_per_minute": WRONG_KEYS_MAX}
    )
    app = create_api(strict, database)
    with TestClient(app, base_url="http://api.test") as api:
        key = sign_up(api).secret
    with served(app) as url:
        yield strict.model_copy(update={"api_url": url, "trusted_proxies": ""}), key


def sign_in(settings: Settings, address: str, key: str, forwarded: str = "") -> int:
    """Sign in with the form, as a browser from that address does; the answer's status."""
    headers = {"Origin": HOME, "Sec-Fetch-Site": "same-origin"} | (
        {"X-Forwarded-For": forwarded} if forwarded else {}
    )
    app = create_portal(settings)
    with TestClient(
        app, base_url=HOME, headers=headers, follow_redirects=False, client=(address, 40_000)
    ) as browser:
        token = _TOKEN.search(browser.get("/sign-in").text)
        assert token is not None
        body = {"form_token": token.group(1), "api_key": key, "next": "/"}
        return browser.post("/sign-in", data=body).status_code


@pytest.mark.case("X9")
def test_who_guesses_keys_at_the_portal_keeps_only_itself_out(at_the_door: tuple[Settings, str]) -> None:
    settings, key = at_the_door
    # Well formed, and nobody's.
    wrong = key_rules.build_key(KeyKind.PAT, "local", bytes(range(1, key_rules.RANDOM_BYTES + 1)))
    # Whatever it claims to be: the portal trusts no proxy here.
    answers = [sign_in(settings, GUESSER, wrong, forwarded=GUEST) for _ in range(WRONG_KEYS_MAX + 3)]
    assert answers[-1] == 429, answers
    assert 303 not in answers
    mistyped = sign_in(settings, GUEST, wrong)
    assert mistyped == answers[0] != 429
    assert sign_in(settings, GUEST, key) == 303
