"""Chapter 4: the unmodified OpenAI client wakes a real model, and what is refused leaves no trace in the usage."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import openai

from infra.demo.stage import Stage
from infra.demo.teller import StoryBroken, Teller, require
from infra.demo.tenant import MODEL, EngineCount, Tenant
from infra.demo.waiting import wait_until

QUESTION = "Name the capital of France in one short sentence."


def tell(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    assert tenant.service is not None
    service_id = tenant.service["id"]
    # A new version is started once, to show that it can serve, before it may sleep.
    _sleep_again(teller, tenant, service_id)
    request_id = _call_streaming(teller, stage, tenant)
    _show_cold_start(teller, tenant, service_id)
    line = wait_until(teller, "the usage on disk", lambda: find_usage(stage, request_id), 20)
    data = line["data"]
    teller.say(
        f"usage on disk, fsync'd: {data['input_tokens']} input and {data['output_tokens']} output tokens "
        f"({data['usage_source']}), {data['datacenter']} in {data['country']}"
    )
    teller.figure(
        "usage_first_call", {name: data[name] for name in ("input_tokens", "output_tokens", "usage_source")}
    )
    require(data["output_tokens"] > 0, "the usage must count output tokens")
    _refuse(teller, stage, tenant)
    _sleep_again(teller, tenant, service_id)


def openai_client(stage: Stage, key: str) -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=f"{stage.gateway_url}/v1", max_retries=0, timeout=120)


def _call_streaming(teller: Teller, stage: Stage, tenant: Tenant) -> str:
    began = time.monotonic()
    with teller.waiting("the first call: held while a replica starts"):
        raw = _wait_for_route(stage, tenant)
        first, pieces, engine = 0.0, [], None
        for chunk in raw.parse():
            engine = chunk.usage or engine
            if chunk.choices and chunk.choices[0].delta.content:
                first = first or time.monotonic() - began
                pieces.append(chunk.choices[0].delta.content)
    answer = "".join(pieces).strip()
    request_id = str(raw.headers["x-request-id"])
    residency = raw.headers["x-rempart-residency"]
    teller.say(f"asked «{QUESTION}» of a service at zero replicas; first token after {first:.2f} s")
    teller.say(f"SmolLM2 answered: «{answer[:160]}»")
    teller.say(f"x-request-id: {request_id}")
    teller.say(f"x-rempart-residency: {residency}")
    require(answer, "a real model must have answered")
    require(engine is not None, "the engine must say what the call used")
    assert engine is not None
    tenant.engine_counts.append(EngineCount(request_id, engine.prompt_tokens, engine.completion_tokens))
    require("country=FR" in residency, "the answer must come from France")
    teller.figure("first_token_cold_seconds", round(first, 2))
    return request_id


def _wait_for_route(stage: Stage, tenant: Tenant) -> Any:
    """The gateway learns of a new key and route within seconds; until then it answers 401 or 404."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return openai_client(stage, tenant.key).chat.completions.with_raw_response.create(
                model=MODEL,
                messages=[{"role": "user", "content": QUESTION}],
                max_tokens=32,
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
        except (openai.AuthenticationError, openai.NotFoundError) as err:
            if time.monotonic() > deadline:
                raise StoryBroken(f"the gateway still answers: {err}") from err
            time.sleep(0.2)


def _show_cold_start(teller: Teller, tenant: Tenant, service_id: str) -> None:
    def complete() -> dict[str, Any] | None:
        found = tenant.client.request("GET", f"/v1/services/{service_id}/cold_starts").json()["cold_starts"]
        return found[0] if found and found[0]["first_token_ms"] is not None else None

    cold = wait_until(teller, "the cold-start breakdown", complete, 20)
    phases = ("queue", "place", "schedule", "start", "load", "first_token")
    teller.say("cold start in ms: " + ", ".join(f"{name} {cold[name + '_ms']}" for name in phases))
    teller.figure("cold_start_ms", {name: cold[f"{name}_ms"] for name in phases})


def _refuse(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    good = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    cases: list[tuple[str, str, bytes, int]] = [
        (
            "wrong key",
            tenant.key[:-1] + ("0" if tenant.key[-1] != "0" else "1"),
            json.dumps(good).encode(),
            401,
        ),
        ("unknown model", tenant.key, json.dumps({**good, "model": "no-such-model"}).encode(), 404),
        ("body too large", tenant.key, b'{"model": "' + b"x" * (11 << 20) + b'"}', 413),
        ("malformed JSON", tenant.key, b'{"model": ', 400),
    ]
    before = len(read_usage(stage))
    refused_ids = []
    for name, key, body, status in cases:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        reply = httpx.post(
            f"{stage.gateway_url}/v1/chat/completions", content=body, headers=headers, timeout=30
        )
        require(
            reply.status_code == status,
            f"{name}: expected {status}, got {reply.status_code}: {reply.text[:200]}",
        )
        error = reply.json()["error"]
        refused_ids.append(reply.headers["x-request-id"])
        teller.say(f"{name}: {status} {error['code']}: {error['message']}")
    recorded = {line["id"] for line in read_usage(stage)}
    require(not recorded & set(refused_ids), "a refused call must leave no usage")
    teller.say(f"none of the {len(cases)} left a usage line ({before} line before and after)")


def _sleep_again(teller: Teller, tenant: Tenant, service_id: str) -> None:
    def asleep() -> bool:
        # A replica that still drains would be taken back by the next call, and nothing would start from zero.
        found = [each["status"] for each in tenant.client.instances.list(service_id=service_id)]
        return bool(found) and all(status in {"STOPPED", "ERROR"} for status in found)

    began = time.monotonic()
    wait_until(teller, "the idle service falling asleep", asleep, 60)
    teller.say(f"idle: back to zero replicas after {time.monotonic() - began:.0f} s")


def read_usage(stage: Stage) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for segment in sorted((stage.state_dir / "spool" / "usage").glob("*.jsonl")):
        lines += [json.loads(line) for line in segment.read_text(encoding="utf-8").splitlines()]
    return lines


def find_usage(stage: Stage, request_id: str) -> dict[str, Any] | None:
    return next((line for line in read_usage(stage) if line["id"] == request_id), None)
