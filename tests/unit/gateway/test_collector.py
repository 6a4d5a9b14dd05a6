"""From the access log to the spool: each call once, whatever is killed where."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.gateway import collector as module
from controlplane.gateway.collector import Collector
from controlplane.spool.segments import Spool
from tests.fixtures.disk_faults import full, injected


def _line(request_id: str) -> bytes:
    route = {
        "service_id": "svc_1", "deployment_id": "dep_1", "regional_deployment_id": "rdp_1",
        "model": "m", "datacenter": "d", "country": "FR",
    }  # fmt: skip
    entry = {
        "id": request_id, "route": route, "host_instance": "pod-1", "status": 200, "flags": "-",
        "seen": {"call": {}, "caller": {"tenant": "org_1"}}, "usage": {"input_tokens": 1, "output_tokens": 2},
    }  # fmt: skip
    return json.dumps(entry).encode() + b"\n"


class _Desk:
    """One log, one spool; `restart` opens both anew as a killed process would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "access.log"
        self.cursor = folder / "cursor.json"
        self.spool: Spool | None = None
        self.restart()

    def restart(self) -> None:
        if self.spool is not None:
            self.spool.close()
        self.spool = Spool(self.folder / "spool", segment_bytes_max=600)
        self.collector = Collector(self.log, self.spool, self.cursor, "g")

    def write(self, data: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data)

    def drain(self) -> None:
        while self.collector.step():
            pass

    def ids(self) -> list[str]:
        lines = b"".join(p.read_bytes() for p in sorted((self.folder / "spool").glob("*.jsonl"))).splitlines()
        return [json.loads(line)["id"] for line in lines]


@pytest.fixture
def desk(tmp_path: Path) -> _Desk:
    return _Desk(tmp_path)


ACTS = st.lists(
    st.sampled_from(["write", "step", "restart", "crash before cursor", "turn over", "drop"]), max_size=30
)


@settings(deadline=None, max_examples=150)
@given(ACTS)
def test_every_call_is_in_the_spool_once_in_any_order_of_crashes(acts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LOG_BYTES_MAX", 1)
        desk, written = _Desk(Path(name)), 0
        for act in acts:
            if act == "write":
                desk.write(_line(f"req_{written}"))
                written += 1
            elif act == "step":
                desk.collector.step()
            elif act == "restart":
                desk.restart()
            elif act == "crash before cursor":
                before = desk.cursor.read_bytes() if desk.cursor.exists() else None
                desk.collector.step()
                if before is None:
                    desk.cursor.unlink(missing_ok=True)
                else:
                    desk.cursor.write_bytes(before)
                desk.restart()
            elif act == "turn over":
                if desk.collector.turn_over():
                    desk.log.touch()
            else:
                desk.collector.drop_finished()
        desk.drain()
        assert desk.ids() == [f"req_{number}" for number in range(written)]


@pytest.mark.parametrize(
    "cursor",
    [b"", b"{", b"\0" * 9, b"[1]", b"3", b'{"inode": 1}', b'{"inode": "1", "offset": 0, "segment": 1, "length": 0}',
     b'{"inode": 1, "offset": -4, "segment": 1, "length": 0}'],
)  # fmt: skip
@pytest.mark.case("H3")
def test_a_damaged_cursor_doubles_nothing_and_loses_nothing(desk: _Desk, cursor: bytes) -> None:
    desk.write(_line("req_1") + _line("req_2"))
    desk.drain()
    desk.cursor.write_bytes(cursor)
    desk.restart()
    desk.write(_line("req_3"))
    desk.drain()
    assert desk.ids() == ["req_1", "req_2", "req_3"]


@pytest.mark.case("X7")
def test_a_step_that_fails_on_a_full_disk_doubles_nothing_when_it_is_made_again(desk: _Desk) -> None:
    """Also not after a restart, when lines are known only by what the spool holds behind the cursor."""
    desk.write(_line("req_1"))
    desk.drain()
    desk.cursor.unlink()
    desk.restart()
    desk.write(_line("req_2"))
    with injected(full(0, 10**9)), pytest.raises(OSError, match="injected"):
        desk.collector.step()
    desk.drain()
    assert desk.ids() == ["req_1", "req_2"]


def test_a_line_still_being_written_is_waited_for(desk: _Desk) -> None:
    whole = _line("req_1")
    desk.write(whole[:50])
    assert desk.collector.step() == 0
    desk.write(whole[50:])
    desk.drain()
    assert desk.ids() == ["req_1"]


def test_a_line_torn_by_a_killed_envoy_is_kept_aside_and_the_next_call_is_not_lost(desk: _Desk) -> None:
    desk.write(_line("req_1") + _line("req_torn")[:70])
    desk.write(_line("req_2") + _line("req_3"))
    desk.drain()
    assert desk.ids() == ["req_1", "req_2", "req_3"]
    assert (desk.folder / "refused.log").read_bytes().startswith(b'{"id": "req_torn"')


def test_a_call_that_reached_no_engine_leaves_no_line(desk: _Desk) -> None:
    refused = json.loads(_line("req_1"))
    desk.write(json.dumps({**refused, "host_instance": None, "instance": None}).encode() + b"\n")
    desk.write(json.dumps({**refused, "route": None}).encode() + b"\n")
    desk.drain()
    assert desk.ids() == []


def test_the_log_is_bounded_to_two_files(desk: _Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_BYTES_MAX", 1)
    for number in range(5):
        desk.write(_line(f"req_{number}"))
        desk.collector.turn_over()
        desk.log.touch()
        assert len(list(desk.folder.glob("access*.log"))) <= 2
        desk.drain()
        desk.collector.drop_finished()
    assert len(desk.ids()) == 5
    assert [path.name for path in desk.folder.glob("access*.log")] == ["access.log"]
