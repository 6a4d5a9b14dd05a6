"""Each secret is replaced while keys, tenants' secrets, sessions and pages go on working at every step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import orjson
import pytest
import redis
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import text

from controlplane.deployments import service_secrets
from controlplane.deployments.sealing import SecretDamaged
from controlplane.entrypoints.api import create_app
from controlplane.entrypoints.rewrap import rewrap
from controlplane.gateway import key_rules as gateway_rules
from controlplane.gateway.snapshot_rules import parse_keys
from controlplane.identity import service as identity
from controlplane.kernel.clock import SystemClock
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.keyring import Keyring, parse_keyring
from controlplane.plumbing.cursors import decode_cursor, encode_cursor
from controlplane.plumbing.database import Database, read_clock
from controlplane.plumbing.settings import Settings
from controlplane.portal import sessions as portal_sessions
from controlplane.portal.sessions import Sessions
from tests.fixtures.tenants import make_key, sign_up

OLD, NEW = "1:" + "0a" * 32, "2:" + "0b" * 32
# Each is rolled out everywhere before the next.
STEPS = [OLD, f"{OLD},{NEW}", f"{NEW},{OLD}", NEW]


@contextmanager
def door(settings: Settings, database: Database, keys: str) -> Iterator[TestClient]:
    rings = {f"{purpose}_keys": SecretStr(keys) for purpose in ("hash", "sealing", "token", "session")}
    chosen = settings.model_copy(update={**rings, "key_pepper": SecretStr("")})
    with TestClient(create_app(chosen, database), base_url="http://api.test") as client:
        yield client


def accepted_by_gateway(database: Database, ring: Keyring, secret: str) -> bool:
    with database.system(is_read_only=True) as uow:
        snapshot = orjson.loads(orjson.dumps(identity.build_snapshot(uow, read_clock(uow))))
    parsed = parse_keys(snapshot)
    found = gateway_rules.decide_key(parsed, ring, secret, datetime.now(UTC))
    return not isinstance(found, gateway_rules.KeyRefusal)


def reveal(database: Database, keys: str, tenant: str, project: str) -> str:
    with database.system(is_read_only=True) as uow:
        ring = parse_keyring(keys)
        found = service_secrets.reveal(
            uow, ring, TenantId.parse(tenant), ProjectId.parse(project), {"token": 1}
        )
    return found["token"]


@pytest.mark.case("X18")
def test_hashes_and_sealed_values_go_on_at_every_step(settings: Settings, database: Database) -> None:
    with door(settings, database, OLD) as client:
        caller = sign_up(client)
        caller_key, quiet = caller.secret, make_key(client, caller, role="developer")["secret"]
        body = {"name": "token", "value": "zebra"}
        headers = {**caller.headers, "Idempotency-Key": "same"}
        first = client.post("/v1/secrets", json=body, headers=headers)
        assert first.status_code == 201
        client.post("/v1/projects", json={"name": "chat"}, headers=caller.headers)
        cursor = client.get("/v1/projects?limit=1", headers=caller.headers).json()["next_cursor"]
    for keys in STEPS[1:3]:
        with door(settings, database, keys) as client:
            assert client.get("/v1/organization", headers=caller.headers).status_code == 200
            assert client.post("/v1/secrets", json=body, headers=headers).json() == first.json()
            assert (
                client.get(f"/v1/projects?limit=1&cursor={cursor}", headers=caller.headers).status_code == 200
            )
            fresh = make_key(client, caller, role="developer")["secret"]
        # A gateway that is a step behind, or ahead, knows every key all the same.
        for ring in (parse_keyring(STEPS[1]), parse_keyring(STEPS[2])):
            assert all(accepted_by_gateway(database, ring, each) for each in (caller_key, quiet, fresh))
        assert reveal(database, keys, caller.organization_id, caller.project_id) == "zebra"
    done, left = rewrap(settings.model_copy(update={"sealing_keys": SecretStr(STEPS[2])}), database)
    # The owner's key was used at the API since, and the last one was made since; nobody used the other two there.
    assert (done, left) == (1, {"1": 2, "2": 2})
    assert rewrap(settings.model_copy(update={"sealing_keys": SecretStr(STEPS[2])}), database)[0] == 0
    assert reveal(database, NEW, caller.organization_id, caller.project_id) == "zebra"
    with door(settings, database, NEW) as client:
        assert client.get("/v1/organization", headers=caller.headers).status_code == 200
    assert not accepted_by_gateway(database, parse_keyring(NEW), quiet)
    with pytest.raises(SecretDamaged):
        reveal(database, OLD, caller.organization_id, caller.project_id)


@pytest.mark.case("X18")
def test_rewrap_says_what_it_cannot_open_and_changes_nothing(settings: Settings, database: Database) -> None:
    with door(settings, database, OLD) as client:
        caller = sign_up(client)
        client.post("/v1/secrets", json={"name": "token", "value": "zebra"}, headers=caller.headers)
    with pytest.raises(SecretDamaged, match="sealed under the key 1"):
        rewrap(settings.model_copy(update={"sealing_keys": SecretStr(NEW)}), database)
    assert reveal(database, OLD, caller.organization_id, caller.project_id) == "zebra"


@pytest.mark.case("X18")
def test_sessions_go_on_at_every_step(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        begun = Sessions(client, parse_keyring(OLD), SystemClock())
        session = begun.open(key="k", key_id="i", role="owner", organization_id="o", name="n")
        token = begun.form_token(session.id)
        for keys in STEPS[:3]:
            store = Sessions(client, parse_keyring(keys), SystemClock())
            assert store.find(session.id) == session
            assert store.is_form_token(session.id, token)
        assert Sessions(client, parse_keyring(NEW), SystemClock()).find(session.id) is None
        store = Sessions(client, parse_keyring(STEPS[2]), SystemClock())
        store.close(session.id)
        assert store.find(session.id) is None


@pytest.mark.case("X18")
@given(st.uuids(), st.sampled_from(STEPS[1:3]), st.sampled_from(STEPS[1:3]))
def test_cursors_go_on_between_programs_of_neighbouring_steps(after: object, one: str, other: str) -> None:
    made = encode_cursor(after, "apps", parse_keyring(one))  # type: ignore[arg-type]
    assert decode_cursor(made, "apps", parse_keyring(other)) == after


@pytest.mark.case("X6")
def test_with_a_gateways_secrets_no_session_opens(redis_url: str) -> None:
    """What a gateway holds is Redis and the hash keys: tried as the portal's labels would derive it."""
    hash_key, session_key = parse_keyring("1:" + "0c" * 32), parse_keyring(OLD)
    with redis.Redis.from_url(redis_url) as client:
        Sessions(client, session_key, SystemClock()).open(
            key="rmp_adm_secret", key_id="i", role="platform", organization_id="", name="n"
        )
        [name] = client.keys(f"{portal_sessions.REDIS_PREFIX}*")
        stored = client.get(name)
        assert isinstance(stored, bytes)
        assert b"rmp_adm" not in stored
        for label in (
            b"rempart portal session v1",
            b"rempart portal form v1",
            b"rempart portal session name v1",
        ):
            derived = portal_sessions._derive(hash_key.current.value, label)
            with pytest.raises(InvalidTag):
                AESGCM(derived).decrypt(stored[:12], stored[12:], name)


@pytest.mark.case("X18")
def test_every_hash_and_sealed_value_says_its_key(settings: Settings, database: Database) -> None:
    with door(settings, database, NEW) as client:
        caller = sign_up(client)
        client.post("/v1/secrets", json={"name": "token", "value": "v"}, headers=caller.headers)
    with database.system() as uow:
        assert set(uow.session.scalars(text("SELECT hash_key_id FROM api_key"))) == {"2"}
        assert set(uow.session.scalars(text("SELECT sealing_key_id FROM secret_version"))) == {"2"}
