"""Calls of which only the start is known, and room on the disk."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.collector import Collector
from controlplane.gateway.room import Room
from controlplane.gateway.room_rules import INODES_LEAST, Space, decide_room
from controlplane.gateway.snapshot_rules import parse_routing
from controlplane.gateway.starts_rules import (
    GRACE_MS,
    OPEN_MS_MAX,
    Start,
    build_unknown,
    is_given_up,
    read_start,
)
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.metering.event_rules import AcceptWindow, read_event
from controlplane.spool.segments import Spool, list_segments, read_segment, segment_path
from tests.unit.gateway.values import route_item, routing

AT_MS = 1_790_000_000_000
PROJECT = "prj_00000000000000000000000001"
ROUTING = parse_routing(routing(route_item(1)))


def _start(number: int, process: str = "7-1", at_ms: int = AT_MS) -> bytes:
    held = {
        "id": f"req_{number}", "at": at_ms, "process": process, "tenant": f"org_{1:026d}", "project": PROJECT,
        "key": "key_1", "model": "model-1", "host": "127.0.0.1:80", "stream": True,
    }  # fmt: skip
    return json.dumps(held).encode() + b"\n"


def _end(number: int) -> bytes:
    route = {
        "service_id": "svc_1", "deployment_id": "dep_1", "regional_deployment_id": "rdp_1", "model": "model-1",
        "datacenter": "d", "country": "FR",
    }  # fmt: skip
    seen = {"call": {}, "caller": {"tenant": "org_1"}}
    entry = {
        "id": f"req_{number}",
        "route": route,
        "host_instance": "pod",
        "status": 200,
        "seen": seen,
        "usage": None,
    }
    return json.dumps(entry).encode() + b"\n"


class _Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.starts = folder / "starts"
        self.starts.mkdir()
        self.spool: Spool | None = None
        self.restart()

    def restart(self) -> None:
        if self.spool is not None:
            self.spool.close()
        self.spool = Spool(self.folder / "spool")
        log, cursor = self.folder / "access.log", self.folder / "cursor.json"
        self.collector = Collector(log, self.spool, cursor, "g", self.starts, lambda: ROUTING)

    def begin(self, number: int, process: str, at_ms: int) -> None:
        with (self.starts / f"starts.{at_ms // 60_000}.log").open("ab") as file:
            file.write(_start(number, process, at_ms))

    def finish(self, number: int) -> None:
        with (self.folder / "access.log").open("ab") as file:
            file.write(_end(number))

    def settle(self, at_ms: int) -> None:
        while self.collector.step():
            pass
        self.collector.settle(datetime.fromtimestamp(at_ms / 1000, UTC))

    def lines(self) -> list[dict[str, object]]:
        folder = self.folder / "spool"
        return [r for number in list_segments(folder) for r in read_segment(segment_path(folder, number))]


ACTS = st.lists(
    st.sampled_from(["begin", "finish", "lose", "kill", "settle", "restart", "wait"]), max_size=40
)


@pytest.mark.case("S26")
@given(ACTS)
def test_every_call_that_began_has_one_line_in_any_order_of_ends_and_kills(acts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        desk, now, process, count = _Desk(Path(name)), AT_MS, 1, 0
        running: list[int] = []
        finished: set[int] = set()
        for act in acts:
            now += 700
            if act == "begin":
                desk.begin(count, f"7-{process}", now)
                running.append(count)
                count += 1
            elif act == "finish" and running:
                finished.add(running[0])
                desk.finish(running.pop(0))
            elif act == "kill":
                # With Envoy go the calls in flight and those whose line it still held.
                running, process = [], process + 1
            elif act == "settle":
                desk.settle(now)
            elif act == "restart":
                desk.restart()
            elif act == "wait":
                now += GRACE_MS
        desk.restart()
        desk.settle(now + OPEN_MS_MAX + 1)
        lines = desk.lines()
        assert sorted(str(line["id"]) for line in lines) == sorted(f"req_{n}" for n in range(count))
        known = {line["id"] for line in lines if not line["data"].get("is_unknown")}  # type: ignore[attr-defined]
        assert known == {f"req_{n}" for n in finished}
        desk.settle(now + 3 * OPEN_MS_MAX)
        assert list(desk.starts.iterdir()) == []
        assert len(desk.lines()) == len(lines)


@given(st.binary(max_size=80), st.integers(0, 200))
def test_a_torn_start_costs_no_other(garbage: bytes, cut: int) -> None:
    whole = _start(1).rstrip(b"\n")
    assert read_start(whole) is not None
    read_start(garbage)
    glued = read_start(whole[: min(cut, len(whole) - 1)] + _start(2).rstrip(b"\n"))
    assert glued is not None
    assert glued.id == "req_2"


@given(st.integers(0, 3 * OPEN_MS_MAX), st.booleans(), st.integers(0, 3 * GRACE_MS))
def test_a_call_is_given_up_only_when_its_end_cannot_come(age: int, is_replaced: bool, since: int) -> None:
    start = read_start(_start(1))
    assert start is not None
    now = AT_MS + age
    newest = read_start(_start(2, "7-2" if is_replaced else "7-1", max(AT_MS, now - since)))
    assert isinstance(newest, Start)
    expected = age > OPEN_MS_MAX or (is_replaced and now - newest.at_ms > GRACE_MS)
    assert is_given_up(start, newest, now) is expected


def test_the_ingest_takes_the_event_of_an_unknown_call() -> None:
    now = datetime.now(UTC)
    held = json.loads(_start(1, at_ms=int(now.timestamp() * 1000)))
    held |= {"tenant": str(TenantId.new()), "project": str(ProjectId.new())}
    start = read_start(json.dumps(held).encode())
    assert start is not None
    event = build_unknown(start, ROUTING.routes[0], "g")
    read = read_event(event, 0, AcceptWindow(now - timedelta(days=1), now + timedelta(minutes=1)))
    assert read.count is not None
    assert read.count.is_failed
    assert read.count.output_tokens is None


@pytest.mark.case("X7")
@given(
    st.integers(0, 10**9),
    st.integers(0, 200) | st.none(),
    st.booleans(),
    st.booleans(),
    st.integers(2, 10**8),
)
def test_below_the_reserve_no_call_passes_and_above_it_none_is_refused(
    free: int, inodes: int | None, is_held: bool, is_going: bool, reserve: int
) -> None:
    decision = decide_room(Space(free, inodes, is_held), reserve, is_going=is_going)
    room = free + (reserve // 2 if is_held else 0)
    if room < reserve or (inodes is not None and inodes < INODES_LEAST):
        assert not decision.is_going
    if room >= 2 * reserve and (inodes is None or inodes >= 2 * INODES_LEAST):
        assert decision.is_going
    assert not (decision.is_released and decision.is_going)
    assert not (decision.is_released and decision.is_taken)


@pytest.mark.case("X7")
def test_more_than_the_disk_has_is_never_room(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.touch()
    assert Room(tmp_path, go, tmp_path / "access.log", 1 << 60).step() is False
    assert not go.exists()
    assert Room(tmp_path, go, tmp_path / "access.log", 1 << 20).step() is True
    assert go.exists()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 1 << 19
