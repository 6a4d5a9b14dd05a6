"""The whole story, as `make demo` tells it: a stack of its own, every part real, nothing left running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ARTEFACTS = REPOSITORY / "build" / "demo"
# Ninety seconds is the goal on a quiet machine; this bound only ends a run that hangs.
SECONDS_MAX = 480


def programs_of(folder: Path) -> list[str]:
    """Processes that still work in or from the demo's folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(folder) in words or str(folder) in str(process.info["cwd"] or ""):
            found.append(f"{process.info['pid']}: {words[:200]}")
    return found


@pytest.mark.e2e
def test_the_demo_tells_its_whole_story_and_leaves_nothing_running() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REMPART_")}
    done = subprocess.run(
        [sys.executable, "-m", "infra.demo"],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    summary = json.loads((ARTEFACTS / "summary.json").read_text(encoding="utf-8"))
    assert [chapter["number"] for chapter in summary["chapters"]] == list(range(1, 8))
    assert summary["nodes_ready"] == 9
    assert summary["usage_first_call"]["usage_source"] == "engine"
    assert summary["gpu_intervals_open"] == 8
    assert summary["allocation_records"]["close"] >= 8
    for name in ("transcript.md", "placement-assistant.json", "placement-redaction.json"):
        assert (ARTEFACTS / name).stat().st_size > 0
    assert programs_of(ARTEFACTS) == []
