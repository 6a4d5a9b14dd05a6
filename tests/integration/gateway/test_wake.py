"""A sleeping service: calls are held, demand is told at once, engines are not stormed, bounds hold."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import openai

from tests.integration.gateway.rig import MODEL, Rig, Tenant, wait_until
from tests.integration.gateway.scripted_engine import Script, ScriptedEngine

CHAT = "/v1/chat/completions"
CALL = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


def _demand(rig: Rig, name: str) -> dict[str, object] | None:
    raw = rig.redis.get(f"rempart:demand:{name}")
    return None if raw is None else json.loads(raw)


def test_the_unmodified_openai_client_wakes_a_service_and_streams(
    rig: Rig, tenant: Tenant, engine: ScriptedEngine
) -> None:
    route = tenant.route()
    name = route["regional_deployment_id"]
    rig.publish_routes(route)
    hints = rig.redis.pubsub(ignore_subscribe_messages=True)
    hints.subscribe("rempart:demand")
    hints.get_message(timeout=1)
    client = openai.OpenAI(base_url=f"{rig.url}/v1", api_key=tenant.key, max_retries=0)
    began = datetime.now(UTC)
    with ThreadPoolExecutor(1) as pool:
        words = pool.submit(
            lambda: [
                chunk.choices[0].delta.content
                for chunk in client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": "hello"}], stream=True
                )
            ]
        )
        hint = wait_until(lambda: hints.get_message(timeout=0.05), "the demand")
        assert hint["data"] == name.encode()
        demand = _demand(rig, name)
        assert demand is not None
        assert demand["wanted"] is True
        assert demand["waiting"] == 1
        assert demand["in_flight"] == 0
        wait_until(lambda: (_demand(rig, name) or {}).get("waiting") == 1, "the report of each second")
        rig.publish_endpoints(route, engine.port, is_awaited=False)
        # No chunk without choices reaches a client that did not ask for usage: it would index into nothing.
        assert words.result(timeout=20) == [f"w{n} " for n in range(5)]
    wakes = wait_until(lambda: rig.redis.xrevrange("rempart:wakes", count=1), "the wake record")
    wake = json.loads(wakes[0][1][b"wake"])
    assert wake["regional_deployment_id"] == name
    assert wake["instance"] == f"pod-{engine.port}"
    instants = [datetime.fromisoformat(wake[f"{step}_at"]) for step in _STEPS]
    assert began <= instants[0]
    assert instants == sorted(instants)
    usage = rig.usage_of(wake["request_id"])
    assert usage["data"]["instance"] == f"pod-{engine.port}"
    assert (usage["data"]["input_tokens"], usage["data"]["output_tokens"]) == (7, 5)
    hints.close()


_STEPS = ("first_byte", "demand", "endpoint", "first_token")


def test_held_calls_reach_an_engine_no_more_than_its_concurrency_at_a_time(
    rig: Rig, tenant: Tenant, client: httpx.Client
) -> None:
    route = tenant.route(concurrency_per_replica=2)
    rig.publish_routes(route)
    with ScriptedEngine(Script(is_held=True)) as engine, ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(client.post, CHAT, json=CALL) for _ in range(8)]
        name = route["regional_deployment_id"]
        wait_until(lambda: (_demand(rig, name) or {}).get("waiting") == 8, "eight held calls")
        rig.publish_endpoints(route, engine.port, is_awaited=False)
        wait_until(lambda: engine.open_calls == 2, "two calls at the engine")
        wait_until(
            lambda: (_demand(rig, name) or {}).get("in_flight") == 2, "the report to show two in flight"
        )
        assert engine.open_calls_most == 2
        engine.script.is_held = False
        assert [call.result(timeout=20).status_code for call in calls] == [200] * 8
        assert engine.open_calls_most == 2


def test_beyond_its_bounds_the_activator_answers_503_with_retry_after(
    rig: Rig, tenant: Tenant, client: httpx.Client
) -> None:
    few = tenant.route(model="few", queue={"max_requests": 1, "max_bytes": 10_000, "max_age_s": 20})
    small = tenant.route(model="small", queue={"max_requests": 9, "max_bytes": 100, "max_age_s": 20})
    brief = tenant.route(model="brief", queue={"max_requests": 9, "max_bytes": 10_000, "max_age_s": 1})
    rig.publish_routes(few, small, brief)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(client.post, CHAT, json={"model": "few"})
        name = few["regional_deployment_id"]
        wait_until(lambda: (_demand(rig, name) or {}).get("waiting") == 1, "the held call")
        refused = {
            "queue_full": client.post(CHAT, json={"model": "few"}),
            "queue_bytes_full": client.post(CHAT, json={"model": "small", "prompt": "x" * 200}),
            "wake_timeout": client.post(CHAT, json={"model": "brief"}),
        }
        for code, response in refused.items():
            assert response.status_code == 503, code
            assert response.json()["error"]["code"] == code
            assert int(response.headers["retry-after"]) >= 1
            assert response.headers["x-request-id"].startswith("req_")
        with ScriptedEngine() as engine:
            rig.publish_endpoints(few, engine.port, is_awaited=False)
            assert held.result(timeout=20).status_code == 200
            rig.usage_of(held.result().headers["x-request-id"])
    services = {route["service_id"] for route in (few, small, brief)}
    assert [line["subject"] for line in rig.usage() if line["subject"] in services] == [few["service_id"]]


def test_a_caller_who_hangs_up_while_held_is_forgotten(
    rig: Rig, tenant: Tenant, engine: ScriptedEngine
) -> None:
    route = tenant.route()
    name = route["regional_deployment_id"]
    rig.publish_routes(route)
    with httpx.Client(base_url=rig.url, timeout=0.5) as client:
        try:
            client.post(CHAT, json=CALL, headers={"authorization": f"Bearer {tenant.key}"})
            raise AssertionError("a sleeping service answered")
        except httpx.ReadTimeout:
            pass
    wait_until(lambda: (_demand(rig, name) or {}).get("wanted") is False, "the demand to end")
    rig.publish_endpoints(route, engine.port)
    assert not engine.seen


def test_an_endpoint_that_is_gone_sends_its_calls_back_to_the_activator(
    rig: Rig, tenant: Tenant, client: httpx.Client
) -> None:
    route = tenant.route()
    rig.publish_routes(route)
    with ScriptedEngine() as engine:
        rig.publish_endpoints(route, engine.port)
        assert client.post(CHAT, json=CALL).status_code == 200
        gone = engine.port
    with ScriptedEngine() as successor:
        timer = threading.Timer(0.3, rig.publish_endpoints, (route, successor.port), {"is_awaited": False})
        timer.start()
        response = client.post(CHAT, json=CALL)
        timer.join()
        assert response.status_code == 200
        assert response.headers["x-rempart-instance"] == f"pod-{successor.port}" != f"pod-{gone}"


def test_after_an_endpoint_is_known_envoy_goes_to_it_directly(
    rig: Rig, tenant: Tenant, client: httpx.Client, engine: ScriptedEngine
) -> None:
    route = tenant.route()
    rig.publish_routes(route)
    rig.publish_endpoints(route, engine.port)
    for _ in range(3):
        response = client.post(CHAT, json=CALL)
        assert response.headers["x-rempart-instance"] == f"pod-{engine.port}"
        assert response.headers["x-rempart-residency"] == (
            "country=FR; datacenter=essonne-1; operator=operator-1; policy=p0"
        )
    # The activator takes the header of its own door off; Envoy, going directly, leaves it.
    assert all("x-rempart-regional-deployment" in headers for headers, _ in engine.seen)
    rig.publish_endpoints(route)
    began = time.monotonic()
    threading.Timer(0.2, rig.publish_endpoints, (route, engine.port), {"is_awaited": False}).start()
    assert client.post(CHAT, json=CALL).status_code == 200
    assert time.monotonic() - began >= 0.2


def test_a_move_lets_running_answers_finish(rig: Rig, tenant: Tenant, client: httpx.Client) -> None:
    old, script = tenant.route(), Script(is_held=True)
    new = tenant.route(service_id=old["service_id"], datacenter="borlange-1", country="SE")
    with ScriptedEngine(script) as first, ScriptedEngine() as second, ThreadPoolExecutor(1) as pool:
        rig.publish_routes(old)
        rig.publish_endpoints(old, first.port)
        running = pool.submit(client.post, CHAT, json=CALL)
        wait_until(lambda: first.open_calls == 1, "the first call")
        rig.publish_routes({**old, "state": "draining"}, new)
        rig.publish_endpoints(new, second.port)
        moved = client.post(CHAT, json=CALL)
        assert "country=SE" in moved.headers["x-rempart-residency"]
        rig.publish_routes(new)
        script.is_held = False
        finished = running.result(timeout=20)
        assert finished.status_code == 200
        assert "country=FR" in finished.headers["x-rempart-residency"]
