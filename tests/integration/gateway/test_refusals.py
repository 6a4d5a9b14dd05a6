"""Every error has OpenAI's shape, the right status and a request id, and leaves no line of usage."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import openai
import pytest

from controlplane.gateway.envoy_listener import BODY_BYTES_MAX
from tests.integration.gateway.rig import MODEL, Rig, Tenant, make_key, wait_until
from tests.integration.gateway.scripted_engine import ScriptedEngine

CHAT = "/v1/chat/completions"
REQUEST_ID = re.compile(r"req_[0-7][0-9a-hjkmnp-tv-z]{25}")
JSON = {"content-type": "application/json"}


def _call(model: str = MODEL) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}]}


def _expect(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert REQUEST_ID.fullmatch(response.headers["x-request-id"])
    error = response.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert error["code"] == code
    assert error["message"]


class TestErrorTable:
    """One deployment that answers and every way to ask wrongly for it."""

    @pytest.fixture(autouse=True)
    def _routes(self, rig: Rig, tenant: Tenant, engine: ScriptedEngine) -> Iterator[None]:
        route = tenant.route(hosts=["chat.example.test"])
        self.refused = {
            "unlawful": tenant.route(
                model="unlawful",
                verdict={"admissible": False, "policy_hash": "p", "decided_at": "", "reason": "US parent."},
            ),
            "paused": tenant.route(model="paused", state="paused"),
            "simulated": tenant.route(model="simulated", simulated=True),
        }
        rig.publish_routes(route, *self.refused.values())
        rig.publish_endpoints(route, engine.port)
        before = rig.usage()
        yield
        assert rig.usage() == before
        assert not engine.seen

    @pytest.mark.parametrize(
        ("key", "code"),
        [
            (None, "missing_api_key"),
            ("two words", "invalid_api_key"),
            ("sk-something", "invalid_api_key"),
            ("rmp_svc_test_" + "a" * 30 + "_000000", "invalid_api_key"),
            (make_key(), "invalid_api_key"),
        ],
        # A made key differs each time; the names of the cases may not.
        ids=["none", "two-words", "foreign", "wrong-checksum", "unknown"],
    )
    def test_a_wrong_key_is_401(self, rig: Rig, key: str | None, code: str) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        response = httpx.post(rig.url + CHAT, json=_call(), headers=headers)
        _expect(response, 401, code)
        assert response.headers["www-authenticate"] == "Bearer"

    def test_an_expired_key_is_401(self, rig: Rig, tenant: Tenant) -> None:
        late = Tenant(expires_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
        rig.publish_keys(tenant, late)
        response = httpx.post(rig.url + CHAT, json=_call(), headers={"authorization": f"Bearer {late.key}"})
        _expect(response, 401, "api_key_expired")

    def test_a_key_that_may_only_manage_is_403(self, rig: Rig, tenant: Tenant) -> None:
        manager = Tenant(scopes=["manage"])
        rig.publish_keys(tenant, manager)
        headers = {"authorization": f"Bearer {manager.key}"}
        _expect(httpx.post(rig.url + CHAT, json=_call(), headers=headers), 403, "api_key_out_of_scope")

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b'{"model": ', 400, "invalid_json"),
            (b'{"model": "a"' + b', "b": 1' * 2000 + b"}", 400, "invalid_json"),
            (b'{"model": "a", "b": ' + b"[" * 300 + b"]" * 300 + b"}", 400, "invalid_json"),
            (b"[]", 400, "model_required"),
            (b'"text"', 400, "model_required"),
            (b"{}", 400, "model_required"),
            (b'{"model": null}', 400, "model_required"),
            (b'{"model": "unknown"}', 404, "model_not_found"),
            (b'{"model": 5}', 404, "model_not_found"),
            (b'{"model": "a\\r\\nx-rempart-route: b"}', 404, "model_not_found"),
            (json.dumps({"model": "m" * 500}).encode(), 404, "model_not_found"),
            (b'{"model": "unlawful"}', 403, "jurisdiction_not_admissible"),
            (b'{"model": "paused"}', 503, "service_paused"),
            (b'{"model": "simulated"}', 503, "simulated_capacity"),
        ],
    )
    def test_a_wrong_body_says_what_is_wrong(
        self, client: httpx.Client, body: bytes, status: int, code: str
    ) -> None:
        _expect(client.post(CHAT, content=body, headers=JSON), status, code)

    def test_a_body_of_another_type_is_415(self, client: httpx.Client) -> None:
        response = client.post(CHAT, content=b"model=a", headers={"content-type": "text/plain"})
        _expect(response, 415, "unsupported_media_type")

    def test_a_body_too_large_is_413_announced_or_not(self, rig: Rig, client: httpx.Client) -> None:
        size = BODY_BYTES_MAX + 1024 * 1024
        head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: {client.headers['authorization']}\r\n"
        rest = f"content-type: application/json\r\ncontent-length: {size}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", rig.port), timeout=10) as raw:
            raw.sendall((head + rest).encode())
            assert raw.recv(64).startswith(b"HTTP/1.1 413 ")
        for _ in range(2):  # with the key not yet known to Envoy, and known
            chunks = (b" " * 65_536 for _ in range(size // 65_536))
            _expect(client.post(CHAT, content=chunks, headers=JSON), 413, "request_too_large")

    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/", 404, "unknown_url"),
            ("POST", "/v1/images", 404, "unknown_url"),
            ("GET", CHAT, 405, "method_not_supported"),
            ("DELETE", "/v1/models", 405, "method_not_supported"),
            ("POST", "/internal/keys", 404, "unknown_url"),
        ],
    )
    def test_a_wrong_path_or_method_is_refused(
        self, client: httpx.Client, method: str, path: str, status: int, code: str
    ) -> None:
        _expect(client.request(method, path), status, code)

    def test_another_tenants_model_and_host_are_404(self, rig: Rig, tenant: Tenant) -> None:
        stranger = Tenant()
        rig.publish_keys(tenant, stranger)
        headers = {"authorization": f"Bearer {stranger.key}"}
        _expect(httpx.post(rig.url + CHAT, json=_call(), headers=headers), 404, "model_not_found")
        headers["host"] = "chat.example.test"
        _expect(httpx.post(rig.url + CHAT, json=_call(), headers=headers), 404, "service_not_found")
        assert httpx.get(rig.url + "/v1/models", headers=headers).json()["data"] == []

    def test_headers_that_only_the_gateway_may_set_are_not_believed(self, rig: Rig, tenant: Tenant) -> None:
        stranger = Tenant()
        rig.publish_keys(tenant, stranger)
        forged = {
            "authorization": f"Bearer {stranger.key}",
            "x-rempart-project": tenant.project_id,
            "x-rempart-route": f"{tenant.project_id}/{MODEL}",
            "x-rempart-tenant": tenant.tenant_id,
        }
        _expect(httpx.post(rig.url + CHAT, json=_call(), headers=forged), 404, "model_not_found")

    def test_the_openai_client_raises_its_own_errors(self, rig: Rig, tenant: Tenant) -> None:
        client = openai.OpenAI(base_url=f"{rig.url}/v1", api_key=tenant.key, max_retries=0)
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="unknown", messages=[{"role": "user", "content": "x"}])
        assert caught.value.code == "model_not_found"
        wrong = client.with_options(api_key=make_key())
        with pytest.raises(openai.AuthenticationError):
            wrong.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x"}])


def test_a_clients_request_id_is_not_used(rig: Rig, tenant: Tenant, client: httpx.Client) -> None:
    first = client.get("/v1/models", headers={"x-request-id": "mine"})
    second = client.get("/v1/models", headers={"x-request-id": "mine"})
    ids = [first.headers["x-request-id"], second.headers["x-request-id"]]
    assert all(REQUEST_ID.fullmatch(each) for each in ids)
    assert ids[0] != ids[1]
    assert sorted(ids) == ids


def test_no_text_in_one_route_keeps_envoy_from_taking_the_others(
    rig: Rig, tenant: Tenant, client: httpx.Client, engine: ScriptedEngine
) -> None:
    odd = "Borlänge\r\nx: y %REQ(A)% " + "é" * 3000
    verdict = {"admissible": False, "policy_hash": odd, "decided_at": "", "reason": odd}
    route = tenant.route(operator=odd[:200], hosts=["*", "a b", "twice.example.test"])
    others = [
        tenant.route(model="other", verdict=verdict, hosts=["twice.example.test"]),
        tenant.route(model="wide", max=10**9, concurrency_per_replica=10**9, operator=odd),
        tenant.route(model="modèle / %\n"),
    ]
    rig.publish_routes(route, *others)
    rig.publish_endpoints(route, engine.port)
    answered = client.post(CHAT, json=_call())
    assert answered.status_code == 200
    assert answered.headers["x-rempart-residency"].startswith("country=FR; ")
    assert "x" not in answered.headers
    _expect(client.post(CHAT, json=_call("other")), 403, "jurisdiction_not_admissible")


def test_the_inner_doors_are_closed_to_others(rig: Rig, tenant: Tenant) -> None:
    route = tenant.route()
    rig.publish_routes(route)
    base = f"http://127.0.0.1:{rig.activator_port}"
    name = route["regional_deployment_id"]
    for headers in ({}, {"x-rempart-internal": "guess"}, {"x-rempart-regional-deployment": name}):
        assert httpx.get(f"{base}/internal/keys", headers=headers).status_code == 403
        assert httpx.post(f"{base}{CHAT}", json=_call(), headers=headers).status_code == 403


def test_what_reaches_an_engine_opens_no_door_but_its_own(
    rig: Rig, tenant: Tenant, client: httpx.Client, engine: ScriptedEngine
) -> None:
    own, other = tenant.route(), tenant.route(model="other")
    rig.publish_routes(own, other)
    rig.publish_endpoints(own, engine.port)
    assert client.post(CHAT, json=_call()).status_code == 200
    seen = engine.seen[-1][0]
    assert "authorization" not in {name.lower() for name in seen}
    stolen = {"x-rempart-internal": seen["x-rempart-internal"]}
    base = f"http://127.0.0.1:{rig.activator_port}"
    stolen_other = {**stolen, "x-rempart-regional-deployment": other["regional_deployment_id"]}
    assert httpx.get(f"{base}/internal/keys", headers=stolen).status_code == 403
    assert httpx.post(f"{base}{CHAT}", json=_call(), headers=stolen_other).status_code == 403


def test_a_revoked_key_is_refused_within_five_seconds(rig: Rig, tenant: Tenant, client: httpx.Client) -> None:
    assert client.get("/v1/models").status_code == 200
    rig.publish_keys()
    wait_until(lambda: client.get("/v1/models").status_code == 401, "the key to be refused", seconds=5.0)


class TestBudget:
    def test_past_a_hard_budget_every_call_is_429_and_nothing_is_used(
        self, rig: Rig, tenant: Tenant, engine: ScriptedEngine, client: httpx.Client
    ) -> None:
        route = tenant.route()
        rig.publish_routes(route)
        rig.publish_endpoints(route, engine.port)

        def publish(
            tenants: list[str], projects: list[str], age: timedelta = timedelta(0), **more: Any
        ) -> None:
            at = datetime.now(UTC)
            state = {"version": at.timestamp(), "generated_at": (at - age).isoformat(), **more}
            rig.publish(
                "rempart:budgets", {**state, "exhausted_tenants": tenants, "exhausted_projects": projects}
            )

        def is_answered(status: int) -> bool:
            return client.post(CHAT, json=_call()).status_code == status

        refused_ids: set[str] = set()
        try:
            for scope in (([tenant.tenant_id], []), ([], [tenant.project_id])):
                wait_until(lambda: is_answered(200), "a call within the budget")
                publish(*scope)
                wait_until(lambda: is_answered(429), "the budget's refusal", seconds=5)
                seen = len(engine.seen)
                refused = client.post(CHAT, json=_call())
                refused_ids.add(refused.headers["x-request-id"])
                _expect(refused, 429, "insufficient_quota")
                assert refused.json()["error"]["type"] == "insufficient_quota"
                assert refused.headers["x-should-retry"] == "false"
                assert len(engine.seen) == seen
                publish(["org_other"], ["prj_other"])
            # Nobody has said for a minute how much is used: that stops whoever asked for a hard limit, nobody else.
            publish([], [], timedelta(seconds=61), hard_tenants=["org_other"])
            wait_until(lambda: is_answered(200), "a call without a hard budget")
            publish([], [], timedelta(seconds=61), hard_projects=[tenant.project_id])
            wait_until(lambda: is_answered(503), "the unknown budget's refusal", seconds=5)
            unknown = client.post(CHAT, json=_call())
            refused_ids.add(unknown.headers["x-request-id"])
            _expect(unknown, 503, "budget_unknown")
            assert unknown.headers["retry-after"] == "5"
        finally:
            publish([], [])
        wait_until(lambda: is_answered(200), "a call after the budget was raised", seconds=5)
        last = client.post(CHAT, json=_call())
        rig.usage_of(last.headers["x-request-id"])
        assert refused_ids.isdisjoint(line["id"] for line in rig.usage())
