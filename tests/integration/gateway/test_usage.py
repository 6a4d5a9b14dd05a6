"""What is written down of each call: once, from the engine's counts, also when the caller hangs up."""

from __future__ import annotations

import httpx
import pytest

from controlplane.gateway.envoy_listener import BODY_BYTES_MAX
from tests.integration.gateway.rig import MODEL, Rig, Tenant, wait_until
from tests.integration.gateway.scripted_engine import Script, ScriptedEngine

CHAT = "/v1/chat/completions"
CALL = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


def _start(rig: Rig, tenant: Tenant, engine: ScriptedEngine) -> dict[str, object]:
    route = tenant.route()
    rig.publish_routes(route)
    rig.publish_endpoints(route, engine.port)
    return route


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_a_json_answer_is_counted_whatever_its_charset(
    rig: Rig, tenant: Tenant, client: httpx.Client, engine: ScriptedEngine, content_type: str
) -> None:
    engine.script.content_type = content_type
    route = _start(rig, tenant, engine)
    line = rig.usage_of(client.post(CHAT, json=CALL).headers["x-request-id"])
    data = line["data"]
    assert line["type"] == "eu.rempart.inference.request.v1"
    assert line["source"] == "/gateways/gateway-1"
    assert line["subject"] == route["service_id"]
    expected = {
        "tenant_id": tenant.tenant_id,
        "project_id": tenant.project_id,
        "key_id": tenant.key_id,
        "deployment_id": route["deployment_id"],
        "regional_deployment_id": route["regional_deployment_id"],
        "instance": f"pod-{engine.port}",
        "model": MODEL,
        "datacenter": "essonne-1",
        "country": "FR",
        "status": 200,
        "stream": False,
        "input_tokens": 7,
        "output_tokens": 5,
        "usage_source": "engine",
        "is_disconnected": False,
    }
    assert expected.items() <= data.items()
    assert data["request_bytes"] > 0
    assert data["response_bytes"] > 0


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_is_counted_and_the_totals_go_only_to_who_asked(
    rig: Rig, tenant: Tenant, client: httpx.Client, engine: ScriptedEngine, wants_usage: bool
) -> None:
    _start(rig, tenant, engine)
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    response = client.post(CHAT, json={**CALL, "stream": True, **options})
    data = rig.usage_of(response.headers["x-request-id"])["data"]
    assert (data["input_tokens"], data["output_tokens"], data["usage_source"]) == (7, 5, "engine")
    assert data["stream"] is True
    assert (b'"prompt_tokens"' in response.content) is wants_usage
    assert response.content.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("counts", "source", "input_tokens"), [("running", "engine", 7), ("none", "counted", None)]
)
def test_a_hang_up_in_a_stream_cancels_the_engine_and_keeps_what_was_produced(
    rig: Rig, tenant: Tenant, client: httpx.Client, counts: str, source: str, input_tokens: int | None
) -> None:
    with ScriptedEngine(Script(tokens=500, gap_seconds=0.02, counts=counts)) as engine:
        _start(rig, tenant, engine)
        with client.stream("POST", CHAT, json={**CALL, "stream": True}) as response:
            request_id = response.headers["x-request-id"]
            seen = 0
            for line in response.iter_lines():
                seen += line.startswith("data:")
                if seen == 10:
                    break
        wait_until(lambda: engine.cancelled == 1, "the engine's call to be cancelled")
        data = rig.usage_of(request_id)["data"]
    assert data["is_disconnected"] is True
    assert data["usage_source"] == source
    assert data["input_tokens"] == input_tokens
    assert 10 <= data["output_tokens"] < 100


def test_a_large_body_is_read_in_full(
    rig: Rig, tenant: Tenant, client: httpx.Client, engine: ScriptedEngine
) -> None:
    _start(rig, tenant, engine)
    text = {"role": "user", "content": "x" * (BODY_BYTES_MAX - 200)}
    response = client.post(CHAT, json={"messages": [text], "model": MODEL, "stream": True})
    assert response.status_code == 200
    assert len(engine.seen[-1][1]) > BODY_BYTES_MAX - 200
    assert rig.usage_of(response.headers["x-request-id"])["data"]["output_tokens"] == 5


def test_an_answer_without_counts_says_that_nobody_counted(
    rig: Rig, tenant: Tenant, client: httpx.Client, engine: ScriptedEngine
) -> None:
    engine.script.counts = "none"
    _start(rig, tenant, engine)
    data = rig.usage_of(client.post(CHAT, json=CALL).headers["x-request-id"])["data"]
    assert (data["usage_source"], data["input_tokens"], data["output_tokens"]) == ("none", None, None)


def test_an_engine_cannot_say_that_it_is_somewhere_else(
    rig: Rig, tenant: Tenant, client: httpx.Client, engine: ScriptedEngine
) -> None:
    engine.script.extra_headers = {"x-rempart-residency": "country=XX", "x-rempart-instance": "other"}
    _start(rig, tenant, engine)
    response = client.post(CHAT, json=CALL)
    assert response.headers["x-rempart-residency"].startswith("country=FR; ")
    assert response.headers["x-rempart-instance"] == f"pod-{engine.port}"
