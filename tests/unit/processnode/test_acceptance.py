"""The acceptance checks do real work, and each of them can fail."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from infra.local.processnode import acceptance
from infra.local.processnode.acceptance import CheckFailed, check_clock, check_cpu, check_disk, check_memory


def test_this_host_passes_and_the_last_line_is_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REMPART_TERMINATION_MESSAGE_PATH", str(tmp_path / "message"))
    assert acceptance.main() == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (tmp_path / "message").read_text()
    checks = json.loads(last)["checks"]
    assert [check["result"] for check in checks] == ["passed"] * 6
    assert list(checks[0]) == ["name", "result", "detail"]
    assert len(last) < 4096
    assert [path.name for path in tmp_path.iterdir()] == ["message"]


def test_a_host_smaller_than_promised_fails() -> None:
    with pytest.raises(CheckFailed, match="promised"):
        check_cpu({"REMPART_EXPECTED_CPU_MILLI": "1000000000"})
    with pytest.raises(CheckFailed, match="promised"):
        check_memory({"REMPART_EXPECTED_MEMORY_MIB": "1000000000"})


def test_a_processor_without_the_engines_instructions_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import platform

    monkeypatch.setattr(acceptance, "ENGINE_CPU_FLAGS", {platform.machine(): ("teleport",)})
    with pytest.raises(CheckFailed, match="teleport"):
        check_cpu({})


def test_a_disk_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(OSError, match="No such file"):
        check_disk({})


def test_a_clock_that_jumps_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    jumps = iter([0.0, 3600.0, 3600.0, 3600.0])
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    with pytest.raises(CheckFailed, match="jumped"):
        check_clock({})


def test_any_failure_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REMPART_EXPECTED_MEMORY_MIB", "1000000000")
    monkeypatch.delenv("REMPART_TERMINATION_MESSAGE_PATH", raising=False)
    assert acceptance.main() == 1
    checks = json.loads(capsys.readouterr().out.splitlines()[-1])["checks"]
    assert [check["name"] for check in checks if check["result"] == "failed"] == ["memory"]
