"""The clock of a local installation, moved over REST."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient

DAY = timedelta(days=1)


def seconds_ahead(clock: dict[str, Any]) -> float:
    return (datetime.fromisoformat(clock["now"]) - datetime.now(UTC)).total_seconds()


def test_moving_the_clock_answers_with_the_new_time(admin: TestClient) -> None:
    there = admin.put("/v1/admin/clock", json={"offset_seconds": int(DAY.total_seconds())}).json()["clock"]
    assert there["is_simulated"]
    assert abs(seconds_ahead(there) - DAY.total_seconds()) < 60
    read = admin.get("/v1/admin/clock").json()["clock"]
    assert abs(seconds_ahead(read) - DAY.total_seconds()) < 60
    back = admin.put("/v1/admin/clock", json={"offset_seconds": 0}).json()["clock"]
    assert not back["is_simulated"]
    assert abs(seconds_ahead(back)) < 60
