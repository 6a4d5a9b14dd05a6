"""The demo adds up the operators' records by itself, so that it can compare."""

from __future__ import annotations

from typing import Any

import pytest

from infra.demo.teller import StoryBroken
from infra.demo.usage import sum_intervals

OPENED = "2026-11-22T00:00:00.000000Z"


def record(pod: str, gpu: int, phase: str, observed_at: str, service: str = "svc_a") -> dict[str, Any]:
    return {
        "id": f"{pod}/{gpu}/{phase}/0",
        "data": {"service_id": service, "phase": phase, "opened_at": OPENED, "observed_at": observed_at},
    }


def test_intervals_sum_to_the_microsecond_by_service() -> None:
    lines = [
        record("p1", 0, "open", OPENED),
        record("p1", 1, "open", OPENED),
        record("p1", 0, "beat", "2026-11-22T00:00:15.000000Z"),
        record("p1", 0, "close", "2026-11-22T00:00:20.000001Z"),
        record("p1", 1, "close", "2026-11-22T00:00:20.500000Z"),
        record("p2", 0, "open", OPENED, "svc_b"),
        record("p2", 0, "close", "2026-11-22T00:00:00.000007Z", "svc_b"),
    ]
    assert sum_intervals(lines) == {"svc_a": 40_500_001, "svc_b": 7}


def test_an_interval_that_is_still_open_has_no_sum() -> None:
    with pytest.raises(StoryBroken, match="still open"):
        sum_intervals([record("p1", 0, "open", OPENED), record("p1", 0, "beat", OPENED)])
