"""From a logged call to a usage event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.usage_rules import decide_usage

ROUTE = {
    "service_id": "svc_1", "deployment_id": "dep_1", "regional_deployment_id": "rdp_1",
    "model": "m", "datacenter": "d", "country": "FR",
}  # fmt: skip


def _event(**changes: Any) -> dict[str, Any] | None:
    entry = {
        "id": "req_1", "started_at": "2026-11-21T00:00:00.000Z", "route": ROUTE, "host_instance": "pod-1",
        "instance": "pod-1", "status": 200, "flags": "-", "duration_ms": 9, "first_byte_ms": 4,
        "request_bytes": 10, "response_bytes": 20, "usage": None,
        "seen": {"call": {"is_stream": True}, "caller": {"tenant": "org_1", "project": "prj_1", "key": "key_1"}},
        **changes,
    }  # fmt: skip
    return decide_usage(json.dumps(entry).encode(), "g")


@pytest.mark.parametrize(
    ("usage", "deltas", "expected"),
    [
        ({"input_tokens": 7, "output_tokens": 5, "made_tokens": 4}, 3, ("engine", 7, 5)),
        ({"input_tokens": 7}, 0, ("engine", 7, 0)),  # embeddings have no output
        ({"read_tokens": 3, "cached_tokens": 4, "made_tokens": 9}, 8, ("engine", 7, 9)),
        (None, 3, ("counted", None, 3)),
        (None, 0, ("none", None, None)),
        ({"input_tokens": "x"}, 0, ("engine", None, 0)),
    ],
)
def test_the_best_count_there_is_is_taken(usage: Any, deltas: int, expected: tuple[Any, ...]) -> None:
    seen = {"call": {}, "caller": {}, "answer": {"deltas": deltas, "ttft_ms": 6}}
    event = _event(usage=usage, seen=seen)
    assert event is not None
    data = event["data"]
    assert (data["usage_source"], data["input_tokens"], data["output_tokens"]) == expected


@pytest.mark.parametrize(
    ("flags", "expected"), [("-", False), ("DC", True), ("DR,UC", True), ("UF", False), (None, False)]
)
def test_a_hang_up_is_known_by_envoys_flags(flags: Any, expected: bool) -> None:
    event = _event(flags=flags)
    assert event is not None
    assert event["data"]["is_disconnected"] is expected


def test_the_time_to_first_token_is_that_of_the_first_piece_if_known() -> None:
    whole, streamed = _event(), _event(seen={"answer": {"deltas": 1, "ttft_ms": 6}})
    assert whole is not None
    assert streamed is not None
    assert (whole["data"]["ttft_ms"], streamed["data"]["ttft_ms"]) == (4, 6)


@pytest.mark.parametrize(
    "changes", [{"host_instance": None, "instance": "-"}, {"route": None}, {"route": {}}]
)
def test_a_call_that_reached_no_engine_is_no_usage(changes: dict[str, Any]) -> None:
    assert _event(**changes) is None


@given(st.binary(max_size=80))
def test_a_line_that_is_not_ours_is_refused_not_guessed_at(line: bytes) -> None:
    with pytest.raises(ValueError):
        decide_usage(line, "g")
