"""One command finds every line of an id, wherever on this machine it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.logs import READ_BYTES_MAX, find, list_logs, list_records

REQUEST = "req_01jd00000000000000000000a0"


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.mark.case("W12")
def test_every_line_of_an_id_is_found_by_time_in_logs_and_records_however_old(tmp_path: Path) -> None:
    logs, state = tmp_path / "logs", tmp_path / "state"
    # The line that is looked for stands before more than a view of the log reads.
    filler = ['{"timestamp": "2026-11-27T10:00:05Z", "event": "' + "x" * 1_000 + '"}'] * (
        READ_BYTES_MAX // 900
    )
    write(logs / "api.log", f'{{"timestamp": "2026-11-27T10:00:03Z", "request_id": "{REQUEST}"}}', *filler)
    write(logs / "worker.log", f'{{"timestamp": "2026-11-27T10:00:04Z", "request_id": "{REQUEST}"}}')
    write(
        state / "spool" / "usage" / "000000000001.jsonl",
        f'{{"time": "2026-11-27T10:00:02Z", "id": "{REQUEST}"}}',
        '{"time": "2026-11-27T10:00:02Z", "id": "req_another"}',
    )
    found: list[tuple[str, str]] = []
    places = list_logs(logs, []) | list_records(state)
    count = find(places, REQUEST, lambda name, line: found.append((name, line)))
    assert count == 3
    assert [name for name, _ in found] == ["spool/usage/000000000001", "api", "worker"]
    assert all(REQUEST in line for _, line in found)


def test_what_nobody_wrote_is_not_found(tmp_path: Path) -> None:
    write(tmp_path / "logs" / "api.log", "nothing")
    found: list[str] = []
    assert find(list_logs(tmp_path / "logs", []), REQUEST, lambda _, line: found.append(line)) == 0
    assert list_records(tmp_path / "state") == {}
